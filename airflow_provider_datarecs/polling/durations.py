"""Guesses when a run may end, from how long the earlier runs of its job took."""

from __future__ import annotations

from typing import Tuple, TypedDict

from airflow_provider_datarecs.polling import config

Span = Tuple[float, float, float]  # from, to, and the probability in between


class KnownRun(TypedDict):
    """
    A run that has ended.

    ``run_id`` is its id, ``ended`` when it ended, in epoch seconds, and ``seconds`` how long it took.
    """

    run_id: str
    ended: float
    seconds: float


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
        kept = config.current().durations_kept
        if len(self._runs) > kept:
            del self._runs[min(self._runs, key=lambda known: self._runs[known])]
        if len(self._runs) == kept:
            self._oldest = min(ended for ended, _ in self._runs.values())
        self._seconds = sorted(seconds for _, seconds in self._runs.values())

    def spans(self, started: float, seen: float, most: int | None = None) -> list[Span]:
        """
        Give the spans of time in which a run may end, each with its probability; together they have 1.

        The rule of succession: the next run time is as likely to fall between any two known ones that follow
        each other as below the shortest or above the longest. What the run has outlasted is ruled out.

        :param started: when the run started, in seconds of any clock
        :param seen: when it was last seen to go on, by the same clock
        :param most: roughly how many spans to give at most, at least 1, default all
        """
        numbers = config.current()
        elapsed, known = max(0.0, seen - started), self._seconds
        most = most or len(known) + 1
        usual = max(1.0, known[len(known) // 2]) if known else numbers.unknown_duration
        spans: list[Span] = []
        beyond = 1.0
        if known:
            part = max(numbers.duration_margin, numbers.margin_of_one / len(known) ** 2)
            margin = (known[-1] - known[0]) / len(known) + usual * part
            edges = [max(0.0, known[0] - margin), *known, known[-1] + margin]
            step = -(-(len(edges) - 1) // most)
            places = [*range(0, len(edges) - 1, step), len(edges) - 1]
            for place, next_place in zip(places, places[1:]):
                low, high, weight = edges[place], edges[next_place], next_place - place
                if high > elapsed > low:  # what is left of it, with what is left of its weight
                    spans.append((elapsed, high, weight * (high - elapsed) / (high - low)))
                elif high > elapsed:
                    spans.append((low, high, weight))
            beyond = 0.5  # half as likely as any one of these
        scale = usual + elapsed
        share = beyond * usual / scale / (len(numbers.beyond) - 1)
        spans += [
            (elapsed + scale * low, elapsed + scale * high, share)
            for low, high in zip(numbers.beyond, numbers.beyond[1:])
        ]
        total = sum(weight for _, _, weight in spans)
        return [(started + low, started + high, weight / total) for low, high, weight in spans]
