"""Cancels the run of a wait whose task a user has killed, and no other."""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import TYPE_CHECKING, Any, Optional, Tuple
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_provider_datarecs.api.errors import (
    ConnectionUnreadable,
    DataRecsError,
    MaybeArrived,
    NeverArrived,
    RateLimited,
    Unavailable,
    Unforeseen,
)
from airflow_provider_datarecs.compat.task_states import are_killed
from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.poller import poller_of

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.targets import Target

    _KillCheck = Tuple[Any, Optional[int], "asyncio.Future[Optional[bool]]"]

PASSES = (RateLimited, NeverArrived, MaybeArrived, Unavailable, ConnectionUnreadable)

_checks: WeakKeyDictionary[asyncio.AbstractEventLoop, list[_KillCheck]] = WeakKeyDictionary()
_at_work: set[asyncio.Task[None]] = set()  # the event loop alone keeps no task alive


async def cancel_if_killed(
    target: Target,
    run_id: str,
    *,
    conn_id: str,
    ti: Any,
    trigger_id: int | None,
    log: Any,
    within: float | None = None,
) -> None:
    """
    Ask Airflow whether a user has ended the task, and if so DataRecs to cancel its run.

    It asks when its turn within the rate limit comes, and raises nothing of what goes wrong.

    :param target: the job or job group
    :param run_id: the run's id
    :param conn_id: the connection's id
    :param ti: the task instance, or what a trigger has of it
    :param trigger_id: the trigger that the task was deferred to, None if it runs in a process
    :param log: the task's logger
    :param within: seconds after which DataRecs is not asked any more, default half an hour
    """
    if not await _may_cancel(target, run_id, ti=ti, trigger_id=trigger_id, log=log):
        return
    reason = f"Task {ti.task_id!r} of DAG {ti.dag_id!r}, DAG run {ti.run_id!r}, was ended in Airflow"
    within = within or config.current().cancel_within
    try:
        answer = await _cancel(target, run_id, conn_id=conn_id, reason=reason, within=within)
    except asyncio.CancelledError:
        _tell(target, run_id, DataRecsError("this process stops before DataRecs has answered"), log)
        raise
    _tell(target, run_id, answer, log)


async def _may_cancel(target: Target, run_id: str, *, ti: Any, trigger_id: int | None, log: Any) -> bool:
    """Say whether a user has ended the task, beyond doubt; tell the log where not."""
    try:
        killed = await _is_killed(ti, trigger_id)
        problem = "the task is gone, as with a DAG run that was deleted"
    except Exception as error:  # noqa: BLE001 - whatever it is, it leaves doubt
        killed, problem = None, type(error).__name__
    if killed is None:
        log.warning(
            "Not cancelled, since Airflow does not say what became of the task (%s): %s",
            problem,
            target.name_run(run_id),
        )
    elif not killed:
        log.info(
            "Not cancelled, since Airflow does not show that a user has ended the task: %s",
            target.name_run(run_id),
        )
    return killed is True


async def _cancel(
    target: Target, run_id: str, *, conn_id: str, reason: str, within: float
) -> bool | DataRecsError:
    """Ask DataRecs to cancel a run; give what went wrong, and else whether it offers that."""
    numbers = config.current()
    over, attempts = time.monotonic() + within, 0

    async def cancel(client: DataRecsClient) -> bool:
        return await client.cancel_run(target, run_id, reason=reason)

    async with poller_of(conn_id) as poller:
        while True:
            answer: bool | DataRecsError = await poller.send_in_turn(cancel, over - time.monotonic())
            is_limit = isinstance(answer, RateLimited)  # the poller waits for that to pass
            attempts += not is_limit
            pause = 0.0 if is_limit else numbers.cancel_pause
            is_over = attempts >= numbers.cancel_attempts or time.monotonic() + pause >= over
            if is_over or not isinstance(answer, PASSES):
                return answer
            await asyncio.sleep(pause)


def _tell(target: Target, run_id: str, answer: bool | DataRecsError, log: Any) -> None:
    if isinstance(answer, DataRecsError):
        log.error(
            "Cancelling failed, so that it may go on: %s: %s. Cancel it at DataRecs.",
            target.name_run(run_id),
            f"{answer}\n{answer.details}" if isinstance(answer, Unforeseen) else answer,
        )
    elif answer:
        log.info("Asked DataRecs to cancel, since a user has ended the task: %s", target.name_run(run_id))
    else:
        log.warning(
            "Not cancelled, so that it may go on, since DataRecs does not offer that: %s. A user has ended "
            "the task.",
            target.name_run(run_id),
        )


async def _is_killed(ti: Any, trigger_id: int | None) -> bool | None:
    """Ask Airflow whether a user has ended a task, together with what else is asked in this moment."""
    loop = asyncio.get_running_loop()
    together = _checks.setdefault(loop, [])
    if not together:
        # In no task's context, as it is for all.
        work = contextvars.Context().run(loop.create_task, _ask_together(loop))
        _at_work.add(work)
        work.add_done_callback(_at_work.discard)
    answer: asyncio.Future[bool | None] = loop.create_future()
    together.append((ti, trigger_id, answer))
    return await answer


async def _ask_together(loop: asyncio.AbstractEventLoop) -> None:
    numbers = config.current()
    at_once = numbers.kills_at_once
    await asyncio.sleep(numbers.kills_together)
    checks = _checks.pop(loop)
    for start in range(0, len(checks), at_once):
        some = checks[start : start + at_once]
        given: list[bool | Exception | None]
        try:
            given = [*await _ask_airflow([(ti, trigger_id) for ti, trigger_id, _ in some])]
        except Exception as error:  # noqa: BLE001 - it leaves each of them in doubt
            given = [error] * len(some)
        for (_, _, answer), killed in zip(some, given):
            if answer.done():
                continue
            if isinstance(killed, Exception):
                answer.set_exception(killed)
            else:
                answer.set_result(killed)


async def _ask_airflow(tasks: list[tuple[Any, int | None]]) -> list[bool | None]:
    numbers, loop, begun = config.current(), asyncio.get_running_loop(), asyncio.Event()

    def ask() -> list[bool | None]:
        loop.call_soon_threadsafe(begun.set)
        return are_killed(tasks)

    # All that asks Airflow does so in one thread; its time to answer counts from when it is asked.
    asking = asyncio.ensure_future(sync_to_async(ask)())
    turn = asyncio.ensure_future(begun.wait())
    try:
        await asyncio.wait(
            {asking, turn}, timeout=numbers.airflow_turn_within, return_when=asyncio.FIRST_COMPLETED
        )
        await asyncio.wait({asking}, timeout=numbers.ask_airflow_within)
        if not asking.done():
            raise asyncio.TimeoutError
        return asking.result()
    finally:
        asking.cancel()
        turn.cancel()
