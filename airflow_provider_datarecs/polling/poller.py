"""
Looks at runs for all waits on a connection, in each event loop: one client, one budget, one schedule.

Waits come and go; those for the same run, or for runs of one job, are answered by one request.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, AsyncIterator, Awaitable, Callable, Coroutine
from weakref import WeakKeyDictionary

from airflow_provider_datarecs.api.errors import LimitUsedUp, RateLimited, Unforeseen
from airflow_provider_datarecs.api.retry import limit_wait
from airflow_provider_datarecs.api.runs import Run
from airflow_provider_datarecs.api.times import epoch_seconds
from airflow_provider_datarecs.polling import confirmation
from airflow_provider_datarecs.polling.agenda import Agenda
from airflow_provider_datarecs.polling.client import RefreshingClient
from airflow_provider_datarecs.polling.looks import Reader
from airflow_provider_datarecs.polling.metrics import EVERY, Load, PollerMetrics
from airflow_provider_datarecs.polling.pacer import RequestPacer
from airflow_provider_datarecs.polling.queue import QueuedRequest, RequestQueue
from airflow_provider_datarecs.polling.schedule import ROUNDS

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.errors import DataRecsError
    from airflow_provider_datarecs.api.parsing import Page
    from airflow_provider_datarecs.polling.events import Event
    from airflow_provider_datarecs.polling.jobs import RunsQuestion, TrackedRun, Wait
    from airflow_provider_datarecs.polling.looks import Answer
    from airflow_provider_datarecs.polling.monitor import NextPoll, RunMonitor

log = logging.getLogger(__name__)

LONGEST_SLEEP = 60.0  # seconds, in case a clock jumps
AFTER_A_MISTAKE = 10.0  # seconds until the next turn
AT_ONCE = 50  # waits that are told the same before the event loop has its turn

_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Poller]] = WeakKeyDictionary()


async def wait_for(monitor: RunMonitor, interval: Callable[[int], float], pause: float = 0.0) -> Event:
    """
    Look at a run until its wait is over, together with all other waits on the connection in this event loop.

    :param monitor: judges what is seen of the run
    :param interval: gives the seconds until the next look, after so many looks
    :param pause: seconds until the first look, default none; the connection is read meanwhile
    """
    async with poller_of(monitor.conn_id) as poller:
        poller.refresh_soon()
        await asyncio.sleep(pause)
        wait = poller.agenda.add(monitor, interval)
        try:
            return await wait.event
        finally:
            poller.agenda.remove(wait)


@asynccontextmanager
async def poller_of(conn_id: str) -> AsyncIterator[Poller]:
    """
    Give the poller of a connection in this event loop; it closes when nobody needs it any more.

    :param conn_id: the connection's id
    """
    pollers = _by_loop.setdefault(asyncio.get_running_loop(), {})
    poller = pollers.get(conn_id)
    if poller is None:
        poller = pollers[conn_id] = Poller(conn_id)
    poller.users += 1
    try:
        yield poller
    finally:
        poller.users -= 1
        if not poller.users:
            del pollers[conn_id]
            await asyncio.shield(poller.close())  # Airflow cancels a trigger twice


class Poller:
    """
    Ask for what the waits on a connection want to know, its ``agenda``; ``users`` is how many need it.

    :param conn_id: the connection's id
    """

    def __init__(self, conn_id: str) -> None:
        self.users = 0
        self._loop = asyncio.get_running_loop()
        self._conn_id = conn_id
        self._client = RefreshingClient(conn_id)
        self._changes = 0  # of the connection, that are taken up
        self._confirmation = confirmation.Confirmation()  # of what would end all waits
        self._pacer = RequestPacer(self._client.rate_limit_state)
        self.agenda = Agenda()
        self._queue = RequestQueue()
        self._had_errand = False  # the last turn
        self._reader = Reader(conn_id)
        self._metrics = PollerMetrics(conn_id)
        self._answered = asyncio.Event()
        self._requests: set[asyncio.Task[None]] = set()
        # In no task's context, else all that they log would be in the log of the first.
        nobodys = contextvars.Context()
        self._asking = nobodys.run(self._loop.create_task, self._ask_on())
        self._reporting = nobodys.run(self._loop.create_task, self._report_on())

    def refresh_soon(self) -> None:
        """Read the connection, unless it just was, since somebody joins who may know it as another."""
        self._client.refresh_soon()

    async def answer_to(self, ask: Callable[[DataRecsClient], Awaitable[Any]], within: float) -> Any:
        """
        Send a request that is no look when its turn comes, and give what comes of it, which may be an error.

        :param ask: what to do with the open client
        :param within: seconds after which it is not sent any more
        """
        self.agenda.changed.set()
        return await self._queue.answer_to(ask, within)

    async def close(self) -> None:
        """Stop asking, and close the client."""
        tasks = [self._asking, self._reporting, *self._requests]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    # --- asking ---

    async def _ask_on(self) -> None:
        while True:
            try:
                await self._ask_next()
            except Exception as error:  # noqa: PERF203 - the next turn may go well
                log.exception("Connection %s: its waits cannot be looked at just now", self._conn_id)
                await self._do_for_all(partial(self._judge, poll=Unforeseen(error)))
                await asyncio.sleep(AFTER_A_MISTAKE)
                self.agenda.note_changes()

    async def _ask_next(self) -> None:
        """Start the next request, once there is something to ask and the budget allows it."""
        # What would end all waits is not asked for at once by each.
        opens_at = max(self._pacer.opens_at(), self._confirmation.since + confirmation.CONFIRM_AFTER)
        pause = opens_at - time.monotonic()
        if pause > 0:
            await self._wait_for(self._answered, pause)
            return  # an answer may have changed the pause
        await self.agenda.renew_questions(self._reader.lists_help)
        now, soonest = time.monotonic(), float("inf")
        question: RunsQuestion | None = None
        if len(self._requests) < self._pacer.limits.max_concurrent_requests:
            question, soonest = self.agenda.next(now, self._round_time())
            # In turn, so that neither kills nor looks keep the others from theirs.
            request = None if self._had_errand and question is not None else self._queue.next()
            if request is not None:
                self._start(self._run(request), is_errand=True)
                return
        if question is None:
            await self._wait_for(self.agenda.changed, min(soonest - now, LONGEST_SLEEP))
            return
        self.agenda.take_out(question)
        self._start(self._ask(question), is_errand=False)

    def _start(self, work: Coroutine[Any, Any, None], *, is_errand: bool) -> None:
        self._had_errand = is_errand
        self._pacer.sent(time.monotonic())
        request = self._loop.create_task(work)
        self._requests.add(request)
        request.add_done_callback(self._end)

    async def _wait_for(self, event: asyncio.Event, seconds: float) -> None:
        # Not asyncio.wait_for, which before Python 3.12 swallows a cancellation that comes with the event.
        alarm = self._loop.call_later(seconds, event.set)
        try:
            await event.wait()
        finally:
            alarm.cancel()
            event.clear()

    def _round_time(self) -> float:
        return (len(self.agenda) + len(self._requests)) * self._pacer.usual_pause

    def _end(self, request: asyncio.Task[None]) -> None:
        self._requests.discard(request)
        self.agenda.changed.set()

    async def _run(self, request: QueuedRequest) -> None:
        pacer = self._pacer
        try:
            answer = await self._client.ask(request.ask)
        finally:
            pacer.answered(time.monotonic())
        request.end(answer)
        self._account(answer)

    async def _ask(self, question: RunsQuestion) -> None:
        pacer, asked = self._pacer, self._changes

        async def ask(client: DataRecsClient) -> Page | Run:
            nonlocal asked
            self._take_up_changes()  # before it asks for a page that may be another service's
            asked = self._changes
            return await question.ask(client)

        try:
            try:
                answer = await self._client.ask(ask, read_since=question.read_since)
            finally:
                question.end(time.monotonic())
                pacer.answered(time.monotonic())
            self._account(answer)
            if asked == self._changes:
                await self._take(question, answer)
        except Exception as error:
            log.exception("Connection %s: an answer cannot be taken in", self._conn_id)
            for run in question.runs:
                self._tell(run, Unforeseen(error))
        finally:
            self.agenda.note_change(question.job)

    def _account(self, answer: Any | DataRecsError) -> None:
        """Let the budget and the metrics know of an answer."""
        self._take_up_changes()
        settings = self._client.settings
        if settings is not None and settings.rate_limit != self._pacer.limits:
            self._pacer.configure(settings.rate_limit)
        if isinstance(answer, RateLimited) and not isinstance(answer, LimitUsedUp):
            self._pacer.refused(time.monotonic(), limit_wait(answer))
        self._answered.set()
        self._metrics.count(answer)

    def _take_up_changes(self) -> None:
        """Forget what is known of another service or key than the connection is for now."""
        if self._changes == self._client.changes:
            return
        self._changes = self._client.changes
        self._pacer = RequestPacer(self._client.rate_limit_state)
        self._reader = Reader(self._conn_id)
        self._confirmation.clear()
        self.agenda.forget_lists()

    async def _take(self, question: RunsQuestion, answer: Answer) -> None:
        """Let the waits know what an answer says."""
        now = time.monotonic()
        refusal = answer if isinstance(answer, (*confirmation.CONNECTION_IS_REFUSED, RateLimited)) else None
        if self._confirmation.proves(refusal, now) and refusal is not None:
            error = refusal
            self._confirmation.clear()  # who joins from now on is told no sooner
            await self._do_for_all(lambda wait: wait.end(wait.monitor.refused(error)))
            return
        for run, poll in self._reader.read(question, answer, now):
            self._tell(run, poll)

    # --- telling ---

    def _tell(self, run: TrackedRun, poll: Run | DataRecsError) -> None:
        """Let the waits for a run judge a look at it."""
        now, longest = time.monotonic(), ROUNDS * self._round_time()
        run.polled(poll, now)
        for wait in run.waits:
            wait.polled(now)
            self._judge(wait, poll, (wait.interval, max(wait.interval, longest)))
            run.urgent |= wait.hurry(now)

    def _judge(self, wait: Wait, poll: Run | DataRecsError, next_poll: NextPoll = None) -> None:
        event = None if wait.event.done() else wait.judge(poll, next_poll)
        if event is None:
            return
        wait.end(event)
        ended = None
        if isinstance(poll, Run) and poll.is_finished:
            ended = epoch_seconds(poll.result["completed_at"])
        if ended is not None:
            self._metrics.noticed(max(0.0, time.time() - ended))

    async def _do_for_all(self, act: Callable[[Wait], None]) -> None:
        for count, wait in enumerate(self.agenda.waits, start=1):
            act(wait)
            if count % AT_ONCE == 0:
                await asyncio.sleep(0)

    # --- reporting ---

    async def _report_on(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            questions, pause = self.agenda.questions, self._pacer.usual_pause
            load = Load(
                waits=self.agenda.size,
                questions=len(questions),
                wanted=sum(60.0 / question.interval for question in questions),
                possible=60.0 / pause,
                limit=self._pacer.limit,
                longest=ROUNDS * self._round_time(),
            )
            try:
                await self._metrics.report(load, time.monotonic())
            except Exception:
                log.exception("Connection %s: its metrics cannot be sent", self._conn_id)
