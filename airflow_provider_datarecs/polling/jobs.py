"""What is waited for: runs, grouped into the questions that one request answers."""

from __future__ import annotations

import contextvars
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Callable

from airflow_provider_datarecs.api.errors import DataRecsError, Unforeseen
from airflow_provider_datarecs.api.parsing import run_ids
from airflow_provider_datarecs.api.runs import run_from
from airflow_provider_datarecs.api.times import epoch_seconds
from airflow_provider_datarecs.polling import monitor
from airflow_provider_datarecs.polling.confirmation import Confirmation
from airflow_provider_datarecs.polling.durations import BEYOND, RunDurations
from airflow_provider_datarecs.polling.schedule import Question

if TYPE_CHECKING:
    import asyncio

    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.parsing import Page
    from airflow_provider_datarecs.api.runs import Run, Shape
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.durations import Spans
    from airflow_provider_datarecs.polling.events import Event
    from airflow_provider_datarecs.polling.monitor import NextPoll, RunMonitor

log = logging.getLogger(__name__)

FORECAST_RUNS = 30  # of a question's runs: enough to say when to ask it, however many it has
FORECAST_SPANS = 120  # for all of these together, of which each has a few at least
LEARNT_FROM = 50  # runs at either end of a list that are learnt from; the newest are at one


class Wait:
    """
    One task's wait for a run.

    :param monitor: judges what is seen of the run
    :param interval: gives the seconds until the next look, after so many looks
    :param event: gets the event that ends the wait
    :param now: the time, by the clock of the event loop
    """

    __slots__ = (
        "_interval",
        "_mistakes",
        "_polls",
        "context",
        "due",
        "event",
        "interval",
        "monitor",
        "timer",
    )

    def __init__(
        self, monitor: RunMonitor, interval: Callable[[int], float], event: asyncio.Future[Event], now: float
    ) -> None:
        self.monitor = monitor
        self.event = event
        self.timer: asyncio.TimerHandle | None = None
        self.due = now
        self.context = contextvars.copy_context()  # by it Airflow tells whose log a line belongs to
        self._interval = interval
        self._polls = 0
        self._mistakes = Confirmation()
        self.interval = self._next_interval()

    def polled(self, now: float) -> None:
        """Take a look into account; one that this wait did not ask for does not lengthen its interval."""
        if now >= self.due:
            self.interval = self._next_interval()
            self._polls += 1
        self.due = now + self.interval

    def judge(self, poll: Run | DataRecsError, next_poll: NextPoll) -> Event | None:
        """Let the watch judge a look, with what it logs in its task's log."""
        try:
            event = self.context.run(self.monitor.judge, poll, next_poll)
        except Exception as error:
            log.exception("A look at run %s of %s cannot be judged", self.monitor.run_id, self.monitor.target)
            mistake = Unforeseen(error)
            return self.monitor.refused(mistake) if self._mistakes.proves(mistake, time.monotonic()) else None
        self._mistakes.clear()
        return event

    def hurry(self, now: float) -> bool:
        """Have the next look come as soon as the watch needs it, and say whether it does."""
        again_in = None if self.event.done() else self.monitor.again_in
        if again_in is not None:
            self.due = now + again_in
        return again_in is not None

    def end(self, event: Event) -> None:
        """End the wait, unless it has ended."""
        if not self.event.done():
            self.event.set_result(event)

    def _next_interval(self) -> float:
        return max(monitor.MIN_POKE_INTERVAL, self._interval(self._polls))


class TrackedRun:
    """
    A run that somebody waits for.

    ``asked`` is when it was asked for last, ``seen`` when it was last seen to go on, ``started`` when it
    began as far as is known, ``ended`` when it ended if a list has said so; ``listed`` is whether its
    job's list tells how it is, on ``page`` (a URL, None for the first one, ``depth`` pages on),
    ``listed_as`` with which fields the list has shown its end, where a result may have more. ``urgent``
    is whether somebody needs a last look at it.
    """

    __slots__ = (
        "alone",
        "asked",
        "asking",
        "depth",
        "ended",
        "id",
        "listed",
        "listed_as",
        "page",
        "seen",
        "started",
        "started_at",
        "urgent",
        "waits",
    )

    def __init__(self, run_id: str, now: float, started: float) -> None:
        self.id = run_id
        self.waits: list[Wait] = []
        self.asked = self.seen = now
        self.started = started
        self.started_at: str | None = None
        self.ended: float | None = None
        self.listed = True
        self.listed_as: Shape | None = None
        self.page: str | None = None
        self.depth = 0
        self.asking = False
        self.urgent = False
        self.alone: RunsQuestion | None = None  # the question about it alone, if there is one

    def forget_lists(self) -> None:
        """Forget what lists have shown and where, since they were another service's."""
        self.ended = self.listed_as = self.page = None
        self.listed, self.depth = True, 0

    def polled(self, poll: Run | DataRecsError, now: float) -> None:
        """Take a look into account."""
        self.urgent = False
        if isinstance(poll, DataRecsError):
            return
        self.seen = now
        if poll.result["started_at"] != self.started_at:
            self.started_at = poll.result["started_at"]
            started = epoch_seconds(self.started_at)
            if started is not None:
                self.started = now - max(0.0, time.time() - started)


