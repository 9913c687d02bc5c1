"""Decides what to ask next, where there is more to ask than the rate limit allows."""

from __future__ import annotations

import random
from math import log
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.agenda import Agenda, OrderedAgenda

if TYPE_CHECKING:
    from airflow_provider_datarecs.polling.losses import LossCurve

LOWEST = 1e-9  # level: what has lost nothing has not reached it
ABOVE = 1.0 + 1e-9  # times a level: the next higher one


def draw_max_rounds() -> float:
    """Give after how many rounds something is asked at the latest: at random, so that not all are at once."""
    return config.current().max_rounds * random.uniform(0.5, 1.0)


class Candidate(Protocol):
    """What a schedule has to know of something that is to be asked again and again; it does not change."""

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
    """
    Hold the candidates that nobody is asking at the moment, and give the one to ask next, in O(log n).

    That is the one of the highest rank. Ranks grow with time, each at its own pace, so that their order
    changes from one choice to the next; but when each of them reaches some level does not. So those alone
    are compared that have reached a level which few reach: it rises when they become many, and sinks to the
    next one's rank when they become too few. When each of the others will reach it is found anew for one of
    them with each choice, so for all within a round, as the level is then and the time that a round takes;
    and soon for all, once the level has sunk to half.
    """

    def __init__(self) -> None:
        self._later: Agenda[C] = Agenda()  # by when they are due
        self._urgent: Agenda[C] = Agenda()  # the same, of those that come before all others
        self._rising: OrderedAgenda[C] = OrderedAgenda()  # those that are due, by when they reach the level
        self._high: dict[C, None] = {}  # those that have reached it
        self._patience: Agenda[C] = Agenda()  # both of these, by when they are overdue
        self._level = self._highest_level = LOWEST  # now, and since all of those that rise were placed anew
        self._outdated = 0  # a mark: those that rise and were placed before were so for a much higher level
        self._urgent_in_a_row = 0

    def __len__(self) -> int:
        return len(self._later) + len(self._urgent) + len(self._patience)

    def add(self, candidate: C) -> None:
        """Take up a candidate."""
        (self._urgent if candidate.is_urgent else self._later).put(candidate, candidate.due)

    def discard(self, candidate: C) -> None:
        """Let go of a candidate, if it is here."""
        for agenda in (self._later, self._urgent, self._rising, self._patience):
            agenda.discard(candidate)
        self._high.pop(candidate, None)

    def take_out(self, candidate: C) -> None:
        """Leave out a candidate, since it is asked now."""
        self._urgent_in_a_row = self._urgent_in_a_row + 1 if candidate.is_urgent else 0
        self.discard(candidate)

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
        if only_urgent:
            return self._urgent.first_by(now), self._urgent.first_time()
        self._place_some(now, round_time)
        highest = self._highest(now, round_time)
        urgent, overdue = self._urgent.first_by(now), self._patience.first_by(now)
        if urgent is not None and self.is_turn_of_others:
            urgent, overdue = overdue or urgent, None
        times = (agenda.first_time() for agenda in (self._later, self._urgent))
        soonest = min((time for time in times if time > now), default=float("inf"))
        return urgent or overdue or highest, soonest

    def _place_some(self, now: float, round_time: float) -> None:
        """Place those that have come due or should have reached the level, and the one placed longest ago."""
        for agenda in (self._later, self._rising):
            for _ in range(config.current().compared):  # not all at once, where many come due together
                candidate = agenda.first_by(now)
                if candidate is None:
                    break
                agenda.discard(candidate)
                self._place(candidate, now, round_time)
        for _ in range(config.current().placed_anew):
            oldest = self._rising.put_longest_ago(before=self._outdated)
            if oldest is None:
                break
            self._place(oldest, now, round_time)
        oldest = self._rising.put_longest_ago()
        if oldest is not None:
            self._place(oldest, now, round_time)

    def _place(self, candidate: C, now: float, round_time: float) -> None:
        """Take down whether a candidate that is due has reached the level, and when it does if not."""
        overdue_at = candidate.asked_at + candidate.max_rounds * round_time
        self._patience.put(candidate, overdue_at)
        if overdue_at <= now:
            self._rising.discard(candidate)
            return
        rank = _rank(candidate, now, round_time)
        if rank >= self._level:
            self._rising.discard(candidate)
            self._high[candidate] = None
            return
        self._rising.put(candidate, self._reaches_at(candidate, now, rank, overdue_at, round_time))

    def _reaches_at(
        self, candidate: C, now: float, rank: float, overdue_at: float, round_time: float
    ) -> float:
        """Say when a candidate of a rank below the level reaches it, or is overdue, to within a little."""
        asked_at, level = candidate.asked_at, self._level
        before, low, after, high = now, rank, overdue_at, _rank(candidate, overdue_at, round_time)
        if high <= level:
            return overdue_at
        middle = after
        for _ in range(config.current().guesses):
            if low > 0.0 and before > asked_at:  # a rank is much like a power of the time since it was asked
                share = log(level / low) / log(high / low)
                middle = asked_at + (before - asked_at) * ((after - asked_at) / (before - asked_at)) ** share
            else:
                middle = (before + after) / 2.0
            rank = _rank(candidate, middle, round_time)
            if rank < level:
                before, low = middle, rank
            else:
                after, high = middle, rank
        return middle

    def _highest(self, now: float, round_time: float) -> C | None:
        """Give the one of the highest rank, and move the level to where few have reached it."""
        most, next_one = config.current().compared, self._rising.first()
        ranks = {candidate: _rank(candidate, now, round_time) for candidate in self._high}
        if len(ranks) > most:
            # Above it in any case, so that it does not stay where many are of the same rank.
            self._level = max(sorted(ranks.values())[-most // 2], self._level * ABOVE)
            for candidate, rank in ranks.items():
                if rank < self._level:
                    del self._high[candidate]
                    self._place(candidate, now, round_time)
            self._highest_level = max(self._highest_level, self._level)
        elif len(ranks) < most // 4 and next_one is not None:
            self._sink(next_one, _rank(next_one, now, round_time))
        return max(ranks, key=ranks.__getitem__) if ranks else next_one

    def _sink(self, next_one: C, rank: float) -> None:
        """Move the level down to the rank of the one that reaches it next, so that it has."""
        self._level = max(LOWEST, min(self._level, rank))
        if rank >= self._level:
            self._rising.discard(next_one)
            self._high[next_one] = None
        if self._level < self._highest_level / 2.0:
            # Who reaches a high level first need not be who is above a lower one.
            self._highest_level, self._outdated = self._level, self._rising.mark()


def _rank(candidate: Candidate, now: float, round_time: float) -> float:
    """Say how much a candidate should be asked at a time: the higher, the sooner."""
    loss = candidate.curve.loss(now)
    if not loss:
        return 0.0
    evenness = 1.0 + ((now - candidate.asked_at) / round_time) ** config.current().evenness
    return loss / candidate.interval * evenness
