"""The verdict on a wait: made where the wait happens, read by the task, which turns it into its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Sequence, cast

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

TIMEOUT = "timeout"
EXECUTION_TIMEOUT = "execution_timeout"

ABOUT = ("kind", "id", "workspace_id", "run_id")  # which run an event is about

Event = Dict[str, Any]


def finished(target: Target, run: Run) -> Event:
    """Make the event of a run that has reached a terminal status."""
    return _event(FINISHED, target, run.id, result=run.result)


def timed_out(target: Target, run_id: str, message: str, *, limit: str = TIMEOUT, seen: bool = True) -> Event:
    """
    Make the event of a wait whose time is over.

    :param target: the job or job group
    :param run_id: the run's id
    :param message: what is known of the run
    :param limit: which of the task's limits it was
    :param seen: whether the run could be seen at the end
    """
    return _event(TIMED_OUT, target, run_id, message=message, limit=limit, seen=seen)


def refused(target: Target, run_id: str, error: DataRecsError, conn_id: str) -> Event:
    """Make the event of a wait that can never end, because DataRecs refuses to answer it."""
    return _event(REFUSED, target, run_id, meaning=meaning_of(error), message=message_of(error, conn_id))


def result_of(event: Any, target: Target, run_id: str, earlier: Sequence[str] = ()) -> RunResult:
    """
    Give the result of a run that is COMPLETED, and raise for everything else.

    Nothing but an event that says COMPLETED for this very run passes: not None, not an event of another run,
    not one of a kind that this version does not know.

    :param event: what the wait ended with
    :param target: the job or job group that the task waits for
    :param run_id: the run that the task waits for
    :param earlier: the runs before it, which have FAILED, default none
    :raises AirflowSensorTimeout: when the wait's ``timeout`` was over; the task is not retried
    :raises DataRecsRunNotSeen: when it was, and the run could not be seen at the end
    :raises AirflowTaskTimeout: when the task's ``execution_timeout`` was over
    :raises AirflowException: when the run is FAILED or CANCELLED, when DataRecs refused, or when the event
        is not one of this wait
    """
    subject = f"Run {run_id!r} of {target}"
    event = event if isinstance(event, dict) else {"outcome": event}
    outcome, message = event.get("outcome"), str(event.get("message"))
    if not is_about(event, target, run_id):
        about = tuple(map(event.get, ABOUT))
        raise AirflowException(
            f"{subject}: the trigger's event is about another run or none ({about}), so the outcome is "
            "unknown. Look at DataRecs, then clear the task to wait again."
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
            f"{subject}: the trigger's event is not understood (outcome {outcome!r}, status {status!r}), so "
            "the outcome is unknown. Look at DataRecs, then clear the task to wait again."
        )
    if status == contract.FAILED:
        raise AirflowException(f"{subject} FAILED{_as_did(earlier)}. {_details(result)}")
    if status == contract.CANCELLED:
        raise AirflowException(f"{subject} was CANCELLED. {_details(result)}")
    return cast("RunResult", dict(result))


def is_about(event: Any, target: Target, run_id: str) -> bool:
    """
    Say whether an event is one of this very run.

    :param event: what a wait ended with
    :param target: the job or job group
    :param run_id: the run's id
    """
    this = (target.kind.noun, target.id, target.workspace_id, run_id)
    return isinstance(event, dict) and tuple(map(event.get, ABOUT)) == this


def describe(result: Mapping[str, Any]) -> str:
    """
    Say in one line how a run ended: its status, its rows, when it ran and its error.

    :param result: the run's ``run_result``
    """
    parts = [str(result.get("status")), rows_of(result) or "no rows counted"]
    if result.get("runs"):
        parts.append(f"{len(result['runs'])} job runs")
    began, ended = result.get("started_at"), result.get("completed_at")
    if began or ended:
        parts.append(f"ran from {began} to {ended}")
    if result.get("error"):
        parts.append(f"error: {_error_text(result['error'])}")
    return "; ".join(parts)


def rows_of(result: Mapping[str, Any]) -> str:
    """
    Give the counts of rows that there are, readable or not; empty where there is none.

    :param result: the run's ``run_result``
    """
    counts = ((name, result.get(name)) for name in contract.COUNTS)
    texts = [f"{count} {name[len('rows_') :]}" for name, count in counts if count is not None]
    odd = result.get(UNREADABLE) or {}
    texts += [f"{name[len('rows_') :]} unreadable ({odd[name]})" for name in odd if result.get(name) is None]
    return f"rows: {', '.join(texts)}" if texts else ""


def _event(outcome: str, target: Target, run_id: str, **more: Any) -> Event:
    return {
        "outcome": outcome,
        "kind": target.kind.noun,
        "id": target.id,
        "workspace_id": target.workspace_id,
        "run_id": run_id,
        **more,
    }


def _as_did(earlier: Sequence[str]) -> str:
    return f", as did {', '.join(earlier)} before it" if earlier else ""


def _details(result: dict[str, Any]) -> str:
    """Say why a run ended, with the error as DataRecs gave it and those of a group's jobs."""
    parts = [f"Error: {_error_text(result.get('error'))}"]
    runs = result.get("runs")
    parts += (
        f"Job {run.get('job_id')!r}: {run.get('status')}, {_error_text(run.get('error'))}"
        for run in (runs if isinstance(runs, list) else [])
        if isinstance(run, dict) and run.get("status") != contract.COMPLETED
    )
    parts.append(rows_of(result).capitalize() or "No rows counted")
    return ". ".join(parts)


def _error_text(error: Any) -> str:
    if isinstance(error, dict):
        parts = (str(error[key]) for key in (contract.CODE, contract.MESSAGE) if error.get(key))
        return ": ".join(parts) or str(error)
    return str(error) if error else "none given by DataRecs"
