"""Finds each run of a job that has ended, whoever has started it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping

from airflow_provider_datarecs.api.errors import NotFound
from airflow_provider_datarecs.api.runs import Run
from airflow_provider_datarecs.api.times import epoch_seconds
from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.run_pages import ask_in_turn, is_newest_first, read_until

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.parsing import Page
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.poller import Poller
    from airflow_provider_datarecs.polling.run_pages import RunsById


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
        self._missing: set[str] = set()  # of these, met by a 404, which a second one is to confirm

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
            runs = await read_until(self._poller, self._target, first, _have_all_ended)
            self._is_new = False
            self._keep(run.id for run in runs.values() if run.is_finished)
        else:
            runs = await read_until(self._poller, self._target, first, self._reaches_back)
        ended = [run for run in runs.values() if run.is_finished and run.id not in self._told]
        alone = {run.id for run in ended if not run.is_whole} | (self._going - set(runs))
        self._going = {run.id for run in runs.values() if not run.is_finished}
        found = [run for run in ended if run.is_whole]
        for run_id in alone:
            run = await ask_in_turn(self._poller, _get_run(self._target, run_id))
            was_missing = run_id in self._missing
            self._missing.discard(run_id)
            if isinstance(run, Run) and run.is_finished:
                found.append(run)
            elif isinstance(run, NotFound) and was_missing:
                continue  # which is there no more
            elif run_id not in runs:
                self._going.add(run_id)
            if isinstance(run, NotFound):
                self._missing.add(run_id)
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
        return is_newest_first(runs) and not self._told.keys().isdisjoint(runs)

    def _keep(self, run_ids: Iterable[str]) -> None:
        newest = list(run_ids)
        for run_id in newest:
            self._told.pop(run_id, None)
            self._told[run_id] = None
        too_many = max(0, len(self._told) - config.current().ends_kept - len(newest))
        for run_id in list(self._told)[:too_many]:
            del self._told[run_id]


def _get_run(target: Target, run_id: str) -> Callable[[DataRecsClient], Any]:
    return lambda client: client.get_run(target, run_id)


def _have_all_ended(runs: RunsById) -> bool:
    return all(run.is_finished for run in runs.values())


def _ended_at(run: Run) -> float:
    ended = epoch_seconds(run.result["completed_at"])
    return time.time() if ended is None else ended
