"""What reruns do to a wait: which runs there were, and when a run that FAILED is started anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.times import epoch_seconds
from airflow_provider_datarecs.polling.events import FINISHED, Event

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.targets import Target

EARLIER = "earlier_run_ids"  # in an event: the runs that were waited for before this one, and have FAILED


def with_earlier(event: Event, run_ids: Sequence[str]) -> Event:
    """
    Give an event that tells the runs before its own.

    :param event: what the wait for the last run ended with
    :param run_ids: the runs before it, in their order
    """
    return {**event, EARLIER: list(run_ids)} if run_ids else event


def run_ids_of(event: Any, first: str) -> list[str]:
    """
    Give the runs of a wait, the last one last; the first alone where the event tells of no others.

    :param event: what the wait ended with
    :param first: the run that the task waits for
    """
    earlier: Any = event.get(EARLIER) if isinstance(event, dict) else None
    if isinstance(earlier, list) and earlier[:1] == [first] and isinstance(event.get("run_id"), str):
        return [*map(str, earlier), event["run_id"]]
    return [first]


def xcoms_of(target: Target, run_ids: Sequence[str]) -> dict[str, Any]:
    """
    Give the XComs by which the tasks that follow know the runs of a wait with reruns.

    :param target: the job or job group
    :param run_ids: the runs, the last one last
    """
    return {**target.ids_of(run_ids[-1]), "run_ids": list(run_ids)}


def has_failed(event: Any) -> bool:
    """
    Say whether an event is that of a run that FAILED.

    :param event: what the wait ended with
    """
    result = event.get("result") if isinstance(event, dict) else None
    return (
        isinstance(result, dict)
        and event.get("outcome") == FINISHED
        and result.get(contract.STATUS) == contract.FAILED
    )


def due_at(event: Event, delay: float, seen_at: float | None) -> float:
    """
    Give the epoch seconds at which a run that FAILED is started anew.

    The delay counts from the run's end, so that a restart in its midst does not begin it again.

    :param event: what the wait for it ended with
    :param delay: in seconds
    :param seen_at: epoch seconds at which it was first seen, None where nobody knows
    """
    ended_at = epoch_seconds(event["result"].get(contract.COMPLETED_AT))
    if seen_at is None:
        return 0.0 if ended_at is None else ended_at + delay
    return min(seen_at, seen_at if ended_at is None else ended_at) + delay
