"""Plans the requests that tell how a job's runs are, and reads the answers."""

from __future__ import annotations

import random
from array import array
from typing import TYPE_CHECKING, List, Sequence, Tuple, Union

from airflow_provider_datarecs.api.errors import (
    DataRecsError,
    Forbidden,
    NotFound,
    Redirected,
    Rejected,
    UnreadableAnswer,
)
from airflow_provider_datarecs.api.parsing import Page, run_ids
from airflow_provider_datarecs.api.runs import Run, run_from
from airflow_provider_datarecs.api.times import epoch_seconds
from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.clock import to_monotonic
from airflow_provider_datarecs.polling.durations import KnownRun, RunDurations, short_hash
from airflow_provider_datarecs.polling.list_state import JobList, Response, ServiceLists
from airflow_provider_datarecs.polling.losses import LossCurve
from airflow_provider_datarecs.polling.plan import RequestPlan
from airflow_provider_datarecs.polling.request import FIRST_PAGE, ListPage, PollRequest, TrackedRun

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.watches import RunsWatch

Answer = Union[Page, Run, DataRecsError]
Polls = List[Tuple[TrackedRun, Union[Run, DataRecsError]]]
# What a list may meet although its runs can be asked for one by one. Everything else that goes wrong would go
# wrong with them, too.
LIST_IS_REFUSED = (NotFound, Forbidden, Rejected, Redirected, UnreadableAnswer)