class RunsQuestion(Question):
    """
    A request for some runs of a job: for its list, or for one run.

    :param job: the job
    :param runs: those whose state it asks for
    :param as_list: whether the job's list is asked for
    :param now: the time
    """

    __slots__ = ("_page", "as_list", "job", "runs")

    def __init__(self, job: TrackedJob, runs: list[TrackedRun], *, as_list: bool, now: float) -> None:
        super().__init__(now)
        self.job = job
        self.runs = runs
        self.as_list = as_list
        waits = [wait for run in runs for wait in run.waits]
        self.due = min(wait.due for wait in waits)
        self.interval = min(wait.interval for wait in waits)
        self.urgent = any(run.urgent for run in runs)
        self.new = not job.known
        self.weight = float(len(runs))
        if job.known:
            some = runs if len(runs) <= FORECAST_RUNS else random.sample(runs, FORECAST_RUNS)
            self.weight /= len(some)
            most = max(1, FORECAST_SPANS // len(some) - len(BEYOND))
            self.expect(job.forecast(run, most) for run in some)
        self.asked = min(run.asked for run in runs)
        self._page: str | None = None  # that is being asked for

    @property
    def read_since(self) -> float:
        """When the connection must have been read that it is asked on, by ``time.monotonic``."""
        return max(
            (wait.monitor.doubted_at for run in self.runs for wait in run.waits), default=float("-inf")
        )

    async def ask(self, client: DataRecsClient) -> Page | Run:
        """
        Send the request.

        :param client: an open client
        """
        if self.as_list:
            return await client.runs_page(self.job.target, self.runs[0].page)
        return await client.get_run(self.job.target, self.runs[0].id)

    def begin(self) -> None:
        """Note that it is being asked."""
        if self.as_list:
            self._page = self.runs[0].page
            self.job.listing.add(self._page)
        for run in self.runs:
            run.asking = True

    def end(self, now: float) -> None:
        """Note that it has been asked."""
        if self.as_list:
            self.job.listing.discard(self._page)
        for run in self.runs:
            run.asking, run.asked, run.alone = False, now, None


class TrackedJob:
    """
    A job or job group with the runs of it that somebody waits for.

    ``known`` says whether its list has been looked at, ``ask_singly`` that it could not be read,
    ``alone_worked`` that one of its runs could then be asked for alone, ``singly_until`` when to try a list
    again that was then refused once more, ``list_was_useless`` that it told of none of the runs;
    ``listing`` which pages of it are being asked for.

    :param target: the job or job group
    """

    __slots__ = (
        "_over",
        "alone_worked",
        "ask_singly",
        "history",
        "known",
        "list_was_useless",
        "listing",
        "questions",
        "runs",
        "singly_until",
        "target",
    )

    def __init__(self, target: Target) -> None:
        self.target = target
        self.runs: dict[str, TrackedRun] = {}
        self.history = RunDurations()
        self.questions: list[RunsQuestion] = []
        self.listing: set[str | None] = set()
        self.forget_lists()

    def forget_lists(self) -> None:
        """Forget what its lists have shown, since they were another service's."""
        self._over: set[str] = set()  # what the last list showed as such
        self.known = False
        self.ask_singly = False
        self.alone_worked = False
        self.singly_until = 0.0
        self.list_was_useless = False
        self.listing.clear()
        for run in self.runs.values():
            run.forget_lists()

    def forecast(self, run: TrackedRun, most: int) -> Spans:
        """Give the spans of time in which a run may have ended since it was seen, so many or few more."""
        if run.ended is not None:
            return [(run.ended, run.ended, 1.0)]
        return self.history.spans(run.started, run.seen, most)

    def make_questions(self, now: float, *, lists_help: bool) -> list[RunsQuestion]:
        """
        Divide the runs that are not being asked for into questions.

        :param now: the time
        :param lists_help: whether this service's lists tell how runs are
        """
        singly = self.ask_singly or now < self.singly_until or not lists_help
        questions = []
        pages: dict[str | None, list[TrackedRun]] = {}
        for run in self.runs.values():
            if run.asking:
                continue
            if run.listed and not singly:
                pages.setdefault(run.page, []).append(run)
            else:
                # Made anew only where something has changed: there may be thousands.
                run.alone = run.alone or RunsQuestion(self, [run], as_list=False, now=now)
                questions.append(run.alone)
        for page, runs in pages.items():
            # What comes up while a page is being asked for joins the rest of it after the answer.
            if page not in self.listing:
                as_list = len(runs) > 1 or not self.known
                questions.append(RunsQuestion(self, runs, as_list=as_list, now=now))
        return questions

    def read(self, page: Page) -> dict[str, Run]:
        """
        Give those of a list's runs that somebody waits for; learn from the rest how long runs take.

        :param page: a page of the job's list, of whatever size
        """
        self.known = True
        self._learn_from([*page.items[:LEARNT_FROM], *page.items[LEARNT_FROM:][-LEARNT_FROM:]])
        items = ((run_id, page.by_id[run_id]) for run_id in self.runs if run_id in page.by_id)
        runs = (run_from(item, self.target, run_id) for run_id, item in items)
        return {run.id: run for run in runs if run is not None}  # the others are another job's

    def _learn_from(self, items: list[dict[str, Any]]) -> None:
        """Learn how long the runs took that are over, once of each."""
        over = set()
        for item in items:
            if not self._over.isdisjoint(run_ids(item)):
                over.update(run_ids(item))
                continue
            run = run_from(item, self.target)
            if run is not None and run.is_finished:
                over.update(run_ids(item))
                started = epoch_seconds(run.result["started_at"])
                ended = epoch_seconds(run.result["completed_at"])
                if started is not None and ended is not None:
                    self.history.learn(run.id, ended=ended, seconds=ended - started)
        self._over = over
