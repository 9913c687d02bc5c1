"""Finds a workspace and a job by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import InvalidInput, NameNotFound, NameNotUnique
from airflow_provider_datarecs.api.parsing import id_text
from airflow_provider_datarecs.api.similar import did_you_mean, listed
from airflow_provider_datarecs.api.targets import Target, check_id, check_text

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient


async def find_job(client: DataRecsClient, *, workspace_name: str, job_name: str) -> Target:
    """
    Find the one job with a name in the one workspace with a name; both exact and case-sensitive.

    Every page is read before a name counts as missing or unique.

    :param client: an open client
    :param workspace_name: the workspace's name
    :param job_name: the job's name
    :raises InvalidInput: when a name is empty
    :raises NameNotFound: with the names there are
    :raises NameNotUnique: with the ids of those that have the name
    """
    workspace_name = check_text("workspace_name", workspace_name)
    job_name = check_text("job_name", job_name)
    workspace_id = _only("Workspace", workspace_name, await client.list_workspaces(), "")
    jobs = await client.list_jobs(workspace_id)
    job_id = _only("Job", job_name, jobs, f" in workspace {workspace_name!r}")
    return Target(TargetKind.JOB, job_id, workspace_id)


def _only(noun: str, name: str, items: list[dict[str, Any]], where: str) -> str:
    ids = [id_text(item.get(contract.ID)) for item in items if item.get(contract.NAME) == name]
    if not ids:
        names = {str(item.get(contract.NAME)) for item in items}
        there = listed(name, names) or f"no {noun.lower()} at all"
        meant = did_you_mean(name, names) or "."
        raise NameNotFound(
            f"{noun} '{name}' not found{where}{meant} There is: {there}. Names are case-sensitive."
        )
    if len(ids) > 1:
        raise NameNotUnique(
            f"Multiple {noun.lower()}s named '{name}' found{where}: {', '.join(map(str, ids))}. "
            "Use TriggerJobRunOperator with the id of the one you mean."
        )
    if ids[0] is None:
        raise NameNotFound(f"{noun} '{name}' not found{where}: DataRecs lists it without an id.")
    try:
        return check_id(contract.ID, ids[0])
    except InvalidInput:
        raise NameNotFound(
            f"{noun} '{name}' not found{where}: DataRecs lists it with the id {ids[0]!r}, which cannot be "
            "one."
        ) from None
