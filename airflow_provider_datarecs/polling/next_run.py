"""Finds the next run of a job, whoever starts it, in every mode of its sensor."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Iterable

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import DataRecsError
from airflow_provider_datarecs.api.parsing import Page
from airflow_provider_datarecs.api.times import iso_utc
from airflow_provider_datarecs.polling import config, events
from airflow_provider_datarecs.polling.monitor import WaitMonitor, WaitSpec
from airflow_provider_datarecs.polling.poller import poller_of
from airflow_provider_datarecs.polling.run_pages import began_at, is_newest_first, read_until, runs_of

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.runs import Run
    from airflow_provider_datarecs.polling.events import Event
    from airflow_provider_datarecs.polling.lookup import Answer
    from airflow_provider_datarecs.polling.poller import Poller
    from airflow_provider_datarecs.polling.progress import NextPoll
    from airflow_provider_datarecs.polling.run_pages import RunsById


class NextRunMonitor(WaitMonitor):
    """
    Find the run of a job or job group that is the first to begin after some time.

    :param wait: what the task waits for, without a run's id
    :param after: the time in epoch seconds
    """

    __slots__ = ("_after", "_is_seen", "_problem")

    def __init__(self, wait: WaitSpec, after: float) -> None:
        super().__init__(wait)
        self._after = after
        self._is_seen = False
        self._problem: DataRecsError | None = None

    def __str__(self) -> str:
        return f"the next run of {self.wait.target} from {iso_utc(self._after)} on"

    @property
    def is_seen(self) -> bool:
        """Say whether the last poll has seen the runs."""
        return self._is_seen and self._problem is None

    async def find(self, interval: float) -> Event:
        """
        Wait for the run on the triggerer.

        :param interval: seconds from one poll to the next
        """
        target, loop = self.wait.target, asyncio.get_running_loop()
        async with poller_of(self.wait.conn_id) as poller:
            poller.refresh_soon()
            watch, left = poller.waits.watch(target, interval), max(0.0, self.left)
            alarms = (
                loop.call_later(left, poller.waits.poll_watch, target, watch),
                loop.call_later(left + self.last_poll_within, watch.end),
            )
            try:
                while True:
                    answer, was_in_time = await watch.next(), self.left > 0
                    if answer is None:
                        return self.give_up()
                    event = self.judge(await self._read(poller, answer))
                    # What took until after the deadline to read was asked for before: there is a last poll.
                    if event is not None and not (was_in_time and event["outcome"] == events.TIMED_OUT):
                        return event
                    watch.doubted_at = self.doubted_at
                    if self.again_in is not None:
                        poller.waits.poll_watch(target, watch, self.again_in)
            finally:
                for alarm in alarms:
                    alarm.cancel()
                poller.waits.end_watch(target, watch)

    async def ask(self, client: DataRecsClient) -> RunsById:
        """
        Look at the runs in a process of the task's own, back to those that began before.

        :param client: an open client
        :raises DataRecsError: when they cannot be seen
        """
        runs: RunsById = {}
        async for page in client.iter_run_pages(self.wait.target, most=config.current().max_pages):
            runs.update(runs_of(page, self.wait.target))
            if self._reaches_back(runs):
                break
        return runs

    def judge(
        self,
        answer: RunsById | DataRecsError,
        next_poll: NextPoll = None,  # noqa: ARG002 - of which this tells nothing
    ) -> Event | None:
        """Take a poll into account, and give the event of a run that has begun, or of the wait's end."""
        if not isinstance(answer, DataRecsError):
            answer = self._unclear(answer) or answer
        is_confirmed = self.weigh(answer)
        if isinstance(answer, DataRecsError):
            if is_confirmed:
                return self.refused(answer)
            self._note_problem(answer)
        else:
            self._is_seen = True
            self._note_problem(None)
            run = next_run_of(answer.values(), self._after)
            if run is not None:
                return events.begun(self.wait.target, run.id)
        return self._timed_out() if self.is_over else None

    def timeout_message(self, limit: str | None = None, *, has_last_poll: bool = False) -> str:
        """Say that it has not begun, as far as is known."""
        span = timedelta(seconds=max(0, round(time.time() - self.wait.since)))
        waited = f"{span} (the task's {limit or self.wait.limit})"
        if self.is_seen and has_last_poll:
            return f"None has begun within {waited}: {self}."
        why = str(self._problem or "there was no answer to a last poll").rstrip(".")
        return (
            f"Unknown whether one has begun within {waited}, since the runs could not be seen at the end "
            f"({why}): {self}. Look at DataRecs."
        )

    async def _read(self, poller: Poller, answer: Answer) -> RunsById | DataRecsError:
        if not isinstance(answer, Page):
            return answer if isinstance(answer, DataRecsError) else {}
        try:
            return await read_until(poller, self.wait.target, answer, self._reaches_back, or_fail=True)
        except DataRecsError as error:
            return error

    def _reaches_back(self, runs: RunsById) -> bool:
        return is_newest_first(runs) and any(began_at(run) < self._after for run in runs.values())

    def _unclear(self, runs: RunsById) -> DataRecsError | None:
        """Say why nobody knows whether a run has begun, where none of those with a time has."""
        if next_run_of(runs.values(), self._after) is not None:
            return None
        for run in runs.values():
            began = began_at(run)
            if began < self._after:
                break  # what follows is older
            if began == float("inf") and (run.is_finished or run.status == contract.RUNNING):
                return DataRecsError(f"when run {run.id!r} began cannot be read, and it may be the next one")
        return None

    def _note_problem(self, problem: DataRecsError | None) -> None:
        """Take down whether the runs can be seen, and tell the task's log where that is news."""
        target, log = self.wait.target, self.wait.log
        if type(problem) is not type(self._problem):
            if problem is None:
                log.info("Seen again: the runs of %s", target)
            else:
                log.warning("Cannot be seen: the runs of %s: %s", target, problem)
        self._problem = problem


def next_run_of(runs: Iterable[Run], after: float) -> Run | None:
    """
    Give of some runs the one that was the first to begin after some time, None if none has.

    :param runs: the runs, the newest first
    :param after: the time in epoch seconds
    """
    begun = [run for run in runs if after <= began_at(run) < float("inf")]
    return min(reversed(begun), key=began_at, default=None)
