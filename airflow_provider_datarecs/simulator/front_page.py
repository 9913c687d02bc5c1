"""What the simulator shows to somebody who opens its URL in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

from airflow_provider_datarecs.api.contract import TargetKind

if TYPE_CHECKING:
    from airflow_provider_datarecs.simulator.world import World

PAGE = """\
This is a simulated DataRecs, for trying out and testing the DataRecs provider for Apache Airflow.
It needs no account and knows nothing of your data: its runs take seconds, and their results are made up.

THE CONNECTION for Airflow; the API keys stand in the first line that the simulator printed

  airflow connections add datarecs_default --conn-type datarecs --conn-host {url} --conn-password API_KEY

WHAT THERE IS

{world}

WHAT CAN BE ASKED, with or without /v1 before it, and ?workspace_id=... for jobs and job groups

{calls}

FOR EXAMPLE

  curl -H "Authorization: Bearer API_KEY" {url}/workspaces
{examples}"""
EXAMPLES = """\
  curl -H "Authorization: Bearer API_KEY" -X POST "{url}/jobs/{job_id}/run?workspace_id={workspace_id}"
  curl -H "Authorization: Bearer API_KEY" "{url}/jobs/{job_id}/runs?workspace_id={workspace_id}"
"""


def front_page(world: World, url: str, calls: Sequence[tuple[str, str]]) -> str:
    """
    Say in plain text what this is, what exists in it, and how to ask it.

    :param world: what exists
    :param url: where it is asked
    :param calls: what can be asked, each a method and a path
    """
    jobs = list(world.owners[TargetKind.JOB].values())
    lines = []
    for workspace in world.workspaces.values():
        lines.append(f"  workspace {workspace['id']} ({workspace['name']})")
        for kind in TargetKind:
            lines += [
                f"    {kind.noun} {owner.id} ({owner.name})"
                for owner in world.owners[kind].values()
                if owner.workspace_id == workspace["id"]
            ]
    return PAGE.format(
        url=url,
        world="\n".join(lines or ["  nothing yet"]),
        calls="\n".join(f"  {method:4} {path}" for method, path in calls),
        examples="".join(
            EXAMPLES.format(url=url, job_id=job.id, workspace_id=job.workspace_id) for job in jobs[:1]
        ),
    )
