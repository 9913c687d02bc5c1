"""Ends the task of a wait from its trigger, where its run is COMPLETED and nothing takes a worker."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Mapping

from asgiref.sync import sync_to_async

from airflow_provider_datarecs.agreement import UnmatchedLimits
from airflow_provider_datarecs.api.results import RESULT_KEY
from airflow_provider_datarecs.polling import config, events, reruns

if TYPE_CHECKING:
    from airflow.triggers.base import TriggerEvent

    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.events import Event


async def end_task(
    event: Event, target: Target, run_id: str, ending: Mapping[str, Any], *, ti: Any, log: Any
) -> TriggerEvent | None:
    """
    Push the XComs of a task and give the event that ends it, None where a worker is to.

    :param event: what the wait ended with
    :param target: the job or job group
    :param run_id: the run's id
    :param ending: how, as :class:`.EndingMixin` gives it
    :param ti: what the trigger has of the task instance, None in ``dag.test()``
    :param log: the task's logger
    """
    if ti is None or not events.has_completed(event):
        return None
    name = target.name_run(run_id)
    try:
        xcoms = _xcoms_of(event, target, run_id, ending)
        if xcoms is None:
            return None
        # In a thread, and from the trigger's own context, by which Airflow 3.4 tells whose XComs they are.
        pushing = sync_to_async(_push)(ti, xcoms, ending.get("airflow"), partial(_tell, xcoms, name, log))
        return await asyncio.wait_for(pushing, config.current().push_within)
    except Exception as error:  # noqa: BLE001 - whatever it is, a worker ends the task as without all this
        log.warning(
            "Ends on a worker, since the triggerer could not end the task (%s): %s",
            type(error).__name__,
            name,
        )
        return None


def _tell(xcoms: Mapping[str, Any], name: str, log: Any) -> None:
    log.info("%s", events.describe(xcoms[RESULT_KEY], name))
    if "agreed" in xcoms[RESULT_KEY]:
        log.info("The data agree, with %s: %s", events.share_unmatched(xcoms[RESULT_KEY]), name)
    log.info("Ending the task here, without a worker: %s", name)


def _xcoms_of(event: Event, target: Target, run_id: str, ending: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give what a worker would push, None where the data do not agree, or nobody can say."""
    result = events.result_of(event, target, run_id)
    limits = UnmatchedLimits(rows=ending["max_unmatched_rows"], ratio=ending["max_unmatched_ratio"])
    over, missing = limits.judge(result)
    if over or missing:
        return None
    result = limits.with_verdict(result, over, missing)
    xcoms: dict[str, Any] = {RESULT_KEY: result}
    if ending["returns"]:
        xcoms["return_value"] = result
    if ending["reruns"]:
        xcoms.update(reruns.xcoms_of(target, [*event.get(reruns.EARLIER, ()), run_id]))
    return xcoms


def _push(
    ti: Any, xcoms: Mapping[str, Any], deferred_by: Any, tell: Callable[[], None]
) -> TriggerEvent | None:
    # Imported here, off the event loop.
    from airflow_provider_datarecs.compat import task_ends

    # After an upgrade nobody has looked at what this Airflow would lose, and a triggerer of Airflow 3 cannot
    # take the end of a task whose DAG has not been parsed since (``relative_fileloc``).
    if deferred_by != task_ends.AIRFLOW_RELEASE:
        return None
    # First, since Airflow 3 may take what a trigger logs last for its own log; by the time that it has stored
    # the XComs, it has taken what came before them.
    tell()
    task_ends.push_xcoms(ti, xcoms)
    event: TriggerEvent = task_ends.success()
    return event
