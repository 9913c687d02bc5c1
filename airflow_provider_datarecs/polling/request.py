"""A run that somebody waits for, and the requests that tell how it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_datarecs.api.errors import DataRecsError
from airflow_provider_datarecs.api.times import epoch_seconds
from airflow_provider_datarecs.polling.clock import to_monotonic
from airflow_provider_datarecs.polling.schedule import draw_max_rounds

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.parsing import Page
    from airflow_provider_datarecs.api.runs import Run
    from airflow_provider_datarecs.polling.lookup import RunLookup
    from airflow_provider_datarecs.polling.waits import Wait


class ListPage(NamedTuple):
    """
    A page of a job's list of runs.

    :param url: its URL, None for the first one
    :param number: how many pages are before it
    """

    url: str | None = None
    number: int = 0


class TrackedRun:
    """
    A run that somebody waits for.

    ``asked_at`` is when it was asked for last, ``seen_at`` when it was last seen to go on, ``started`` when
    it began as far as is known, ``ended`` when it ended if a list has said so, ``page`` the page of its job's
    list that may tell how it is, None where it has to be asked for by itself; ``request`` is the request for
    it alone, as long as nothing has changed. ``was_going`` is whether it was ever seen to go on, and
    ``hinted_at`` when a webhook event has last said that it has ended.

    :param run_id: the run's id
    :param now: the time
    :param started: when it began at the latest
    """

    __slots__ = (
        "_started_at",
        "asked_at",
        "ended",
        "hinted_at",
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
        self.hinted_at = float("-inf")
        self._started_at: Any = None
        self.request: PollRequest | None = None
        self.forget_list()

    def forget_list(self) -> None:
        """Forget what a list has shown and where, since it was another service's."""
        self.ended: float | None = None
        self.page: ListPage | None = ListPage()

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


class PollRequest:
    """
    A request that polls some runs of a job: for a page of its list, or for one run.

    When to send it is derived from the waits for its runs, and does not change; where they change, another
    request takes its place.

    :param lookup: plans and reads the requests for the job
    :param runs: those that it polls
    :param as_list: whether it is for their page of the list
    """

    __slots__ = (
        "as_list",
        "asked_at",
        "curve",
        "due",
        "interval",
        "is_urgent",
        "lookup",
        "max_rounds",
        "runs",
    )

    def __init__(self, lookup: RunLookup, runs: list[TrackedRun], *, as_list: bool) -> None:
        waits = [wait for run in runs for wait in run.waits]
        self.lookup = lookup
        self.runs = runs
        self.as_list = as_list
        self.asked_at = min(run.asked_at for run in runs)
        self.due = min(wait.due for wait in waits)
        self.interval = min(wait.interval for wait in waits)
        self.is_urgent = any(wait.is_urgent for wait in waits)
        self.curve = lookup.curve(runs)
        self.max_rounds = draw_max_rounds()

    @property
    def page(self) -> ListPage | None:
        """The page of the list that it is for, None for one run."""
        return self.runs[0].page if self.as_list else None

    @property
    def read_since(self) -> float:
        """When the connection must have been read that it is sent on, by ``time.monotonic``."""
        return max(
            (wait.monitor.doubted_at for run in self.runs for wait in run.waits), default=float("-inf")
        )

    async def send(self, client: DataRecsClient) -> Page | Run:
        """
        Send the request.

        :param client: an open client
        """
        if self.as_list:
            return await client.runs_page(self.lookup.target, (self.page or ListPage()).url)
        return await client.get_run(self.lookup.target, self.runs[0].id)
