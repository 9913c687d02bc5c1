"""Finds runs that nobody has started from here: the next run of a job, and each that has ended."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict, Iterable, List, Mapping

from airflow_provider_datarecs.api.errors import DataRecsError, NeverArrived, NotFound
from airflow_provider_datarecs.api.parsing import Page
from airflow_provider_datarecs.api.runs import Run, run_from
from airflow_provider_datarecs.api.times import epoch_seconds, iso_utc
from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.confirmation import Confirmation
from airflow_provider_datarecs.polling.poller import poller_of

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.lookup import Answer
    from airflow_provider_datarecs.polling.poller import Poller

RunsById = Dict[str, Run]


class EndedRuns:
    """
    Tell of each run of a job or job group that has ended, once.

    What had ended when the runs were first seen counts as told. Whoever gives again after a restart what
    :attr:`known` was is told of what ended in between.

    :param poller: sends the requests that the first page of the runs does not make unnecessary
    :param target: the job or job group
    :param known: what was kept, None where there is nothing
    """

    def __init__(self, poller: Poller, target: Target, known: Mapping[str, Iterable[str]] | None) -> None:
        self._poller = poller
        self._target = target
        self._is_new = known is None
        self._told: dict[str, None] = dict.fromkeys((known or {}).get("told", ()))  # the newest last
        self._going = set((known or {}).get("going", ()))

    @property
    def known(self) -> dict[str, list[str]]:
        """The runs that were told of, and those that go on, as JSON."""
        return {"told": list(self._told), "going": sorted(self._going)}

    async def read(self, first: Page) -> list[Run]:
        """
        Give the runs that have ended since the last time, the earliest end first.

        They are given until :meth:`note_told`, also where something else goes wrong in between.

        :param first: the first page of the runs
        :raises DataRecsError: when a further page cannot be had
        """
        if self._is_new:
            # What goes on may be behind newer runs that have ended.
            runs = await _read_until(self._poller, self._target, first, _have_all_ended)
            self._is_new = False
            self._keep(run.id for run in runs.values() if run.is_finished)
        else:
            runs = await _read_until(self._poller, self._target, first, self._reaches_back)
        ended = [run for run in runs.values() if run.is_finished and run.id not in self._told]
        alone = {run.id for run in ended if not run.is_whole} | (self._going - set(runs))
        self._going = {run.id for run in runs.values() if not run.is_finished}
        found = [run for run in ended if run.is_whole]
        for run_id in alone:
            run = await _ask(self._poller, _get_run(self._target, run_id))
            if isinstance(run, Run) and run.is_finished:
                found.append(run)
            elif run_id not in runs and not isinstance(run, NotFound):  # which is there no more
                self._going.add(run_id)
        self._keep(run.id for run in runs.values() if run.is_finished and run.id in self._told)
        return sorted(found, key=_ended_at)

    def note_told(self, run: Run) -> None:
        """
        Note that a run was told of.

        :param run: the run
        """
        self._going.discard(run.id)
        self._keep([run.id])

    def _reaches_back(self, runs: RunsById) -> bool:
        return not self._told.keys().isdisjoint(runs)

    def _keep(self, run_ids: Iterable[str]) -> None:
        newest = list(run_ids)
        for run_id in newest:
            self._told.pop(run_id, None)
            self._told[run_id] = None
        too_many = max(0, len(self._told) - config.current().ends_kept - len(newest))
        for run_id in list(self._told)[:too_many]:
            del self._told[run_id]


@dataclass
class NextRun:
    """
    Find the run of a job or job group that is the first to begin after some time.

    ``problem`` is why its runs could not be seen the last time, None if they were; ``is_refused`` whether
    that ends the wait for it.

    :param target: the job or job group
    :param after: the time in epoch seconds
    :param log: the task's logger
    """

    target: Target
    after: float
    log: Any
    problem: DataRecsError | None = None
    is_refused: bool = False
    _confirmation: Confirmation = field(default_factory=Confirmation)

    def __str__(self) -> str:
        return f"the next run of {self.target} from {iso_utc(self.after)} on"

    async def wait(self, conn_id: str, interval: float, deadline: float) -> str | None:
        """
        Wait for it on the triggerer, and give its id, None where the time is over or DataRecs refuses.

        :param conn_id: the connection's id
        :param interval: seconds from one poll to the next
        :param deadline: epoch seconds at which the wait ends
        """
        async with poller_of(conn_id) as poller:
            poller.refresh_soon()
            watch = poller.waits.watch(self.target, interval)
            alarm = asyncio.get_running_loop().call_later(max(0.0, deadline - time.time()), watch.wake)
            try:
                while True:
                    answer = await watch.next()
                    run = await self._look(poller, answer)
                    if run is not None:
                        return run.id
                    if answer is None or self.is_refused:
                        return None
            finally:
                alarm.cancel()
                poller.waits.end_watch(self.target, watch)

    async def read(self, client: DataRecsClient) -> str | None:
        """
        Look for it once in a process of its own, and give its id, None if it has not begun.

        :param client: an open client
        :raises DataRecsError: when the runs cannot be seen
        """
        runs: RunsById = {}
        async for page in client.iter_run_pages(self.target, most=config.current().max_pages):
            runs.update(_runs_of(page, self.target))
            if self._reaches_back(runs):
                break
        run = next_run_of(runs.values(), self.after)
        return None if run is None else run.id

    async def _look(self, poller: Poller, answer: Answer | None) -> Run | None:
        if isinstance(answer, DataRecsError):
            self.note_problem(answer)
        if not isinstance(answer, Page):
            return None
        try:
            runs = await _read_until(poller, self.target, answer, self._reaches_back)
        except DataRecsError as error:
            self.note_problem(error)
            return None
        self.note_problem(None)
        return next_run_of(runs.values(), self.after)

    def _reaches_back(self, runs: RunsById) -> bool:
        return any(_began_at(run) < self.after for run in runs.values())

    def note_problem(self, problem: DataRecsError | None) -> None:
        """
        Take down whether its runs can be seen, and tell the task's log where that is news.

        :param problem: why they cannot, None if they can
        """
        self.is_refused = self._confirmation.confirms(problem, time.monotonic())
        if type(problem) is not type(self.problem):
            if problem is None:
                self.log.info("Seen again: the runs of %s", self.target)
            else:
                self.log.warning("Cannot be seen: the runs of %s: %s", self.target, problem)
        self.problem = problem

    def timeout_message(self, since: float) -> str:
        """
        Say that it has not begun, as far as is known.

        :param since: epoch seconds at which the wait for it began
        """
        waited = timedelta(seconds=max(0, round(time.time() - since)))
        if self.problem is None:
            return f"None has begun within {waited}: {self}"
        return (
            f"Unknown whether one has begun within {waited}, since the runs could not be seen at the end "
            f"({str(self.problem).rstrip('.')}): {self}. Look at DataRecs."
        )


def next_run_of(runs: Iterable[Run], after: float) -> Run | None:
    """
    Give of some runs the one that was the first to begin after some time, None if none has.

    :param runs: the runs, the newest first
    :param after: the time in epoch seconds
    """
    begun = [run for run in runs if after <= _began_at(run) < float("inf")]
    return min(reversed(begun), key=_began_at, default=None)


async def _read_until(
    poller: Poller, target: Target, first: Page, is_enough: Callable[[RunsById], bool]
) -> RunsById:
    """
    Read pages, newest first, until one is enough.

    :raises DataRecsError: when a page cannot be had, also because the connection has changed meanwhile
    """
    page, runs = first, _runs_of(first, target)
    service = poller.service
    seen: List[RunsById] = [runs]
    while page.next_url is not None and not is_enough(runs) and len(seen) < config.current().max_pages:
        answer = await _ask(poller, _get_page(target, page.next_url, lambda: poller.service == service))
        if not isinstance(answer, Page):
            raise answer
        page, runs = answer, _runs_of(answer, target)
        seen.append(runs)
    return {run.id: run for runs in seen for run in runs.values()}


async def _ask(poller: Poller, call: Callable[[DataRecsClient], Any]) -> Any:
    return await poller.send_in_turn(call, config.current().max_sleep)


def _get_page(
    target: Target, url: str, is_same_service: Callable[[], bool]
) -> Callable[[DataRecsClient], Awaitable[Page]]:
    async def get_page(client: DataRecsClient) -> Page:
        # Asked as it is sent, which is after the connection was read anew where its key was refused.
        if not is_same_service():
            raise NeverArrived(
                f"GET the runs of {target}",
                "the connection has changed while they were read; they are read again from the first page",
            )
        return await client.runs_page(target, url)

    return get_page


def _get_run(target: Target, run_id: str) -> Callable[[DataRecsClient], Any]:
    return lambda client: client.get_run(target, run_id)


def _runs_of(page: Page, target: Target) -> RunsById:
    runs = (run_from(item, target) for item in page.items)
    return {run.id: run for run in runs if run is not None}


def _have_all_ended(runs: RunsById) -> bool:
    return all(run.is_finished for run in runs.values())


def _began_at(run: Run) -> float:
    """Give when a run began; one that ended without having begun, when it ended."""
    times = map(epoch_seconds, (run.result["started_at"], run.result["completed_at"]))
    return next((moment for moment in times if moment is not None), float("inf"))


def _ended_at(run: Run) -> float:
    ended = epoch_seconds(run.result["completed_at"])
    return time.time() if ended is None else ended
