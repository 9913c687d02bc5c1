"""The verdict on a wait: made where the wait happens, read by the task, which turns it into its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, cast

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.results import UNREADABLE
from airflow_provider_datarecs.compat import AirflowException, AirflowSensorTimeout, AirflowTaskTimeout
from airflow_provider_datarecs.exceptions import DataRecsRunNotSeen, by_meaning, meaning_of, message_of

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.errors import DataRecsError
    from airflow_provider_datarecs.api.results import RunResult
    from airflow_provider_datarecs.api.runs import Run
    from airflow_provider_datarecs.api.targets import Target

FINISHED = "finished"
TIMED_OUT = "timed_out"
REFUSED = "refused"
NOT_BEGUN = "not_begun"
BEGUN = "begun"

TIMEOUT = "timeout"
EXECUTION_TIMEOUT = "execution_timeout"

ABOUT = ("kind", "id", "workspace_id", "run_id")  # which run an event is about

Event = Dict[str, Any]


def finished(target: Target, run: Run) -> Event:
    """Make the event of a run that has reached a terminal status."""
    return _event(FINISHED, target, run.id, result=run.result)


def begun(target: Target, run_id: str) -> Event:
    """Make the event of a run that was waited for to begin, which ends no task."""
    return _event(BEGUN, target, run_id)


def timed_out(
    target: Target,
    run_id: str,
    message: str,
    *,
    limit: str = TIMEOUT,
    seen: bool = True,
    status: str | None = None,
) -> Event:
    """
    Make the event of a wait whose time is over.

    :param target: the job or job group
    :param run_id: the run's id
    :param message: what is known of the run
    :param limit: which of the task's limits it was
    :param seen: whether the run could be seen at the end
    :param status: the status that it had when it was last seen, None if it never was
    """
    return _event(TIMED_OUT, target, run_id, message=message, limit=limit, seen=seen, status=status)


def refused(target: Target, run_id: str, error: DataRecsError, conn_id: str) -> Event:
    """Make the event of a wait that can never end, because DataRecs refuses to answer it."""
    return _event(REFUSED, target, run_id, meaning=meaning_of(error), message=message_of(error, conn_id))


def not_begun(why: str) -> Event:
    """
    Make the event of a wait that a worker has to begin.

    :param why: why, for the task's log; it is stored in Airflow's database
    """
    return {"outcome": NOT_BEGUN, "why": why}


def is_to_begin(event: Any) -> bool:
    """
    Say whether a worker has to begin the wait.

    :param event: what a trigger has fired
    """
    return isinstance(event, dict) and event.get("outcome") == NOT_BEGUN


def result_of(event: Any, target: Target, run_id: str) -> RunResult:
    """
    Give the result of a run that has ended, be it COMPLETED, FAILED or CANCELLED, and raise for all else.

    Nothing but an event that says so of this very run passes: not None, not an event of another run, not one
    of a kind that this version does not know.

    :param event: what the wait ended with
    :param target: the job or job group that the task waits for
    :param run_id: the run that the task waits for
    :raises AirflowSensorTimeout: when the wait's ``timeout`` was over; the task is not retried
    :raises DataRecsRunNotSeen: when it was, and the run could not be seen at the end
    :raises AirflowTaskTimeout: when the task's ``execution_timeout`` was over
    :raises AirflowException: when DataRecs refused, or when the event is not one of this wait
    """
    subject = target.name_run(run_id)
    event = event if isinstance(event, dict) else {"outcome": event}
    outcome, message = event.get("outcome"), str(event.get("message"))
    if not is_about(event, target, run_id):
        about = tuple(map(event.get, ABOUT))
        raise AirflowException(
            f"The outcome is unknown, since the trigger's event is about another run or none ({about}): "
            f"{subject}. Look at DataRecs, then clear the task to wait again."
        )
    if outcome == TIMED_OUT:
        if event.get("limit") == EXECUTION_TIMEOUT:
            raise AirflowTaskTimeout(message)
        raise (AirflowSensorTimeout if event.get("seen", True) else DataRecsRunNotSeen)(message)
    if outcome == REFUSED:
        raise by_meaning(str(event.get("meaning")))(message)
    result: Any = event.get("result")
    status = result.get("status") if isinstance(result, dict) else None
    if outcome != FINISHED or not isinstance(status, str) or status not in contract.TERMINAL:
        raise AirflowException(
            f"The outcome is unknown, since the trigger's event is not understood (outcome {outcome!r}, "
            f"status {status!r}): {subject}. Look at DataRecs, then clear the task to wait again."
        )
    return cast("RunResult", {**result, **target.ids_of(run_id)})  # which older releases left out


def nothing_ended(event: Any, target: Target, run_id: str) -> RunResult:
    """
    Give what is known of a run whose wait ended before it did: its ids, and the last status that was seen.

    :param event: what the wait ended with, None for nothing
    :param target: the job or job group
    :param run_id: the run's id
    """
    status = event.get("status") if is_about(event, target, run_id) else None
    is_known = isinstance(status, str) and status not in contract.TERMINAL
    unknown = dict.fromkeys((*contract.COUNTS, contract.STARTED_AT, contract.COMPLETED_AT, contract.ERROR))
    result = {**target.ids_of(run_id), contract.STATUS: status if is_known else "", **unknown}
    return cast("RunResult", result)


def is_about(event: Any, target: Target, run_id: str) -> bool:
    """
    Say whether an event is one of this very run.

    :param event: what a wait ended with
    :param target: the job or job group
    :param run_id: the run's id
    """
    this = (target.kind.noun, target.id, target.workspace_id, run_id)
    return isinstance(event, dict) and tuple(map(event.get, ABOUT)) == this


def has_begun(event: Event) -> bool:
    """
    Say whether an event is that of :func:`begun`.

    :param event: what a wait ended with
    """
    return bool(event["outcome"] == BEGUN)


def has_completed(event: Any) -> bool:
    """
    Say whether an event says of a run, whichever it is, that it is COMPLETED.

    :param event: what a wait ended with
    """
    result = event.get("result") if isinstance(event, dict) and event.get("outcome") == FINISHED else None
    return isinstance(result, dict) and result.get(contract.STATUS) == contract.COMPLETED


def describe(result: Mapping[str, Any], name: str) -> str:
    """
    Say in one line how a run ended: its status and what is unmatched first, then all else.

    :param result: the run's ``run_result``
    :param name: the run, as messages name it
    """
    rows, unmatched = rows_of(result), share_unmatched(result)
    verdict = f"{result.get('status')}, {unmatched}" if unmatched else str(result.get("status"))
    parts = [f"{verdict}: {name}", rows or "no rows counted"]
    if result.get("runs"):
        parts.append(f"{len(result['runs'])} job runs")
    began, ended = result.get("started_at"), result.get("completed_at")
    if began or ended:
        parts.append(f"ran from {began} to {ended}")
    if result.get("error"):
        parts.append(f"error: {_error_text(result['error'])}")
    return "; ".join(parts)


def share_unmatched(result: Mapping[str, Any]) -> str:
    """
    Say how many of the rows are unmatched, as far as that was counted; empty where it was not.

    :param result: the run's ``run_result``
    """
    unmatched, processed = result.get(contract.ROWS_UNMATCHED), result.get(contract.ROWS_PROCESSED)
    if unmatched is None:
        return ""
    return f"{_number(unmatched)}{'' if processed is None else f' of {_number(processed)}'} rows unmatched"


def rows_of(result: Mapping[str, Any]) -> str:
    """
    Give the counts of rows that there are, readable or not; empty where there is none.

    :param result: the run's ``run_result``
    """
    counts = ((name, result.get(name)) for name in contract.COUNTS)
    texts = [f"{_number(count)} {name[len('rows_') :]}" for name, count in counts if count is not None]
    odd = result.get(UNREADABLE) or {}
    texts += [f"{name[len('rows_') :]} unreadable ({odd[name]})" for name in odd if result.get(name) is None]
    return f"rows: {', '.join(texts)}" if texts else ""


def why_not_completed(result: Mapping[str, Any]) -> str:
    """
    Say why a run ended, with the error as DataRecs gave it and those of a group's jobs.

    :param result: the run's ``run_result``
    """
    parts = [f"Error: {_error_text(result.get('error'))}"]
    runs = result.get("runs")
    parts += (
        f"Job {run.get('job_id')!r}: {run.get('status')}, {_error_text(run.get('error'))}"
        for run in (runs if isinstance(runs, list) else [])
        if isinstance(run, dict) and run.get("status") != contract.COMPLETED
    )
    parts.append(rows_of(result).capitalize() or "No rows counted")
    return ". ".join(parts)


def _event(outcome: str, target: Target, run_id: str, **more: Any) -> Event:
    return {
        "outcome": outcome,
        "kind": target.kind.noun,
        "id": target.id,
        "workspace_id": target.workspace_id,
        "run_id": run_id,
        **more,
    }


def _number(count: Any) -> str:
    return f"{count:,}" if isinstance(count, int) else str(count)  # of an event that was tampered with


def _error_text(error: Any) -> str:
    if isinstance(error, dict):
        parts = (str(error[key]) for key in (contract.CODE, contract.MESSAGE) if error.get(key))
        return ": ".join(parts) or str(error)
    return str(error) if error else "none given by DataRecs"
