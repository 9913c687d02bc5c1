"""What the waits on a connection want to know: their runs by job, and the questions that these make."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Callable

from airflow_provider_datarecs.polling.jobs import RunsQuestion, TrackedJob, TrackedRun, Wait
from airflow_provider_datarecs.polling.schedule import Schedule

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.contract import TargetKind
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.monitor import RunMonitor


class Agenda:
    """
    Hold the waits on a connection; ``changed`` is set when there may be something else to ask.

    ``size`` is how many waits there are.
    """

    def __init__(self) -> None:
        self.size = 0
        self.changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._schedule = Schedule()
        self._jobs: dict[Target, TrackedJob] = {}
        self._changed_jobs: set[TrackedJob] = set()

    @property
    def waits(self) -> list[Wait]:
        """All waits."""
        return [wait for job in self._jobs.values() for run in job.runs.values() for wait in run.waits]

    @property
    def questions(self) -> list[RunsQuestion]:
        """All questions, but those that are being asked."""
        return [question for job in self._jobs.values() for question in job.questions]

    def add(self, monitor: RunMonitor, interval: Callable[[int], float]) -> Wait:
        """
        Take up a wait.

        :param monitor: judges what is seen of its run
        :param interval: gives the seconds until the next look, after so many looks
        """
        now = time.monotonic()
        wait = Wait(monitor, interval, self._loop.create_future(), now)
        job = self._jobs.get(monitor.target)
        if job is None:
            job = self._jobs[monitor.target] = TrackedJob(monitor.target)
        run = job.runs.get(monitor.run_id)
        if run is None:
            started = now - max(0.0, time.time() - monitor.since)
            run = job.runs[monitor.run_id] = TrackedRun(monitor.run_id, now, started)
        run.waits.append(wait)
        run.alone = None
        self.size += 1
        wait.timer = self._loop.call_later(
            max(0.0, monitor.left), self._deadline_reached, job, run, wait, context=wait.context
        )
        self.note_change(job)
        return wait

    def remove(self, wait: Wait) -> None:
        """Forget a wait."""
        self.size -= 1
        if wait.timer is not None:
            wait.timer.cancel()
        job = self._jobs[wait.monitor.target]
        run = job.runs[wait.monitor.run_id]
        run.waits.remove(wait)
        run.alone = None
        if not run.waits:
            del job.runs[run.id]
        self.note_change(job)

    def note_change(self, job: TrackedJob) -> None:
        """Have the questions about a job made anew."""
        self._changed_jobs.add(job)
        self.changed.set()

    def note_changes(self) -> None:
        """Have all questions made anew."""
        self._changed_jobs.update(self._jobs.values())
        self.changed.set()

    def forget_lists(self) -> None:
        """Forget what lists have shown, since they were another service's."""
        for job in self._jobs.values():
            job.forget_lists()
        self.note_changes()

    async def renew_questions(self, lists_help: Callable[[TargetKind, float], bool]) -> None:
        """
        Make the questions anew of all jobs about which something has changed.

        :param lists_help: says whether the service's lists tell how runs are, for a kind and a time
        """
        while self._changed_jobs:
            job = self._changed_jobs.pop()
            self._schedule.questions.difference_update(job.questions)
            now = time.monotonic()
            job.questions = job.make_questions(now, lists_help=lists_help(job.target.kind, now))
            self._schedule.questions.update(job.questions)
            if not job.runs and self._jobs.get(job.target) is job:
                del self._jobs[job.target]
            await asyncio.sleep(0)

    def next(self, now: float, round_time: float) -> tuple[RunsQuestion | None, float]:
        """
        Give the question to ask now, and when the next one is due if there is none.

        :param now: the time, by the clock of ``time.monotonic``
        :param round_time: seconds that asking all questions once takes
        """
        question, soonest = self._schedule.next(now, round_time)
        return question if isinstance(question, RunsQuestion) else None, soonest

    def take_out(self, question: RunsQuestion) -> None:
        """Leave out a question while it is being asked."""
        question.begin()
        self._schedule.questions.discard(question)

    def __len__(self) -> int:
        return len(self._schedule.questions)

    def _deadline_reached(self, job: TrackedJob, run: TrackedRun, wait: Wait) -> None:
        wait.due = time.monotonic()
        run.urgent, run.alone = True, None
        wait.timer = self._loop.call_later(wait.monitor.last_poll_within, self._give_up, wait)
        self.note_change(job)

    def _give_up(self, wait: Wait) -> None:
        wait.end(wait.monitor.give_up())
