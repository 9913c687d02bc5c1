"""
Looks at runs for all waits on a connection, in each event loop: one client, one budget, one schedule.

Waits come and go; those for the same run, or for runs of one job, are answered by one request.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from typing import TYPE_CHECKING, Callable
from weakref import WeakKeyDictionary

from airflow_provider_datarecs.api.errors import InvalidSettings, LimitUsedUp, RateLimited, Unauthorized
from airflow_provider_datarecs.api.retry import limit_wait
from airflow_provider_datarecs.api.runs import Run, epoch
from airflow_provider_datarecs.waits.budget import Budget
from airflow_provider_datarecs.waits.connection import Connection
from airflow_provider_datarecs.waits.jobs import RunsQuestion, TrackedJob, TrackedRun, Wait
from airflow_provider_datarecs.waits.looks import Reader
from airflow_provider_datarecs.waits.schedule import ROUNDS, Schedule
from airflow_provider_datarecs.waits.telemetry import EVERY, Load, Telemetry

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.errors import DataRecsError
    from airflow_provider_datarecs.api.runs import Runnable
    from airflow_provider_datarecs.waits.events import Event
    from airflow_provider_datarecs.waits.looks import Answer
    from airflow_provider_datarecs.waits.schedule import Question
    from airflow_provider_datarecs.waits.watch import NextLook, Watch

log = logging.getLogger(__name__)

# What would meet every other wait on the connection as well.
CONNECTION_IS_REFUSED = (Unauthorized, InvalidSettings)
LONGEST_SLEEP = 60.0  # seconds, in case a clock jumps
LAST_LOOK_WITHIN = (
    300.0  # seconds after its deadline that a wait goes on, if it has to queue for its last look
)
AT_ONCE = 50  # waits that are told the same before the event loop has its turn

_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Poller]] = WeakKeyDictionary()


async def wait_for(watch: Watch, interval: Callable[[int], float]) -> Event:
    """
    Look at a run until its wait is over, together with all other waits on the connection in this event loop.

    :param watch: judges what is seen of the run
    :param interval: gives the seconds until the next look, after so many looks
    """
    pollers = _by_loop.setdefault(asyncio.get_running_loop(), {})
    poller = pollers.get(watch.conn_id)
    if poller is None:
        poller = pollers[watch.conn_id] = Poller(watch.conn_id)
    wait = poller.add(watch, interval)
    try:
        return await wait.event
    finally:
        if poller.remove(wait):
            del pollers[watch.conn_id]
            await asyncio.shield(poller.close())  # Airflow cancels a trigger twice


class Poller:
    """
    Hold the waits on a connection, and ask for what they wait for.

    :param conn_id: the connection's id
    """

    def __init__(self, conn_id: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._conn_id = conn_id
        self._connection = Connection(conn_id)
        self._budget = Budget(self._connection.seen_limit)
        self._schedule = Schedule()
        self._reader = Reader(conn_id)
        self._telemetry = Telemetry(conn_id)
        self._jobs: dict[Runnable, TrackedJob] = {}
        self._changed_jobs: set[TrackedJob] = set()
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._waits = 0
        self._requests: set[asyncio.Task[None]] = set()
        # In no task's context, else all that they log would be in the log of the first.
        nobodys = contextvars.Context()
        self._asking = nobodys.run(self._loop.create_task, self._ask_on())
        self._reporting = nobodys.run(self._loop.create_task, self._report_on())

    # --- waits come and go ---

    def add(self, watch: Watch, interval: Callable[[int], float]) -> Wait:
        """Take up a wait; the parameters are those of :func:`wait_for`."""
        now = time.monotonic()
        wait = Wait(watch, interval, self._loop.create_future(), now)
        job = self._jobs.get(watch.runnable)
        if job is None:
            job = self._jobs[watch.runnable] = TrackedJob(watch.runnable)
        run = job.runs.get(watch.run_id)
        if run is None:
            started = now - max(0.0, time.time() - watch.since)
            run = job.runs[watch.run_id] = TrackedRun(watch.run_id, now, started)
        run.waits.append(wait)
        run.alone = None
        self._waits += 1
        left = max(0.0, watch.deadline - time.time())
        wait.timer = self._loop.call_later(left, self._deadline_reached, job, run, wait, context=wait.context)
        self._note_change(job)
        return wait

    def remove(self, wait: Wait) -> bool:
        """Forget a wait, and say whether it was the last one."""
        self._waits -= 1
        if wait.timer is not None:
            wait.timer.cancel()
        job = self._jobs[wait.watch.runnable]
        run = job.runs[wait.watch.run_id]
        run.waits.remove(wait)
        run.alone = None
        if not run.waits:
            del job.runs[run.id]
        self._note_change(job)
        return not self._waits

    async def close(self) -> None:
        """Stop asking, and close the client."""
        tasks = [self._asking, self._reporting, *self._requests]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._connection.close()

    def _deadline_reached(self, job: TrackedJob, run: TrackedRun, wait: Wait) -> None:
        wait.due = time.monotonic()
        run.urgent, run.alone = True, None
        wait.timer = self._loop.call_later(LAST_LOOK_WITHIN, self._give_up, wait)
        self._note_change(job)

    def _give_up(self, wait: Wait) -> None:
        if not wait.event.done():
            wait.event.set_result(wait.watch.give_up())

    def _note_change(self, job: TrackedJob) -> None:
        self._changed_jobs.add(job)
        self._changed.set()

    # --- asking ---

    async def _ask_on(self) -> None:
        while True:
            try:
                await self._ask_next()
            except Exception as error:  # noqa: PERF203 - the next turn may go well
                log.exception("Connection %s: its waits fail for a mistake in this provider", self._conn_id)
                self._fail(self._all_waits(), error)
                await asyncio.sleep(1.0)

    async def _ask_next(self) -> None:
        """Start the next request, once there is something to ask and the budget allows it."""
        pause = self._budget.opens_at() - time.monotonic()
        if pause > 0:
            await self._wait_for(self._answered, pause)
            return  # an answer may have changed the pause
        await self._renew_questions()
        question = await self._next_question()
        if question is not None:
            question.begin()
            self._schedule.questions.discard(question)
            self._budget.sent(time.monotonic())
            request = self._loop.create_task(self._ask(question))
            self._requests.add(request)
            request.add_done_callback(self._end)

    async def _renew_questions(self) -> None:
        """Make the questions anew of all jobs about which something has changed."""
        while self._changed_jobs:
            job = self._changed_jobs.pop()
            self._schedule.questions.difference_update(job.questions)
            now = time.monotonic()
            lists_help = self._reader.lists_help(job.runnable.kind, now)
            job.questions = job.make_questions(now, lists_help=lists_help)
            self._schedule.questions.update(job.questions)
            if not job.runs and self._jobs.get(job.runnable) is job:
                del self._jobs[job.runnable]
            await asyncio.sleep(0)

    async def _next_question(self) -> RunsQuestion | None:
        """Give what to ask now; where there is nothing, wait until something may be due and give None."""
        now, soonest = time.monotonic(), float("inf")
        question: Question | None = None
        if len(self._requests) < self._budget.limits.max_concurrent_requests:
            question, soonest = self._schedule.next(now, self._round_time())
        if isinstance(question, RunsQuestion):
            return question
        await self._wait_for(self._changed, min(soonest - now, LONGEST_SLEEP))
        return None

    async def _wait_for(self, event: asyncio.Event, seconds: float) -> None:
        # Not asyncio.wait_for, which before Python 3.12 swallows a cancellation that comes with the event.
        alarm = self._loop.call_later(seconds, event.set)
        try:
            await event.wait()
        finally:
            alarm.cancel()
            event.clear()

    def _round_time(self) -> float:
        return (len(self._schedule.questions) + len(self._requests)) * self._budget.usual_pause

    def _end(self, request: asyncio.Task[None]) -> None:
        self._requests.discard(request)
        self._changed.set()

    async def _ask(self, question: RunsQuestion) -> None:
        try:
            try:
                answer = await self._connection.ask(question.ask)
            finally:
                question.end(time.monotonic())
                self._budget.answered(time.monotonic())
            self._account(answer)
            if isinstance(answer, CONNECTION_IS_REFUSED):
                await self._tell_all(answer)
            else:
                for run, look in self._reader.read(question, answer, time.monotonic()):
                    self._tell(run, look)
        except Exception as error:  # noqa: BLE001 - it is raised in the triggers
            self._fail([wait for run in question.runs for wait in run.waits], error)
        self._note_change(question.job)

    def _account(self, answer: Answer) -> None:
        """Let the budget and the metrics know of an answer."""
        settings = self._connection.settings
        if settings is not None and settings.limits != self._budget.limits:
            self._budget.configure(settings.limits)
        if isinstance(answer, RateLimited) and not isinstance(answer, LimitUsedUp):
            self._budget.refused(time.monotonic(), limit_wait(answer))
        self._answered.set()
        self._telemetry.count(answer)

    # --- telling ---

    def _tell(self, run: TrackedRun, look: Run | DataRecsError) -> None:
        """Let the waits for a run judge a look at it."""
        now, longest = time.monotonic(), ROUNDS * self._round_time()
        run.looked(look, now)
        for wait in run.waits:
            wait.looked(now)
            self._judge(wait, look, (wait.interval, max(wait.interval, longest)))

    async def _tell_all(self, look: DataRecsError) -> None:
        for count, wait in enumerate(self._all_waits(), start=1):
            self._judge(wait, look)
            if count % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _judge(self, wait: Wait, look: Run | DataRecsError, next_look: NextLook = None) -> None:
        if wait.event.done():
            return
        event = wait.judge(look, next_look)
        if event is not None:
            wait.event.set_result(event)
            ended = epoch(look.result["completed_at"]) if isinstance(look, Run) and look.is_finished else None
            if ended is not None:
                self._telemetry.noticed(max(0.0, time.time() - ended))

    def _fail(self, waits: list[Wait], error: Exception) -> None:
        # A mistake in this provider must leave nobody waiting for ever.
        for wait in waits:
            if not wait.event.done():
                wait.event.set_exception(error)

    def _all_waits(self) -> list[Wait]:
        return [wait for job in self._jobs.values() for run in job.runs.values() for wait in run.waits]

    # --- reporting ---

    async def _report_on(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            questions = [question for job in self._jobs.values() for question in job.questions]
            pause = self._budget.usual_pause
            load = Load(
                waits=self._waits,
                questions=len(questions),
                wanted=sum(60.0 / question.interval for question in questions),
                possible=60.0 / pause,
                limit=self._budget.limit,
                longest=ROUNDS * self._round_time(),
            )
            try:
                await self._telemetry.report(load, time.monotonic())
            except Exception:
                log.exception("Connection %s: its metrics cannot be sent", self._conn_id)
