"""Decides what to ask next, where there is more to ask than the rate limit allows."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Generic, Iterable, Protocol, TypeVar

from airflow_provider_datarecs.polling import config

if TYPE_CHECKING:
    from airflow_provider_datarecs.polling.durations import Span

OVERDUE, URGENT, OVERDUE_FIRST = 1e12, 2e12, 3e12  # above every rank that a loss can have
SUDDEN = 1e-3  # seconds: the shortest span


class LossCurve:
    """
    Tell what it costs not to ask about some runs: the time, in expectation and summed over them, for which a
    run has ended unnoticed.

    That is none while no run can have ended, and one second a second for a run that is sure to have.

    :param spans: of all runs, the spans of time in which each may have ended since it was asked about
    :param weight: how many runs each of them stands for, default 1
    """

    __slots__ = ("_chances", "_densities", "_losses", "_times")

    def __init__(self, spans: Iterable[Span], weight: float = 1.0) -> None:
        # At each step: the density of the probability from there on, its sum and the loss until there.
        self._times, self._densities, self._chances, self._losses = (array("d") for _ in range(4))
        steps = []
        for low, high, chance in spans:
            width = max(high - low, SUDDEN)
            steps += [(low, weight * chance / width), (low + width, -weight * chance / width)]
        last = density = chance = loss = 0.0
        for time, change in sorted(steps):
            passed = time - last
            loss += (chance + density * passed / 2) * passed
            chance += density * passed
            density += change
            last = time
            self._times.append(time)
            self._densities.append(density)
            self._chances.append(chance)
            self._losses.append(loss)

    def loss(self, now: float) -> float:
        """Give what it has cost not to ask until now, in seconds."""
        place = bisect_right(self._times, now) - 1
        if place < 0:
            return 0.0
        passed = now - self._times[place]
        return self._losses[place] + (self._chances[place] + self._densities[place] * passed / 2) * passed


def draw_max_rounds() -> float:
    """Give after how many rounds something is asked at the latest: at random, so that not all are at once."""
    return config.current().max_rounds * random.uniform(0.5, 1.0)


class Candidate(Protocol):
    """What a schedule has to know of something that is to be asked again and again."""

    @property
    def asked_at(self) -> float:
        """When it was asked last, or came up."""

    @property
    def due(self) -> float:
        """When somebody wants to know it, and no sooner."""

    @property
    def interval(self) -> float:
        """The seconds from one time to the next, as they are wanted."""

    @property
    def is_urgent(self) -> bool:
        """Whether it comes before all that is not, but for some turns of what is overdue."""

    @property
    def max_rounds(self) -> float:
        """After how many rounds it is asked at the latest."""

    @property
    def curve(self) -> LossCurve:
        """What it costs not to ask it."""


C = TypeVar("C", bound=Candidate)


class Schedule(Generic[C]):
    """Hold the candidates that nobody is asking at the moment."""

    def __init__(self) -> None:
        self.candidates: set[C] = set()
        self._urgent_in_a_row = 0

    def take_out(self, candidate: C) -> None:
        """Leave out a candidate, since it is asked now."""
        self._urgent_in_a_row = self._urgent_in_a_row + 1 if candidate.is_urgent else 0
        self.candidates.discard(candidate)

    @property
    def is_turn_of_others(self) -> bool:
        """Say whether, after so many urgent ones in a row, one comes next that is overdue."""
        return self._urgent_in_a_row >= config.current().urgent_in_a_row

    def next(self, now: float, round_time: float, *, only_urgent: bool = False) -> tuple[C | None, float]:
        """
        Give the candidate to ask now, and when the next one is due if there is none.

        :param now: the time, by the clock of the candidates
        :param round_time: seconds that asking all of them once takes
        :param only_urgent: whether only an urgent one may be asked now
        """
        best, highest, soonest = None, -1.0, float("inf")
        overdue = OVERDUE_FIRST if self.is_turn_of_others else OVERDUE
        for candidate in self.candidates:
            if candidate.due > now:
                soonest = min(soonest, candidate.due)
                continue
            if only_urgent and not candidate.is_urgent:
                continue
            rank = _rank(candidate, now, round_time, overdue)
            if rank > highest:
                best, highest = candidate, rank
        return best, soonest


def _rank(candidate: Candidate, now: float, round_time: float, overdue: float) -> float:
    """Say how much a candidate should be asked now: the higher, the sooner."""
    if candidate.is_urgent:
        return URGENT + now - candidate.due  # whoever has been so for longest
    waited = now - candidate.asked_at
    if waited > candidate.max_rounds * round_time:
        return overdue + waited
    evenness = 1.0 + (waited / round_time) ** config.current().evenness
    return candidate.curve.loss(now) / candidate.interval * evenness
