"""Reads a simulated DataRecs from a JSON or YAML file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, TypeVar

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator.faults import Fault
from airflow_provider_datarecs.simulator.rate_limit import RateLimit
from airflow_provider_datarecs.simulator.runs import Plan
from airflow_provider_datarecs.simulator.webhooks import Webhook
from airflow_provider_datarecs.simulator.world import ApiKey, Behaviour, World

T = TypeVar("T")

DEFAULT = Path(__file__).with_name("default.json")


class ScenarioError(ValueError):
    """A scenario file says something that the simulator does not understand."""


def default_world() -> World:
    """Make the world that the simulator runs when nobody gives it another."""
    world, _ = load_scenario(DEFAULT)
    return world


def load_scenario(path: str | Path) -> tuple[World, list[Fault]]:
    """
    Read a scenario file.

    :param path: a ``.json`` file, or ``.yaml`` or ``.yml``, which needs PyYAML (Airflow brings it)
    :return: what exists, and what goes wrong
    :raises ScenarioError: naming what is not understood
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        content = json.loads(text)
    else:
        import yaml

        content = yaml.safe_load(text)
    return build_world(content)


def build_world(content: dict[str, Any]) -> tuple[World, list[Fault]]:
    """
    Make a world from what a scenario file holds.

    :param content: the keys ``api_keys``, ``rate_limit``, ``behaviour``, ``webhooks``, ``workspaces`` and
        ``faults``, all optional; ``default.json`` beside this module is an example
    :return: what exists, and what goes wrong
    :raises ScenarioError: naming what is not understood
    """
    if not isinstance(content, dict):
        raise ScenarioError(f"a scenario is an object, not {content!r}")
    content = dict(content)
    keys = content.pop("api_keys", None)
    world = World(
        api_keys=None if keys is None else [_make(ApiKey, "api_keys", key) for key in keys],
        rate_limit=_make(RateLimit, "rate_limit", content.pop("rate_limit", {})),
        behaviour=_make(Behaviour, "behaviour", content.pop("behaviour", {})),
        webhooks=[_make(Webhook, "webhooks", webhook) for webhook in content.pop("webhooks", [])],
    )
    for workspace in content.pop("workspaces", []):
        _add_workspace(world, dict(workspace))
    faults = [_make(Fault, "faults", fault) for fault in content.pop("faults", [])]
    if content:
        raise ScenarioError(f"a scenario has no {', '.join(map(repr, content))}")
    return world, faults


def _add_workspace(world: World, workspace: dict[str, Any]) -> None:
    jobs, groups = workspace.pop("jobs", []), workspace.pop("job_groups", [])
    workspace_id, name = _take("a workspace", workspace, "id", "name")
    world.add_workspace(workspace_id, name, **workspace)
    for job in map(dict, jobs):
        plan = _make(Plan, f"runs of job {job.get('id')!r}", job.pop("runs", {}))
        job_id, job_name = _take("a job", job, "id", "name", only=True)
        world.add_job(job_id, job_name, workspace_id, plan)
    for group in map(dict, groups):
        group_id, name, job_ids = _take("a job group", group, "id", "name", "jobs", only=True)
        unknown = [job_id for job_id in job_ids if job_id not in world.owners[TargetKind.JOB]]
        if unknown:
            raise ScenarioError(f"job group {group_id!r} names jobs that do not exist: {unknown}")
        world.add_job_group(group_id, name, workspace_id, job_ids)


def _take(noun: str, fields: dict[str, Any], *keys: str, only: bool = False) -> list[Any]:
    for key in keys:
        if fields.get(key) in (None, ""):
            raise ScenarioError(f"{noun} needs an {key!r}: {fields}")
    taken = [fields.pop(key) for key in keys]
    if only and fields:
        raise ScenarioError(f"{noun} has no {', '.join(map(repr, fields))}")
    return taken


def _make(cls: Callable[..., T], where: str, fields: Any) -> T:
    if not isinstance(fields, dict):
        raise ScenarioError(f"{where}: an object was expected, not {fields!r}")
    try:
        return cls(**fields)
    except TypeError as error:
        raise ScenarioError(f"{where}: {error}") from None
