"""Finds runs that nobody has started from here: the next run of a job, and each that has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List

from airflow_provider_datarecs.api.errors import DataRecsError
from airflow_provider_datarecs.api.parsing import Page
from airflow_provider_datarecs.api.runs import Run, run_from
from airflow_provider_datarecs.api.times import epoch_seconds
from airflow_provider_datarecs.polling import config

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.poller import Poller

RunsById = Dict[str, Run]


class EndedRuns:
    """
    Tell of each run of a job or job group that has ended, once.

    What had ended when the runs were first seen counts as told. ``told`` are the runs of which that is so,
    the newest last; whoever gives them again after a restart is told of what ended in between.
    ``has_changed`` says whether they are others than when that was last set to False.

    :param poller: sends the requests that the first page of the runs does not make unnecessary
    :param target: the job or job group
    :param told: what was kept, None where there is nothing
    """

    def __init__(self, poller: Poller, target: Target, told: Iterable[str] | None) -> None:
        self.told: dict[str, None] = dict.fromkeys(told or ())
        self._poller = poller
        self._target = target
        self._going: set[str] = set()
        self._is_new = told is None
        self.has_changed = False

    async def read(self, first: Page) -> list[Run]:
        """
        Give the runs that have ended since the last time, the earliest end first.

        They are given until :meth:`note_told`, also where something else goes wrong in between.

        :param first: the first page of the runs
        :raises DataRecsError: when a further page cannot be had
        """
        runs = _runs_of(first, self._target)
        if self._is_new:
            self._is_new, self.has_changed = False, True
            self._keep(run.id for run in runs.values() if run.is_finished)
        else:
            runs = await _read_until(self._poller, self._target, first, self._reaches_back)
        ended = [run for run in runs.values() if run.is_finished and run.id not in self.told]
        alone = {run.id for run in ended if not run.is_whole} | (self._going - set(runs))
        self._going = {run.id for run in runs.values() if not run.is_finished}
        found = [run for run in ended if run.is_whole]
        for run_id in alone:
            run = await _ask(self._poller, _get_run(self._target, run_id))
            if isinstance(run, Run) and run.is_finished:
                found.append(run)
            elif not isinstance(run, DataRecsError) or run_id not in runs:
                self._going.add(run_id)
        self._keep(run.id for run in runs.values() if run.is_finished and run.id in self.told)
        return sorted(found, key=_ended_at)

    def note_told(self, run: Run) -> None:
        """
        Note that a run was told of.

        :param run: the run
        """
        self._going.discard(run.id)
        self._keep([run.id])

    def _reaches_back(self, runs: RunsById) -> bool:
        return not self.told.keys().isdisjoint(runs)

    def _keep(self, run_ids: Iterable[str]) -> None:
        newest = list(run_ids)
        self.has_changed = self.has_changed or any(run_id not in self.told for run_id in newest)
        for run_id in newest:
            self.told.pop(run_id, None)
            self.told[run_id] = None
        for run_id in list(self.told)[: max(0, len(self.told) - config.current().ends_kept - len(newest))]:
            del self.told[run_id]


async def find_next_run(poller: Poller, target: Target, first: Page, after: float) -> Run | None:
    """
    Give the run that was the first to begin after some time, None if none has.

    :param poller: sends the requests for further pages, where the first does not reach back that far
    :param target: the job or job group
    :param first: the first page of the runs
    :param after: the time in epoch seconds
    :raises DataRecsError: when a further page cannot be had
    """
    runs = await _read_until(
        poller, target, first, lambda runs: any(_began_at(run) < after for run in runs.values())
    )
    return next_run_of(runs.values(), after)


def next_run_of(runs: Iterable[Run], after: float) -> Run | None:
    """
    Give of some runs the one that was the first to begin after some time, None if none has.

    :param runs: the runs
    :param after: the time in epoch seconds
    """
    begun = [run for run in runs if after <= _began_at(run) < float("inf")]
    return min(begun, key=_began_at, default=None)


async def _read_until(
    poller: Poller, target: Target, first: Page, is_enough: Callable[[RunsById], bool]
) -> RunsById:
    """Read pages, newest first, until one is enough."""
    page, runs = first, _runs_of(first, target)
    seen: List[RunsById] = [runs]
    while page.next_url is not None and not is_enough(runs) and len(seen) < config.current().max_pages:
        answer = await _ask(poller, _get_page(target, page.next_url))
        if not isinstance(answer, Page):
            raise answer
        page, runs = answer, _runs_of(answer, target)
        seen.append(runs)
    return {run.id: run for runs in reversed(seen) for run in runs.values()}


async def _ask(poller: Poller, call: Callable[[DataRecsClient], Any]) -> Any:
    return await poller.send_in_turn(call, config.current().max_sleep)


def _get_page(target: Target, url: str) -> Callable[[DataRecsClient], Any]:
    return lambda client: client.runs_page(target, url)


def _get_run(target: Target, run_id: str) -> Callable[[DataRecsClient], Any]:
    return lambda client: client.get_run(target, run_id)


def _runs_of(page: Page, target: Target) -> RunsById:
    runs = (run_from(item, target) for item in page.items)
    return {run.id: run for run in runs if run is not None}


def _began_at(run: Run) -> float:
    """Give when a run began; one that ended without having begun, when it ended."""
    times = map(epoch_seconds, (run.result["started_at"], run.result["completed_at"]))
    return next((moment for moment in times if moment is not None), float("inf"))


def _ended_at(run: Run) -> float:
    ended = epoch_seconds(run.result["completed_at"])
    return time.time() if ended is None else ended
