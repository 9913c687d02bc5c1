"""Holds the waits on a connection, by job and run, with the requests that they make necessary."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Callable

from airflow_provider_datarecs.polling.clock import to_monotonic
from airflow_provider_datarecs.polling.deadlines import Deadlines
from airflow_provider_datarecs.polling.lookup import RunLookup
from airflow_provider_datarecs.polling.request import TrackedRun
from airflow_provider_datarecs.polling.schedule import Schedule
from airflow_provider_datarecs.polling.waits import Wait
from airflow_provider_datarecs.polling.watches import RunsWatch

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.contract import TargetKind
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.learned import Learned
    from airflow_provider_datarecs.polling.monitor import RunMonitor
    from airflow_provider_datarecs.polling.request import PollRequest


class WaitRegistry:
    """
    Hold the waits on a connection.

    ``changed`` is set when there may be something else to ask; ``size`` is how many waits there are;
    ``wanted`` is how many requests it takes to poll all runs once, by the kind of their targets and the
    interval in which they are wanted.

    :param learned: what earlier waits have shown of the service, and what these show
    """

    def __init__(self, learned: Learned) -> None:
        self.size = 0
        self.changed = asyncio.Event()
        self._learned = learned
        self._deadlines = Deadlines(self._deadline_reached)
        self._schedule: Schedule[PollRequest] = Schedule()
        self.wanted: Counter[tuple[TargetKind, float]] = Counter()
        self._lookups: dict[Target, RunLookup] = {}
        self._by_run_id: dict[str, list[RunLookup]] = {}  # of jobs, whose runs webhooks tell of
        self._watched: dict[str, list[RunLookup]] = {}  # by the ids of jobs
        self._changed_lookups: dict[RunLookup, None] = {}  # a set that was large once is slow to pop from

    @property
    def waits(self) -> list[Wait]:
        """All waits."""
        return [
            wait for lookup in self._lookups.values() for run in lookup.runs.values() for wait in run.waits
        ]

    @property
    def scheduled(self) -> int:
        """How many requests wait for their turn."""
        return len(self._schedule)

    def add(self, monitor: RunMonitor, interval: Callable[[int], float]) -> Wait:
        """
        Take up a wait.

        :param monitor: judges what polls show of its run
        :param interval: gives the seconds until the next poll, after so many polls
        """
        now = time.monotonic()
        wait = Wait(monitor, interval, asyncio.get_running_loop().create_future(), now)
        target, run_id = monitor.wait.target, monitor.wait.run_id
        lookup = self._lookup_of(target)
        run = lookup.runs.get(run_id)
        if run is None:
            run = lookup.runs[run_id] = TrackedRun(run_id, now, to_monotonic(monitor.wait.since, now))
            if target.kind.has_events:
                self._by_run_id.setdefault(run_id, []).append(lookup)
        if monitor.wait.last_run is not None:
            lookup.learn(monitor.wait.last_run)
        run.waits.append(wait)
        self.size += 1
        self._deadlines.set(wait, monitor.left)
        self._note_run_change(lookup, run)
        return wait

    def remove(self, wait: Wait) -> None:
        """Forget a wait."""
        self.size -= 1
        self._deadlines.forget(wait)
        lookup, run = self._tracked(wait)
        run.waits.remove(wait)
        if not run.waits:
            self._forget_run(lookup, run)
        self._note_run_change(lookup, run)

    def watch(self, target: Target, interval: float) -> RunsWatch:
        """
        Take up a watch over the runs of a job or job group.

        :param target: the job or job group
        :param interval: seconds from one poll to the next
        """
        lookup, watch = self._lookup_of(target), RunsWatch(interval, time.monotonic())
        if not lookup.watches and target.kind.has_events:
            self._watched.setdefault(target.id, []).append(lookup)
        lookup.watches.append(watch)
        self._note_watches(lookup)
        return watch

    def poll_watch(self, target: Target, watch: RunsWatch, within: float = 0.0) -> None:
        """
        Have the runs of a job or job group polled for a watch, before all that is not urgent.

        :param target: the job or job group
        :param watch: the watch
        :param within: seconds until then, default none
        """
        watch.poll_at(time.monotonic() + within)
        self._note_watches(self._lookups[target])

    def end_watch(self, target: Target, watch: RunsWatch) -> None:
        """Forget a watch."""
        lookup = self._lookups[target]
        lookup.watches.remove(watch)
        if not lookup.watches and target.kind.has_events:
            _forget(self._watched, target.id, lookup)
        self._note_watches(lookup)

    def hint(self, run_id: str, job_id: str | None) -> bool:
        """
        Have a run polled at once that is said to have ended, and say whether somebody waits for it.

        :param run_id: the run's id
        :param job_id: its job's, None where that is not said
        """
        now, lookups = time.monotonic(), self._by_run_id.get(run_id, ())
        hinted = [lookup for lookup in lookups if job_id in (None, lookup.target.id)]
        if not hinted and job_id is not None:
            return self._hint_watches(job_id, now)
        for lookup in hinted:
            run = lookup.runs[run_id]
            for wait in run.waits:
                wait.hint(now)
            self._note_run_change(lookup, run)
        return bool(hinted)

    def poll_in_interval(self) -> None:
        """Have all runs polled within their interval from now on, where the next poll was to come later."""
        now = time.monotonic()
        for lookup in self._lookups.values():
            for run in lookup.runs.values():
                for wait in run.waits:
                    wait.poll_in_interval(now)
        self.start_over()

    def note_change(self, lookup: RunLookup) -> None:
        """Have the requests about a job planned anew."""
        self._changed_lookups[lookup] = None
        self.changed.set()

    def start_over(self) -> None:
        """Have all requests planned anew, but those that are on their way."""
        self._schedule = Schedule()
        for lookup in self._lookups.values():
            for request in lookup.start_over():
                self._count(request, -1)
        self._changed_lookups.update(dict.fromkeys(self._lookups.values()))
        self.changed.set()

    def forget_lists(self) -> None:
        """Forget what lists have shown, since they were another service's."""
        self._learned.forget()
        for lookup in self._lookups.values():
            lookup.forget_list()
        self.start_over()

    def close(self) -> None:
        """Keep what was learned of the jobs that are left."""
        for lookup in self._lookups.values():
            self._learned.keep(lookup.target, lookup.durations)

    async def plan(self) -> None:
        """Plan the requests anew about all jobs of which something has changed."""
        while self._changed_lookups:
            lookup, _ = self._changed_lookups.popitem()
            gone, made = lookup.plan(time.monotonic())
            for request in gone:
                self._schedule.discard(request)
                self._count(request, -1)
            for request in made:
                self._schedule.add(request)
                self._count(request, 1)
            if not lookup.runs and not lookup.watches and self._lookups.get(lookup.target) is lookup:
                self._learned.keep(lookup.target, self._lookups.pop(lookup.target).durations)
            if self._changed_lookups:
                await asyncio.sleep(0)

    @property
    def is_turn_of_others(self) -> bool:
        """Say whether, after so many urgent requests in a row, one comes next that is overdue."""
        return self._schedule.is_turn_of_others

    def next(self, now: float, round_time: float, *, only_urgent: bool) -> tuple[PollRequest | None, float]:
        """
        Give the request to send now, and when the next one is due if there is none.

        :param now: the time, by the clock of ``time.monotonic``
        :param round_time: seconds that sending all requests once takes
        :param only_urgent: whether only an urgent one may go now
        """
        return self._schedule.next(now, round_time, only_urgent=only_urgent)

    def take_out(self, request: PollRequest) -> None:
        """Leave out a request while it is on its way."""
        request.lookup.begin(request)
        self._schedule.take_out(request)

    def _count(self, request: PollRequest, sign: int) -> None:
        self.wanted[request.lookup.target.kind, request.interval] += sign

    def _forget_run(self, lookup: RunLookup, run: TrackedRun) -> None:
        del lookup.runs[run.id]
        if lookup.target.kind.has_events:
            _forget(self._by_run_id, run.id, lookup)

    def _lookup_of(self, target: Target) -> RunLookup:
        lookup = self._lookups.get(target)
        if lookup is None:
            durations = self._learned.recall(target)
            lookup = self._lookups[target] = RunLookup(target, self._learned.lists, durations)
        return lookup

    def _hint_watches(self, job_id: str, now: float) -> bool:
        """Have the newest runs of a job looked at by who watches it, since another one has ended."""
        lookups = self._watched.get(job_id, ())
        for lookup in lookups:
            for watch in lookup.watches:
                watch.poll_at(now)
            self._note_watches(lookup)
        return bool(lookups)

    def _note_run_change(self, lookup: RunLookup, run: TrackedRun) -> None:
        lookup.note_change(run)
        self.note_change(lookup)

    def _note_watches(self, lookup: RunLookup) -> None:
        lookup.note_watches()
        self.note_change(lookup)

    def _tracked(self, wait: Wait) -> tuple[RunLookup, TrackedRun]:
        lookup = self._lookups[wait.monitor.wait.target]
        return lookup, lookup.runs[wait.monitor.wait.run_id]

    def _deadline_reached(self, wait: Wait) -> None:
        """Have a wait polled for the last time; where there was no room for that, end it."""
        if wait.is_past_deadline:
            wait.end(wait.monitor.give_up())
            return
        wait.is_past_deadline = True
        wait.poll_at_once(time.monotonic())
        self._deadlines.set(wait, wait.monitor.last_poll_within)
        self._note_run_change(*self._tracked(wait))


def _forget(lookups: dict[str, list[RunLookup]], key: str, lookup: RunLookup) -> None:
    lookups[key].remove(lookup)
    if not lookups[key]:
        del lookups[key]
