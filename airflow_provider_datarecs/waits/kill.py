"""Cancels the run of a wait whose task a user has killed, and no other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from airflow_provider_datarecs.api.errors import DataRecsError
from airflow_provider_datarecs.compat import is_killed
from airflow_provider_datarecs.waits.connection import Connection

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.runs import Runnable

# Seconds for Airflow to say what became of the task. A triggerer of Airflow 3 that stops gives no answer.
ASK_WITHIN = 5.0


async def cancel_if_killed(
    runnable: Runnable, run_id: str, *, conn_id: str, ti: Any, trigger_id: int | None, log: Any
) -> None:
    """
    Ask Airflow whether a user has ended the task, and if so cancel its run with one request; raise nothing.

    :param runnable: the job or job group
    :param run_id: the run's id
    :param conn_id: the connection's id
    :param ti: the task instance, or what a trigger has of it
    :param trigger_id: the trigger that the task was deferred to, None if it runs in a process
    :param log: the task's logger
    """
    try:
        killed = await asyncio.wait_for(sync_to_async(is_killed)(ti, trigger_id), ASK_WITHIN)
    except Exception as error:  # noqa: BLE001 - whatever it is, it leaves doubt
        log.warning(
            "Run %s of %s is not cancelled: Airflow does not say what became of the task (%s)",
            run_id,
            runnable,
            type(error).__name__,
        )
        return
    if not killed:
        log.info("Run %s of %s is not cancelled: no user has ended the task", run_id, runnable)
        return
    connection = Connection(conn_id)
    try:
        reason = f"Task {ti.task_id} of DAG {ti.dag_id}, run {ti.run_id}, was ended in Airflow"
        answer = await connection.ask(lambda client: client.cancel_run(runnable, run_id, reason=reason))
    finally:
        await connection.close()
    if isinstance(answer, DataRecsError):
        log.error(
            "Run %s of %s may go on, since cancelling it failed: %s. Cancel it at DataRecs.",
            run_id,
            runnable,
            answer,
        )
    elif answer:
        log.info("A user has ended the task: asked DataRecs to cancel run %s of %s", run_id, runnable)
    else:
        log.warning(
            "Run %s of %s goes on: DataRecs does not offer to cancel it. A user has ended the task.",
            run_id,
            runnable,
        )
