"""Guesses when a run may end, from how long the earlier runs of its job took."""

from __future__ import annotations

from array import array
from bisect import bisect_right
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


def short_hash(run_id: str) -> int:
    """Give the hash of a run's id in 32 bits, which two of a job's newest runs hardly share."""
    return hash(run_id) & 0xFFFF_FFFF


class RunDurations:
    """Hold how long the newest finished runs of one job or job group took."""

    # Of each run how long it took, the shortest first, when it ended and its id's hash. There may be tens of
    # thousands of jobs, whose runs' ids would take many times as much.
    __slots__ = ("_ends", "_hashes", "_seconds")

    def __init__(self) -> None:
        self._seconds = array("f")
        self._ends = array("d")
        self._hashes = array("I")

    def __len__(self) -> int:
        return len(self._seconds)

    def learn(self, run_id: str, *, ended: float, seconds: float) -> None:
        """
        Take a finished run into account, unless it is known or older than all that count.

        :param run_id: the run's id
        :param ended: when it ended, in seconds of any clock
        :param seconds: how long it took
        """
        hashed = short_hash(run_id)
        if hashed in self._hashes or seconds < 0:
            return
        if len(self._hashes) >= config.current().durations_kept:
            oldest = min(self._ends)
            if ended <= oldest:
                return
            place = self._ends.index(oldest)
            for column in (self._hashes, self._ends, self._seconds):
                del column[place]
        place = bisect_right(self._seconds, seconds)
        self._seconds.insert(place, seconds)
        self._ends.insert(place, ended)
        self._hashes.insert(place, hashed)

    def spans(self, started: float, seen: float, most: int | None = None) -> list[Span]:
        """
        Give the spans of time in which a run may end, each with its probability; together they have 1.

        The rule of succession: the next run time is as likely to fall between any two known ones that follow
        each other as below the shortest or above the longest. What the run has outlasted is ruled out.

        :param started: when the run started, in seconds of any clock
        :param seen: when it was last seen to go on, by the same clock
        :param most: roughly how many spans to give at most, at least 1; default and bound as for one run
        """
        numbers = config.current()
        elapsed, known = max(0.0, seen - started), self._seconds
        most = min(most or numbers.forecast_spans_of_one, numbers.forecast_spans_of_one)
        usual = max(1.0, known[len(known) // 2]) if known else numbers.unknown_duration
        spans: list[Span] = []
        beyond = 1.0
        if known:
            part = max(numbers.duration_margin, numbers.margin_of_one / len(known) ** 2)
            margin = (known[-1] - known[0]) / len(known) + usual * part
            low, count = max(0.0, known[0] - margin), len(known) + 1
            step = -(-count // most)
            for place in range(0, count, step):
                next_place = min(place + step, count)
                high = known[next_place - 1] if next_place < count else known[-1] + margin
                weight = next_place - place
                if high > elapsed > low:  # what is left of it, with what is left of its weight
                    spans.append((elapsed, high, weight * (high - elapsed) / (high - low)))
                elif high > elapsed:
                    spans.append((low, high, weight))
                low = high
            beyond = 0.5  # half as likely as any one of these
        scale = usual + elapsed
        share = beyond * usual / scale / (len(numbers.beyond) - 1)
        spans += [
            (elapsed + scale * low, elapsed + scale * high, share)
            for low, high in zip(numbers.beyond, numbers.beyond[1:])
        ]
        total = sum(weight for _, _, weight in spans)
        return [(started + low, started + high, weight / total) for low, high, weight in spans]
