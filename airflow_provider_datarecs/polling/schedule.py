"""Decides what to ask next, where there is more to ask than the rate limit allows."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Iterable

if TYPE_CHECKING:
    from airflow_provider_datarecs.polling.durations import Spans

# A round is the time it takes to ask all questions once. However sure it seems that nothing has ended, each
# question is asked before this many rounds are over.
ROUNDS = 4.0
# How much an even distribution counts against asking where most is lost: what has not been asked for a
# round counts twice, and hardly more than once for half a round. Where histories tell nothing, this
# makes the schedule as good as taking turns (benchmarks/scheduling.py).
EVENNESS = 4
FIRST = 1e12  # above every rank that a loss can have
SUDDEN = 1e-3  # seconds: the shortest span


class Question:
    """
    Something to ask again and again, with what it costs not to ask it.

    That cost is the time, in expectation and summed over its runs, for which a run has ended unnoticed: none
    while no run can have ended, one second a second for a run that is sure to have.

    :param now: when it comes up, in seconds of the schedule's clock
    """

    __slots__ = (
        "_chances",
        "_densities",
        "_losses",
        "_patience",
        "_times",
        "asked",
        "due",
        "interval",
        "new",
        "urgent",
        "weight",
    )

    def __init__(self, now: float) -> None:
        self.asked = now  # last, or when it came up
        self.due = now  # no sooner, since nobody wants to know
        self.interval = 1.0  # seconds, as asked for
        self.new = True  # nothing is known about its job yet
        self.urgent = False
        self.weight = 1.0  # how many runs each of those expected stands for
        self._patience = ROUNDS * random.uniform(0.5, 1.0)  # so that not all run out of it at once
        # At each step: the density of the probability from there on, its sum and the loss until there.
        self._times, self._densities, self._chances, self._losses = (array("d") for _ in range(4))

    def expect(self, runs: Iterable[Spans]) -> None:
        """
        Say when its runs may end.

        :param runs: for each run, the spans of time in which it may have ended since it was asked about
        """
        steps = []
        for low, high, chance in (span for spans in runs for span in spans):
            width = max(high - low, SUDDEN)
            steps += [(low, chance / width), (low + width, -chance / width)]
        steps.sort()
        densities, chances, losses = [], [], []
        last = density = chance = loss = 0.0
        for time, change in steps:
            passed = time - last
            loss += (chance + density * passed / 2) * passed
            chance += density * passed
            density += change
            last = time
            densities.append(density)
            chances.append(chance)
            losses.append(loss)
        self._times = array("d", [time for time, _ in steps])
        self._densities, self._chances, self._losses = (
            array("d", column) for column in (densities, chances, losses)
        )

    def loss(self, now: float) -> float:
        """Give what it has cost not to ask until now, in seconds."""
        place = bisect_right(self._times, now) - 1
        if place < 0:
            return 0.0
        passed = now - self._times[place]
        return self._losses[place] + (self._chances[place] + self._densities[place] * passed / 2) * passed

    def rank(self, now: float, round_time: float) -> float:
        """Say how much it should be asked now: the higher, the sooner."""
        waited = now - self.asked
        if self.urgent or waited > self._patience * round_time:
            return FIRST + waited
        loss = waited / 2 if self.new else self.loss(now)
        return loss * self.weight / self.interval * (1.0 + (waited / round_time) ** EVENNESS)


class Schedule:
    """Hold the questions that nobody is asking at the moment."""

    def __init__(self) -> None:
        self.questions: set[Question] = set()

    def next(self, now: float, round_time: float) -> tuple[Question | None, float]:
        """
        Give the question to ask now, and when the next one is due if there is none.

        :param now: the time, by the clock of the questions
        :param round_time: seconds that asking all questions once takes
        """
        best, highest, soonest = None, -1.0, float("inf")
        for question in self.questions:
            if question.due > now:
                soonest = min(soonest, question.due)
                continue
            rank = question.rank(now, round_time)
            if rank > highest:
                best, highest = question, rank
        return best, soonest
