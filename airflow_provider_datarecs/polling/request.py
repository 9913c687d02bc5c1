"""A run that somebody waits for, and the requests that tell how it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Sequence, Union

from airflow_provider_datarecs.api.errors import DataRecsError
from airflow_provider_datarecs.api.times import epoch_seconds
from airflow_provider_datarecs.polling.clock import to_monotonic
from airflow_provider_datarecs.polling.confirmation import NEVER
from airflow_provider_datarecs.polling.schedule import draw_max_rounds

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.parsing import Page
    from airflow_provider_datarecs.api.runs import Run
    from airflow_provider_datarecs.polling.lookup import RunLookup
    from airflow_provider_datarecs.polling.waits import Wait
    from airflow_provider_datarecs.polling.watches import RunsWatch


class ListPage(NamedTuple):
    """
    A page of a job's list of runs.

    :param url: its URL, None for the first one
    :param number: how many pages are before it
    """

    url: str | None = None
    number: int = 0


FIRST_PAGE = ListPage()


class TrackedRun:
    """
    A run that somebody waits for.

    ``asked_at`` is when it was asked for last, ``seen_at`` when it was last seen to go on, ``started`` when
    it began as far as is known, ``ended`` when it ended if a list has said so, ``page`` the page of its job's
    list that may tell how it is, None where it has to be asked for by itself; ``request`` is the one that
    asks for it, planned or on its way. ``was_going`` is whether it was ever seen to go on.

    :param run_id: the run's id
    :param now: the time
    :param started: when it began at the latest
    """

    __slots__ = (
        "_started_at",
        "asked_at",
        "ended",
        "id",
        "page",
        "request",
        "seen_at",
        "started",
        "waits",
        "was_going",
    )

    def __init__(self, run_id: str, now: float, started: float) -> None:
        self.id = run_id
        self.waits: list[Wait] = []
        self.asked_at = self.seen_at = now
        self.started = started
        self.was_going = False
        self._started_at: Any = None
        self.request: PollRequest | None = None
        self.forget_list()

    def forget_list(self) -> None:
        """Forget what a list has shown and where, since it was another service's."""
        self.ended: float | None = None
        self.page: ListPage | None = FIRST_PAGE

    def take(self, answer: Run | DataRecsError, now: float) -> None:
        """Take the answer to a poll into account."""
        if isinstance(answer, DataRecsError):
            return
        self.seen_at = now
        self.was_going = self.was_going or not answer.is_finished
        if answer.result["started_at"] != self._started_at:
            self._started_at = answer.result["started_at"]
            started = epoch_seconds(self._started_at)
            if started is not None:
                self.started = to_monotonic(started, now)


# What a request is to tell of: the runs on a page of the list, or one run.
Subject = Union[ListPage, TrackedRun]


class PollRequest:
    """
    A request that polls some runs of a job: for a page of its list, or for one run.

    When to send it is derived from the waits for its runs and the watches over the list, and does not change;
    where they change, another request takes its place.

    :param lookup: plans and reads the requests for the job
    :param subject: what it is to tell of
    :param runs: those that it polls
    :param page: the page of the list that it asks for, None where it asks for its only run by itself
    """

    __slots__ = (
        "asked_at",
        "curve",
        "due",
        "interval",
        "is_urgent",
        "lookup",
        "max_rounds",
        "page",
        "runs",
        "subject",
    )

    def __init__(
        self,
        lookup: RunLookup,
        subject: Subject,
        runs: list[TrackedRun],
        page: ListPage | None = None,
    ) -> None:
        self.lookup = lookup
        self.subject = subject
        self.runs = runs
        self.page = page
        watches = self.watches
        waits = [wait for run in runs for wait in run.waits]
        asked: list[TrackedRun | RunsWatch] = [*runs, *watches]
        wanted: list[Wait | RunsWatch] = [*waits, *watches]
        self.asked_at = min(one.asked_at for one in asked)
        self.due = min(one.due for one in wanted)
        self.interval = min(one.interval for one in wanted)
        self.is_urgent = any(one.is_urgent for one in wanted)
        self.curve = lookup.curve(runs, watches)
        self.max_rounds = draw_max_rounds()
        for run in runs:
            run.request = self

    @property
    def watches(self) -> Sequence[RunsWatch]:
        """Those who want to see the page that it asks for."""
        return self.lookup.watches if self.page == FIRST_PAGE else ()

    @property
    def read_since(self) -> float:
        """When the connection must have been read that it is sent on, by ``time.monotonic``."""
        doubted = [wait.monitor.doubted_at for run in self.runs for wait in run.waits]
        return max((*doubted, *(watch.doubted_at for watch in self.watches)), default=NEVER)

    async def send(self, client: DataRecsClient, *, is_planned_for_it: bool) -> Page | Run:
        """
        Send the request.

        :param client: an open client
        :param is_planned_for_it: whether the connection is the one that this was planned for; else the first
            page is asked for in place of a further one, whose URL is another service's
        """
        if self.page is not None:
            return await client.runs_page(self.lookup.target, self.page.url if is_planned_for_it else None)
        return await client.get_run(self.lookup.target, self.runs[0].id)