class RunLookup:
    """
    Plan the requests for those runs of a job or job group that somebody waits for, and read the answers.

    :param target: the job or job group
    :param service: takes down what the lists of all jobs on the connection are worth
    :param durations: how long its runs took, default None, until a page of the list has been read
    """

    __slots__ = ("_known_ends", "_list", "_plan", "durations", "runs", "target", "watches")

    def __init__(self, target: Target, service: ServiceLists, durations: RunDurations | None = None) -> None:
        self.target = target
        self.runs: dict[str, TrackedRun] = {}
        self.watches: list[RunsWatch] = []
        self._plan = RequestPlan(self)
        self._list = JobList(target, service)
        self.forget_list()
        self.durations: RunDurations | None = durations

    def forget_list(self) -> None:
        """Forget what the list has shown, since it was another service's."""
        self._list.forget()
        self.durations = None
        self._known_ends = array("I")  # the hashes of the runs that the last page showed as finished
        for run in self.runs.values():
            run.forget_list()

    def curve(self, runs: list[TrackedRun], watches: Sequence[RunsWatch] = ()) -> LossCurve:
        """
        Tell what it costs not to ask about some runs.

        :param runs: some of those that somebody waits for
        :param watches: who wants to see the page that they are on
        """
        if self.durations is None or not runs:
            # As likely as not that they have ended, or that there is something to see.
            asked: list[TrackedRun | RunsWatch] = [*runs, *watches]
            return LossCurve([(one.asked_at, one.asked_at, 0.5) for one in asked])
        numbers = config.current()
        some = runs if len(runs) <= numbers.forecast_runs else random.sample(runs, numbers.forecast_runs)
        most = max(1, numbers.forecast_spans // len(some) - len(numbers.beyond))
        spans = []
        for run in some:
            if run.ended is not None:
                spans.append((run.ended, run.ended, 1.0))
            else:
                # As if asked about since it began, where nobody has seen it yet: it may be over for long.
                seen_at = run.seen_at if run.was_going else run.started
                spans += self.durations.spans(run.started, seen_at, most)
        return LossCurve(spans, len(runs) / len(some))

    def learn(self, run: KnownRun) -> None:
        """
        Take into account how long a run took that has ended.

        :param run: the run
        """
        self.durations = self.durations or RunDurations()
        self.durations.learn(run["run_id"], ended=run["ended"], seconds=run["seconds"])

    # --- planning ---

    @property
    def requests(self) -> list[PollRequest]:
        """The requests that wait for their turn."""
        return self._plan.requests

    def note_change(self, run: TrackedRun) -> None:
        """Note that a run is new or gone, or that the waits for it have changed."""
        self._plan.note_change(run)

    def note_watches(self) -> None:
        """Note that the watches have changed."""
        self._plan.note_change(FIRST_PAGE)

    def start_over(self) -> list[PollRequest]:
        """Let go of all requests that wait for their turn, and give them; all are planned anew."""
        return self._plan.start_over()

    def plan(self, now: float) -> tuple[list[PollRequest], list[PollRequest]]:
        """
        Give the requests that take no turn any more, and those that take one from now on.

        :param now: the time
        """
        return self._plan.update(self._list.state_at(now))

    def begin(self, request: PollRequest) -> None:
        """Note that a request is sent."""
        self._plan.begin(request)

    def end(self, request: PollRequest, now: float) -> None:
        """Note that a request has been answered, or will not be."""
        self._plan.end(request)
        for run in request.runs:
            run.asked_at = now
        for watch in request.watches:
            watch.asked_at = now

    # --- reading ---

    def read(self, request: PollRequest, answer: Answer, now: float) -> Polls:
        """
        Give what an answer shows of each run; those that it leaves out are still to be asked for.

        :param request: what was asked
        :param answer: what came back
        :param now: the time
        """
        if isinstance(answer, Page):
            return self._read_page(request, answer, now)
        is_refused = isinstance(answer, LIST_IS_REFUSED)
        if request.page is not None and is_refused:
            self._read_refused_list(request, request.page, now)
            return []
        if request.page is None and (is_refused or isinstance(answer, Run)):
            self._list.note(Response.RUN_REFUSED if is_refused else Response.RUN_SEEN, now)
        return [(run, answer) for run in request.runs]

    def _read_refused_list(self, request: PollRequest, page: ListPage, now: float) -> None:
        if page.number == 0:
            self._list.note(Response.LIST_REFUSED, now)
            return
        for run in request.runs:  # what names a further page may expire
            run.page = None

    def _read_page(self, request: PollRequest, page: Page, now: float) -> Polls:
        self._learn_durations(page)
        polls: Polls = []
        response = Response.LIST_TOLD_NOTHING if page.next_url is None else Response.LIST_GOES_ON
        for run in request.runs:
            item = page.by_id.get(run.id)
            seen = run_from(item, self.target, run.id) if item is not None else None
            if seen is None and page.next_url is not None and self._goes_on_to(run, page.next_url):
                continue
            if seen is None or not seen.status:
                run.page = None
                continue
            response = Response.LIST_HELPED
            if seen.is_finished and not seen.is_whole:
                # Its result may have more than the list shows.
                run.page = None
                ended = epoch_seconds(seen.result["completed_at"])
                run.ended = now if ended is None else to_monotonic(ended, now)
            else:
                polls.append((run, seen))
        if request.runs:
            self._list.note(response, now)
        return polls

    def _goes_on_to(self, run: TrackedRun, next_url: str) -> bool:
        """Look for a run on the page after its own, unless that is too far; say whether it is not."""
        page = run.page or FIRST_PAGE
        if page.number >= config.current().max_pages:
            return False
        run.page = ListPage(next_url, page.number + 1)
        return True

    def _learn_durations(self, page: Page) -> None:
        """Learn how long the runs took that are finished, once of each."""
        self.durations = self.durations or RunDurations()
        most = config.current().learnt_from
        finished: list[int] = []
        known = frozenset(self._known_ends)
        for item in [*page.items[:most], *page.items[most:][-most:]]:
            ids = [*map(short_hash, run_ids(item))]
            if not known.isdisjoint(ids):
                finished.extend(ids)
                continue
            run = run_from(item, self.target)
            if run is None or not run.is_finished:
                continue
            finished.extend(ids)
            started, ended = (
                epoch_seconds(run.result["started_at"]),
                epoch_seconds(run.result["completed_at"]),
            )
            if started is not None and ended is not None:
                self.durations.learn(run.id, ended=ended, seconds=ended - started)
        self._known_ends = array("I", finished)
