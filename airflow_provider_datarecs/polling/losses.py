"""Says what it costs not to ask about runs that may have ended."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Iterable

if TYPE_CHECKING:
    from airflow_provider_datarecs.polling.durations import Span

SUDDEN = 1e-3  # seconds: the shortest span


class LossCurve:
    """
    Tell what it costs not to ask about some runs: the time, in expectation and summed over them, for which a
    run has ended unnoticed.

    That is none while no run can have ended, and one second a second for a run that is sure to have.

    :param spans: of all runs, the spans of time in which each may have ended since it was asked about
    :param weight: how many runs each of them stands for, default 1
    """

    __slots__ = ("_sums", "_times")

    def __init__(self, spans: Iterable[Span], weight: float = 1.0) -> None:
        changes: dict[float, float] = {}  # of the density, by time
        for low, high, chance in spans:
            width = max(high - low, SUDDEN)
            density = weight * chance / width
            changes[low] = changes.get(low, 0.0) + density
            changes[low + width] = changes.get(low + width, 0.0) - density
        times = sorted(changes)
        sums: list[float] = []
        last = density = chance = loss = 0.0
        for time in times:
            passed = time - last
            loss += (chance + density * passed / 2) * passed
            chance += density * passed
            density += changes[time]
            sums += (density, chance, loss)
            last = time
        # For each time: the density of the probability from there on, its sum and the loss until there. There
        # may be tens of thousands of curves, and each array takes 80 bytes more.
        self._times = array("d", times)
        self._sums = array("f", sums)

    def loss(self, now: float) -> float:
        """Give what it has cost not to ask until now, in seconds."""
        place = bisect_right(self._times, now) - 1
        if place < 0:
            return 0.0
        passed = now - self._times[place]
        sums, first = self._sums, 3 * place
        return sums[first + 2] + (sums[first + 1] + sums[first] * passed / 2) * passed
