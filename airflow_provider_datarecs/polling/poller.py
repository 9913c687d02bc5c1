"""
Polls runs for all waits on a connection, in each event loop: one client, one pace, one schedule.

Waits come and go; those for the same run, or for runs of one job, are answered by one request.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Awaitable, Callable
from weakref import WeakKeyDictionary

from airflow_provider_datarecs.api.errors import RateLimited, Unforeseen
from airflow_provider_datarecs.api.runs import Run
from airflow_provider_datarecs.api.times import epoch_seconds
from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.confirmation import CONNECTION_IS_REFUSED, Confirmation
from airflow_provider_datarecs.polling.freezing import wait_freezer
from airflow_provider_datarecs.polling.hints import HintListener
from airflow_provider_datarecs.polling.learned import learned_of
from airflow_provider_datarecs.polling.metrics import Load, PollerMetrics
from airflow_provider_datarecs.polling.queue import RequestQueue
from airflow_provider_datarecs.polling.registry import WaitRegistry
from airflow_provider_datarecs.polling.sender import RequestSender
from airflow_provider_datarecs.polling.waits import Wait

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.errors import DataRecsError
    from airflow_provider_datarecs.api.parsing import Page
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.events import Event
    from airflow_provider_datarecs.polling.lookup import Answer
    from airflow_provider_datarecs.polling.monitor import RunMonitor
    from airflow_provider_datarecs.polling.queue import QueuedRequest
    from airflow_provider_datarecs.polling.request import PollRequest, TrackedRun

log = logging.getLogger(__name__)

_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Poller]] = WeakKeyDictionary()


async def wait_for(monitor: RunMonitor, interval: Callable[[int], float], pause: float = 0.0) -> Event:
    """
    Poll a run until its wait is over, together with all other waits on the connection in this event loop.

    :param monitor: judges what polls show of the run
    :param interval: gives the seconds until the next poll, after so many polls
    :param pause: seconds until the first poll, default none; the connection is read meanwhile
    """
    async with poller_of(monitor.wait.conn_id) as poller:
        poller.refresh_soon()
        await asyncio.sleep(pause)
        wait = poller.add(monitor, interval)
        wait_freezer().joined()
        try:
            return await wait.event
        finally:
            poller.waits.remove(wait)
            wait_freezer().left()


def poller_of(conn_id: str) -> PollerUse:
    """
    Give the poller of a connection in this event loop; it closes when nobody needs it any more.

    :param conn_id: the connection's id
    """
    return PollerUse(conn_id)


class PollerUse:
    """
    The use of a poller by somebody, as a context manager; of contextlib, one would take half a kilobyte.

    :param conn_id: the connection's id
    """

    __slots__ = ("_conn_id",)

    def __init__(self, conn_id: str) -> None:
        self._conn_id = conn_id

    async def __aenter__(self) -> Poller:
        pollers = _by_loop.setdefault(asyncio.get_running_loop(), {})
        poller = pollers.get(self._conn_id)
        if poller is None:
            poller = pollers[self._conn_id] = Poller(self._conn_id)
        poller.users += 1
        return poller

    async def __aexit__(self, *_: object) -> None:
        pollers = _by_loop[asyncio.get_running_loop()]
        poller = pollers[self._conn_id]
        poller.users -= 1
        if not poller.users:
            del pollers[self._conn_id]
            await asyncio.shield(poller.close())  # Airflow cancels a trigger twice


class Poller:
    """
    Send what the waits on a connection need to know; ``users`` is how many need this poller.

    :param conn_id: the connection's id
    """

    def __init__(self, conn_id: str) -> None:
        self.users = 0
        learned = learned_of(conn_id)
        self.waits = WaitRegistry(learned)
        self._conn_id = conn_id
        self._confirmation = Confirmation()  # of what would end all waits
        self._metrics = PollerMetrics(conn_id)
        self._sender = RequestSender(conn_id, self._metrics, self._forget_service, learned)
        self._queue = RequestQueue()
        self._queue_had_turn = False  # the last one
        self._hints = HintListener(conn_id, self.waits, self._metrics)
        # In no task's context, else all that they log would be in the log of the first.
        nobodys, loop = contextvars.Context(), asyncio.get_running_loop()
        work = (self._send_on(), self._report_on(), self._hints.listen())
        self._tasks = [nobodys.run(loop.create_task, part) for part in work]

    def refresh_soon(self) -> None:
        """Read the connection, unless it just was, since somebody joins who may know it as another."""
        self._sender.client.refresh_soon()

    def add(self, monitor: RunMonitor, interval: Callable[[int], float]) -> Wait:
        """
        Take up a wait.

        :param monitor: judges what polls show of its run
        :param interval: gives the seconds until the next poll, after so many polls
        """
        wait = self.waits.add(monitor, interval)
        self._hints.note_wait(monitor.wait.target, monitor.wait.run_id)
        return wait

    @property
    def service(self) -> int:
        """Tell apart the services that the connection has led to, by how often it has changed."""
        return self._sender.client.changes

    async def send_in_turn(self, call: Callable[[DataRecsClient], Awaitable[Any]], within: float) -> Any:
        """
        Send a request that is no poll when its turn comes, and give what comes of it, which may be an error.

        :param call: what to do with the open client
        :param within: seconds after which it is not sent any more
        """
        self.waits.changed.set()
        return await self._queue.send_in_turn(call, within)

    async def close(self) -> None:
        """Stop polling, and close the client."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.waits.close()
        await self._sender.close()

    # --- sending ---

    async def _send_on(self) -> None:
        while True:
            try:
                await self._send_next()
            except Exception as error:  # noqa: PERF203 - the next turn may go well
                log.exception("Connection %s: its waits cannot be polled just now", self._conn_id)
                await self._do_for_all(partial(Wait.judge, answer=Unforeseen(error)))
                await asyncio.sleep(config.current().pause_after_mistake)
                self.waits.start_over()

    async def _send_next(self) -> None:
        """Start the next request, once there is one and the pace allows it."""
        # What would end all waits is not asked for at once by each.
        confirm_at = self._confirmation.since + config.current().confirm_after
        pause = max(self._sender.pacer.opens_for_urgent_at(), confirm_at) - time.monotonic()
        if pause > 0:
            await _wait_for(self._sender.changed, pause)
            return  # an answer may have changed the pause
        await self.waits.plan()
        now, opens_at = time.monotonic(), self._sender.pacer.opens_at()
        request, next_at = self._choose(now, opens_at)
        # In turn, so that neither kills nor polls keep the others from theirs.
        is_queues_turn = request is None or not self._queue_had_turn
        queued = (
            self._queue.next() if is_queues_turn and opens_at <= now and not self._sender.is_full else None
        )
        if queued is not None:
            self._queue_had_turn = True
            self._sender.start(self._send_queued(queued), self.waits.changed.set)
            return
        if request is None:
            await _wait_for(self.waits.changed, min(next_at - now, config.current().max_sleep))
            return
        self._queue_had_turn = False
        self.waits.take_out(request)
        self._sender.start(self._poll(request, self.service), self.waits.changed.set)

    def _choose(self, now: float, opens_at: float) -> tuple[PollRequest | None, float]:
        """Give the poll to send now, and if there is none when to look again."""
        if self._sender.is_full:
            return None, float("inf")
        request, soonest = self.waits.next(now, self._round_time(), only_urgent=opens_at > now)
        if opens_at > now:
            return request, min(soonest, opens_at)
        is_spare = request is not None and not request.is_urgent and not self.waits.is_turn_of_others
        if request is not None and is_spare and self._hints.interval_factor(request.lookup.target.kind) > 1.0:
            # Only a safety net: its event is going to say when the run has ended.
            opens_at = self._sender.pacer.opens_for_spare_at()
            if opens_at > now:
                return None, min(soonest, opens_at)
        return request, soonest

    def _round_time(self) -> float:
        return (self.waits.scheduled + self._sender.in_flight) * self._sender.pacer.usual_pause

    async def _send_queued(self, queued: QueuedRequest) -> None:
        try:
            answer = await self._sender.send(queued.call)
        except Exception as error:
            log.exception("Connection %s: an answer cannot be taken in", self._conn_id)
            answer = Unforeseen(error)
        queued.end(answer)  # else who has asked would wait for good

    async def _poll(self, request: PollRequest, planned_for: int) -> None:
        """Send a request, which was planned after so many changes of the connection, and tell the answer."""
        client = self._sender.client
        service, sent_at = planned_for, time.monotonic()

        async def send(opened: DataRecsClient) -> Page | Run:
            nonlocal service
            service = client.changes
            return await request.send(opened, is_planned_for_it=service == planned_for)

        try:
            try:
                answer = await self._sender.send(send, read_since=request.read_since)
            finally:
                request.lookup.end(request, time.monotonic())
            if service == client.changes:  # else it is the word of another service
                await self._take(request, answer, sent_at)
        except Exception as error:
            log.exception("Connection %s: an answer cannot be taken in", self._conn_id)
            for run in request.runs:
                self._tell(request, run, Unforeseen(error), sent_at)
        finally:
            self.waits.note_change(request.lookup)

    # --- telling ---

    async def _take(self, request: PollRequest, answer: Answer, sent_at: float) -> None:
        """Let the waits know what an answer says."""
        now = time.monotonic()
        for watch in request.watches:
            watch.take(answer, now, sent_at)
        refusal = answer if isinstance(answer, (*CONNECTION_IS_REFUSED, RateLimited)) else None
        if self._confirmation.confirms(refusal, now) and refusal is not None:
            error = refusal
            self._confirmation.clear()  # who joins from now on is told no sooner
            await self._do_for_all(lambda wait: wait.end(wait.monitor.refused(error)))
            return
        for run, seen in request.lookup.read(request, answer, now):
            self._tell(request, run, seen, sent_at)

    def _tell(
        self, request: PollRequest, run: TrackedRun, answer: Run | DataRecsError, sent_at: float
    ) -> None:
        """Let the waits for a run judge what a poll shows of it."""
        now, longest = time.monotonic(), config.current().max_rounds * self._round_time()
        target, was_going = request.lookup.target, run.was_going
        run.take(answer, now)
        if isinstance(answer, Run) and answer.is_finished:
            self._note_end(target, answer, was_going=was_going)
        factor = self._hints.interval_factor(target.kind)
        for wait in run.waits:
            wait.take(answer, now, longest, sent_at=sent_at, factor=factor)

    def _note_end(self, target: Target, run: Run, *, was_going: bool) -> None:
        was_hinted = self._hints.note_end(target, run.id, was_going=was_going)
        ended = epoch_seconds(run.result["completed_at"])
        if ended is not None:
            self._metrics.noticed(max(0.0, time.time() - ended), was_hinted=was_hinted)

    async def _do_for_all(self, act: Callable[[Wait], object]) -> None:
        for count, wait in enumerate(self.waits.waits, start=1):
            act(wait)
            if count % config.current().told_at_once == 0:
                await asyncio.sleep(0)

    def _forget_service(self) -> None:
        """Forget what is known of another service or key than the connection is for now."""
        self._confirmation.clear()
        self.waits.forget_lists()

    # --- reporting ---

    async def _report_on(self) -> None:
        while True:
            await asyncio.sleep(config.current().report_every)
            pacer, wanted = self._sender.pacer, self.waits.wanted
            load = Load(
                waits=self.waits.size,
                requests=sum(wanted.values()),
                wanted=sum(
                    count * 60.0 / (interval * self._hints.interval_factor(kind))
                    for (kind, interval), count in wanted.items()
                ),
                possible=60.0 / pacer.usual_pause,
                limit=pacer.limit,
                longest=config.current().max_rounds * self._round_time(),
            )
            try:
                await self._metrics.report(load, time.monotonic())
            except Exception:
                log.exception("Connection %s: its metrics cannot be sent", self._conn_id)


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    # Not asyncio.wait_for, which before Python 3.12 swallows a cancellation that comes with the event.
    alarm = asyncio.get_running_loop().call_later(seconds, event.set)
    try:
        await event.wait()
    finally:
        alarm.cancel()
        event.clear()
