"""Runs of jobs and job groups: what an answer shows of one, in the terms that users see."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, cast

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.contract import (
    COMPLETED_AT,
    ERROR,
    ROWS_MATCHED,
    ROWS_PROCESSED,
    ROWS_UNMATCHED,
    RUNS,
    STARTED_AT,
    STATUS,
    TargetKind,
)
from airflow_provider_datarecs.api.errors import UnreadableAnswer
from airflow_provider_datarecs.api.parsing import id_text, run_ids, snake_keys
from airflow_provider_datarecs.api.results import UNREADABLE, JobRunResult, RunOfGroup, RunResult
from airflow_provider_datarecs.api.times import read_time

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.targets import Target

LONGEST_ERROR = 10_000  # characters of a run's error that are kept
LONGEST_NAME = 250  # characters of a name that are kept
DEEPEST_ERROR = 20  # levels of one that is an object
LONGEST_ODD = 60  # characters of one of these that are kept
MOST_ROWS = 2**63 - 1  # more cannot be passed on by Airflow
MOST_EXACT = 2**53  # beyond, a float is no longer exactly what was sent
_WHOLE_NUMBER = re.compile(r"\s*\d{1,19}(?:\.0*)?\s*", re.ASCII)


@dataclass(frozen=True)
class Run:
    """
    A run of a job or job group, as one answer showed it.

    :param id: the run's id
    :param status: in capitals; CANCELED and ERRORED in their usual spelling; empty if the answer has none
    :param result: what users see of it, as ``run_result``
    :param item: the run as it was shown, with keys in snake_case
    """

    id: str
    status: str
    result: RunResult = field(compare=False)
    item: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_finished(self) -> bool:
        """Say whether the run has reached a status that it will not leave."""
        return self.status in contract.TERMINAL

    @property
    def is_whole(self) -> bool:
        """Say whether a list shows all of how this run has ended, so that nobody need ask for it alone."""
        if RUNS not in self.result:
            return _is_whole(self.item, self.result)
        job_runs = map(snake_keys, _job_runs(self.item))
        return (
            _is_whole(self.item, self.result)
            and bool(self.result[RUNS])
            and all(map(_is_whole, job_runs, self.result[RUNS]))
        )


def read_run(call: str, answer: Any, target: Target, run_id: str) -> Run:
    """
    Read the answer to a question about one run.

    :param call: the request in short, for messages
    :param answer: the answer's JSON
    :param target: the job or job group that was asked about
    :param run_id: the run that was asked about
    :raises UnreadableAnswer: when the answer is not about that very run
    """
    if not isinstance(answer, dict):
        raise UnreadableAnswer(call, f"an object was expected, not a {type(answer).__name__}")
    item = snake_keys(answer)
    run = run_from(item, target, run_id)
    if run is None:
        ids = " or ".join(map(repr, run_ids(item))) or None
        raise UnreadableAnswer(
            call,
            f"the answer is about run {ids} of {target.kind.noun} "
            f"{id_text(item.get(target.kind.id_field))!r}, not {target.name_run(run_id)}",
        )
    return run


def run_from(item: Mapping[str, Any], target: Target, run_id: str | None = None) -> Run | None:
    """
    Read a run, None where it is not the one that is meant or has no id.

    :param item: the run as an answer shows it, with keys in snake_case
    :param target: the job or job group that was asked about
    :param run_id: the run that is meant, default any of them
    """
    ids, owner = run_ids(item), item.get(target.kind.id_field)
    if not ids or run_id not in (None, *ids) or id_text(owner) not in (None, target.id):
        return None
    run_id = run_id or ids[0]
    shown = _job_result(item) if target.kind is TargetKind.JOB else _group_result(item)
    names = {key: item[key][:LONGEST_NAME] for key in contract.NAMES if isinstance(item.get(key), str)}
    result = cast("RunResult", {**target.ids_of(run_id), **names, **shown})
    return Run(id=run_id, status=result[STATUS], result=result, item=item)


def _is_whole(item: Mapping[str, Any], result: JobRunResult) -> bool:
    if result[STATUS] == contract.COMPLETED:
        # Lists may leave out the counts, or give them only later.
        return all(result[name] is not None for name in contract.COUNTS)
    return result[STATUS] in contract.TERMINAL and ERROR in item


def _job_result(item: Mapping[str, Any]) -> JobRunResult:
    given: dict[str, Any] = {name: item.get(name) for name in contract.COUNTS}
    if _count(given[ROWS_PROCESSED]) is None and item.get(contract.ROWS_COMPARED) is not None:
        given[ROWS_PROCESSED] = item[contract.ROWS_COMPARED]
    counts = {name: _count(value) for name, value in given.items()}
    result = JobRunResult(
        status=_status(item.get(STATUS)),
        rows_processed=counts[ROWS_PROCESSED],
        rows_matched=counts[ROWS_MATCHED],
        rows_unmatched=counts[ROWS_UNMATCHED],
        started_at=_time_as_given(item.get(STARTED_AT)),
        completed_at=_time_as_given(item.get(COMPLETED_AT)),
        error=_error_as_given(item.get(ERROR)),
    )
    odd = {name: _odd(value) for name, value in given.items() if value is not None and counts[name] is None}
    if odd:
        result[UNREADABLE] = odd
    return result


def _group_result(item: Mapping[str, Any]) -> RunResult:
    own = _job_result(item)
    runs = [_run_of_group(snake_keys(entry)) for entry in _job_runs(item)]
    for name in contract.COUNTS:
        counts = [count for count in (run[name] for run in runs) if count is not None]
        if own[name] is None and counts and len(counts) == len(runs):
            own[name] = _count(sum(counts))
    own[STATUS] = own[STATUS] or _derived_status([run[STATUS] for run in runs])
    own[STARTED_AT] = own[STARTED_AT] or _pick(min, (run[STARTED_AT] for run in runs))
    own[COMPLETED_AT] = own[COMPLETED_AT] or _pick(max, (run[COMPLETED_AT] for run in runs))
    own[ERROR] = own[ERROR] or next((run[ERROR] for run in runs if run[ERROR]), None)
    return cast("RunResult", {**own, RUNS: runs})


def _run_of_group(item: Mapping[str, Any]) -> RunOfGroup:
    run_id = next(iter(run_ids(item)), None)
    return RunOfGroup(job_id=item.get(contract.JOB_ID), run_id=run_id, **_job_result(item))


def _job_runs(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    lists = (item[key] for key in contract.JOB_RUN_KEYS if isinstance(item.get(key), list))
    return [entry for entry in next(lists, []) if isinstance(entry, dict)]


def _status(value: Any) -> str:
    status = value.strip().upper() if isinstance(value, str) else ""
    return contract.STATUS_SPELLINGS.get(status, status)


def _derived_status(statuses: list[str]) -> str:
    for ending in (contract.FAILED, contract.CANCELLED):
        if ending in statuses:
            return ending
    if not statuses:
        return ""
    return contract.COMPLETED if set(statuses) == {contract.COMPLETED} else contract.RUNNING


def _time_as_given(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) else None


def _error_as_given(value: Any) -> Any:
    """Give an error as it is, unless that is more than an XCom should hold or Airflow can pass on."""
    if value is None:
        return None
    try:
        text = value if isinstance(value, str) else json.dumps(value)
        fits = len(text) <= LONGEST_ERROR and _depth(value) <= DEEPEST_ERROR
    except RecursionError:
        return "(nested too deeply to be shown)"
    return value if fits else f"{text[:LONGEST_ERROR]}…"


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _count(value: Any) -> int | None:
    """Read a whole number in each form that JSON has for one; those of 64 bits often come as text."""
    if isinstance(value, str):
        value = int(value.partition(".")[0]) if _WHOLE_NUMBER.fullmatch(value) else None
    elif isinstance(value, float) and value.is_integer() and value <= MOST_EXACT:
        value = int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_ROWS
    return value if is_count else None


def _odd(value: Any) -> str:
    return repr(value)[:LONGEST_ODD] if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"


def _pick(choose: Callable[..., Any], times: Iterable[Any]) -> str | None:
    texts = [time for time in times if isinstance(time, str)]
    try:
        picked = choose(texts, key=read_time, default=None)
    except ValueError:  # some time is no RFC 3339; as text they still sort by the clock
        picked = choose(texts, default=None)
    return picked if picked is None else str(picked)
