"""Guesses when a run may end, from how long the earlier runs of its job took."""

from __future__ import annotations

from typing import List, Tuple

KEPT = 20  # the newest run times that count: a page of a run history has at least as many
UNKNOWN = 600.0  # seconds that runs usually take, where nothing is known
MARGIN = 0.01  # of the usual run time: how far beyond the extremes the next one may well fall
# A run that outlasts all of that goes on for about as long again: equally likely spans of what remains,
# in parts of what it has taken and usually takes.
BEYOND = (0.0, 1 / 3, 1.0, 3.0, 9.0)

Spans = List[Tuple[float, float, float]]  # from, to, and the probability in between


class RunDurations:
    """Hold how long the newest finished runs of one job or job group took."""

    __slots__ = ("_oldest", "_runs", "_seconds")

    def __init__(self) -> None:
        self._runs: dict[str, tuple[float, float]] = {}
        self._seconds: list[float] = []
        self._oldest = float("-inf")

    def learn(self, run_id: str, *, ended: float, seconds: float) -> None:
        """
        Take a finished run into account, unless it is known or older than all that count.

        :param run_id: the run's id
        :param ended: when it ended, in seconds of any clock
        :param seconds: how long it took
        """
        if run_id in self._runs or ended <= self._oldest or seconds < 0:
            return
        self._runs[run_id] = (ended, seconds)
        if len(self._runs) > KEPT:
            del self._runs[min(self._runs, key=lambda known: self._runs[known])]
        if len(self._runs) == KEPT:
            self._oldest = min(ended for ended, _ in self._runs.values())
        self._seconds = sorted(seconds for _, seconds in self._runs.values())

    def spans(self, started: float, seen: float, most: int = KEPT + 1) -> Spans:
        """
        Give the spans of time in which a run may end, each with its probability; together they have 1.

        The rule of succession: the next run time is as likely to fall between any two known ones that follow
        each other as below the shortest or above the longest. What the run has outlasted is ruled out.

        :param started: when the run started, in seconds of any clock
        :param seen: when it was last seen to go on, by the same clock
        :param most: roughly how many spans to give at most, at least 1
        """
        elapsed, known = max(0.0, seen - started), self._seconds
        usual = max(1.0, known[len(known) // 2]) if known else UNKNOWN
        spans: Spans = []
        beyond = 1.0
        if known:
            margin = (known[-1] - known[0]) / len(known) + usual * MARGIN
            edges = [max(0.0, known[0] - margin), *known, known[-1] + margin]
            step = -(-(len(edges) - 1) // most)
            places = [*range(0, len(edges) - 1, step), len(edges) - 1]
            spans = [
                _after(elapsed, edges[place], edges[next_place], next_place - place)
                for place, next_place in zip(places, places[1:])
                if edges[next_place] > elapsed
            ]
            beyond = 0.5  # half as likely as any one of these
        scale = usual + elapsed
        share = beyond * usual / scale / (len(BEYOND) - 1)
        spans += [
            (elapsed + scale * low, elapsed + scale * high, share) for low, high in zip(BEYOND, BEYOND[1:])
        ]
        total = sum(weight for _, _, weight in spans)
        return [(started + low, started + high, weight / total) for low, high, weight in spans]


def _after(elapsed: float, low: float, high: float, weight: float) -> tuple[float, float, float]:
    """Give what is left of a span, with what is left of its weight."""
    left = max(low, elapsed)
    return left, high, weight * (high - left) / (high - low) if high > low else weight
