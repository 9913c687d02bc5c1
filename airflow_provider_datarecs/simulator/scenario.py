"""Reads a simulated DataRecs from a JSON or YAML file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, TypeVar

from airflow_provider_datarecs.simulator.faults import Fault
from airflow_provider_datarecs.simulator.rate_limit import RateLimit
from airflow_provider_datarecs.simulator.world import ApiKey, Behaviour, Plan, World

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

    :param content: the keys ``api_keys``, ``rate_limit``, ``behaviour``, ``workspaces`` and ``faults``, all
        optional; ``default.json`` beside this module is an example
    :return: what exists, and what goes wrong
    :raises ScenarioError: naming what is not understood
    """
    content = dict(content)
    keys = content.pop("api_keys", None)
    world = World(
        api_keys=None if keys is None else [_make(ApiKey, "api_keys", key) for key in keys],
        rate_limit=_make(RateLimit, "rate_limit", content.pop("rate_limit", {})),
        behaviour=_make(Behaviour, "behaviour", content.pop("behaviour", {})),
    )
    for workspace in content.pop("workspaces", []):
        _add_workspace(world, dict(workspace))
    faults = [_make(Fault, "faults", fault) for fault in content.pop("faults", [])]
    if content:
        raise ScenarioError(f"a scenario has no {', '.join(map(repr, content))}")
    return world, faults


def _add_workspace(world: World, workspace: dict[str, Any]) -> None:
    jobs, groups = workspace.pop("jobs", []), workspace.pop("job_groups", [])
    for key in ("id", "name"):
        if not workspace.get(key):
            raise ScenarioError(f"a workspace needs an {key!r}: {workspace}")
    workspace_id = workspace.pop("id")
    world.add_workspace(workspace_id, workspace.pop("name"), **workspace)
    for job in jobs:
        plan = _make(Plan, "runs", job.get("runs", {}))
        world.add_job(job["id"], job["name"], workspace_id, plan)
    for group in groups:
        world.add_job_group(group["id"], group["name"], workspace_id, group["jobs"])


def _make(cls: Callable[..., T], where: str, fields: dict[str, Any]) -> T:
    try:
        return cls(**fields)
    except TypeError as error:
        raise ScenarioError(f"{where}: {error}") from None
