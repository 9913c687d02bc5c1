"""
Makes of results what the page shows: a line for each job of a DAG, with a point for each run.

Whatever a task or DataRecs has put into a result is data here: of each field only what it is meant to be is
passed on, and texts are cut.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Dict, Iterable

from airflow_provider_datarecs.api import contract

if TYPE_CHECKING:
    from airflow_provider_datarecs.reconciliations.reading import Found

Point = Dict[str, Any]
Line = Dict[str, Any]

AGREED, DISAGREED, UNLIMITED = "agreed", "disagreed", "unlimited"
FAILED, CANCELLED, MISSING = "failed", "cancelled", "missing"
JOB, GROUP, TASK = "job", "group", "task"
POINTS = 30
"""How many points of a line the page shows at first."""
MOST_POINTS = 500
"""How many it shows of one line."""
LONGEST_TEXT, LONGEST_URL = 300, 2000  # characters
MOST_ROWS = 2**63 - 1
_UNSUCCESSFUL = {contract.FAILED: FAILED, contract.CANCELLED: CANCELLED}


def lines_of(results: Iterable[Found], jobs: Iterable[Any] = (), most_points: int = POINTS) -> list[Line]:
    """
    Make lines, the one with the newest point first.

    :param results: the newest first
    :param jobs: the names of jobs, with their ids, for results that have none; the newest first
    :param most_points: how many points each keeps, the newest
    """
    points: dict[tuple[str, ...], dict[Any, Point]] = {}
    for found in results:
        result = found.value
        if not isinstance(result, dict) or contract.STATUS not in result:
            continue  # a reference of a custom XCom backend, or somebody else's
        known = points.setdefault(_key_of(found, result), {})
        point = _point(found, result)
        # `reconcile` has a task that waits for a run and one that judges it: the same run, told twice.
        run = (found.dag_run_id, point["run_id"] or (found.task_id, found.map_index))
        if run not in known:
            known[run] = point
        elif "limits" in point and "limits" not in known[run]:
            known[run] = {**point, "at": known[run]["at"]}
    lines = [_line(key, list(of_line.values()), most_points) for key, of_line in points.items()]
    _name(lines, jobs)
    return lines


def _name(lines: list[Line], jobs: Iterable[Any]) -> None:
    """Give lines without a name the one by which a task was given the job."""
    named: dict[tuple[str, str], dict[str, Any]] = {}
    for job in jobs:
        if isinstance(job, dict):
            named.setdefault((_text(job.get("workspace_id")), _text(job.get("job_id"))), job)
    for line in lines:
        job = named.get((line["workspace_id"], line["id"]), {}) if line["kind"] == JOB else {}
        line["name"] = line["name"] or _text(job.get("job_name"))
        line["workspace"] = line["workspace"] or _text(job.get("workspace_name")) or line["workspace_id"]


def _key_of(found: Found, result: dict[str, Any]) -> tuple[str, ...]:
    """Tell lines apart: by DAG, task group and job, or the task where the result names no job."""
    job_id = _text(result.get("job_id"))
    owner = job_id or _text(result.get("job_group_id"))
    group = found.task_id.rpartition(".")[0]
    kind = JOB if job_id else GROUP if owner else TASK
    return (found.dag_id, group, kind, _text(result.get("workspace_id")), owner or found.task_id)


def _line(key: tuple[str, ...], points: list[Point], most_points: int) -> Line:
    dag_id, group, kind, workspace_id, owner = key
    newest = points[0]
    streak = 1
    while streak < len(points) and points[streak]["state"] == newest["state"]:
        streak += 1
    return {
        "key": json.dumps(key),
        "dag_id": dag_id,
        "group": group,
        "kind": kind,
        "id": owner,
        "name": next((point["name"] for point in points if point["name"]), ""),
        "workspace_id": workspace_id,
        "workspace": next((point["workspace"] for point in points if point["workspace"]), ""),
        "state": newest["state"],
        "since": points[streak - 1]["at"],
        "is_since_ever": streak == len(points),
        "agreed_at": next((point["at"] for point in points if point["state"] == AGREED), None),
        "total": len(points),
        "points": points[:most_points],
    }


def _point(found: Found, result: dict[str, Any]) -> Point:
    processed, matched, unmatched = (_count(result.get(name)) for name in contract.COUNTS)
    point: Point = {
        "at": found.at.isoformat(),
        "dag_run_id": found.dag_run_id,
        "task_id": found.task_id,
        "map_index": found.map_index,
        "run_id": _text(result.get(contract.RUN_ID)),
        "status": _text(result.get(contract.STATUS)),
        "state": _state(result, unmatched),
        "processed": processed,
        "matched": matched,
        "unmatched": unmatched,
        "name": _text(result.get("job_name") or result.get("job_group_name")),
        "workspace": _text(result.get("workspace_name")),
        "error": _error(result.get(contract.ERROR)),
        "url": _url(found.url),
    }
    if "agreed" in result:
        point["limits"] = {
            "rows": _count(result.get("max_unmatched_rows")),
            "ratio": _ratio(result.get("max_unmatched_ratio")),
        }
    return point


def _state(result: dict[str, Any], unmatched: int | None) -> str:
    """Say what the page says of a result; that the data agree only where the task has said so."""
    status = result[contract.STATUS]
    if isinstance(status, str) and status in _UNSUCCESSFUL:
        return _UNSUCCESSFUL[status]
    if status != contract.COMPLETED:
        return MISSING
    if "agreed" not in result:
        return MISSING if unmatched is None else UNLIMITED
    agreed = result["agreed"]
    return AGREED if agreed is True else DISAGREED if agreed is False else MISSING


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_ROWS
    return value if is_count else None


def _ratio(value: Any) -> float | None:
    is_ratio = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_ratio and 0 <= value <= 1 else None


def _text(value: Any, longest: int = LONGEST_TEXT) -> str:
    if not isinstance(value, str):
        return ""
    # Half a character, which JSON can hold and no answer can.
    return value[:longest].encode("utf-8", "replace").decode("utf-8")


def _error(value: Any) -> str:
    if isinstance(value, dict):
        parts = (_text(value.get(key)) for key in (contract.CODE, contract.MESSAGE))
        return ": ".join(part for part in parts if part)
    return _text(value)


def _url(value: Any) -> str:
    # No other scheme: a link must never run what somebody has put into an XCom.
    url = _text(value, LONGEST_URL)
    return url if url == value and url.startswith(("https://", "http://")) else ""
