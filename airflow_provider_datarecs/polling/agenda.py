"""Holds things by a time each, and gives the one whose time comes first."""

from __future__ import annotations

import itertools
from collections import deque
from heapq import heapify, heappop, heappush
from typing import Dict, Generic, Tuple, TypeVar

T = TypeVar("T")


class Agenda(Generic[T]):
    """Hold things by times that may change; each call takes O(log n), spread over many of them."""

    __slots__ = ("_heap", "_numbers", "_order", "_things")

    def __init__(self) -> None:
        # Each put has a number; of two things with the same time, that which was put first comes first.
        self._order = itertools.count()
        self._numbers: Dict[T, int] = {}
        self._things: Dict[int, T] = {}
        # Has outdated entries as well: to find one in it would take longer than to meet it at the front. They
        # do not hold their things, which would live until their old times had come.
        self._heap: list[Tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, thing: object) -> bool:
        return thing in self._numbers

    def put(self, thing: T, time: float) -> None:
        """
        Take something up, or give it another time.

        :param thing: it
        :param time: its time
        """
        before = self._numbers.get(thing)
        if before is not None:
            del self._things[before]
        number = self._numbers[thing] = next(self._order)
        self._things[number] = thing
        heappush(self._heap, (time, number))
        if len(self._heap) > 4 * len(self._things):
            self._heap = [entry for entry in self._heap if entry[1] in self._things]
            heapify(self._heap)

    def discard(self, thing: T) -> None:
        """Let go of something, if it is here."""
        number = self._numbers.pop(thing, None)
        if number is not None:
            del self._things[number]

    def first(self) -> T | None:
        """Give what has the earliest time, None where there is nothing."""
        heap, things = self._heap, self._things
        while heap:
            thing = things.get(heap[0][1])
            if thing is not None:
                return thing
            heappop(heap)
        return None

    def first_time(self) -> float:
        """Give the earliest time, infinity where there is nothing."""
        return float("inf") if self.first() is None else self._heap[0][0]

    def first_by(self, now: float) -> T | None:
        """Give what has the earliest time, if that has come."""
        thing = self.first()
        return thing if thing is not None and self._heap[0][0] <= now else None


class OrderedAgenda(Agenda[T]):
    """An agenda that knows as well what was put before what."""

    __slots__ = ("_puts",)

    def __init__(self) -> None:
        super().__init__()
        self._puts: deque[int] = deque()  # the last one last, with outdated ones as well

    def put(self, thing: T, time: float) -> None:
        """
        Take something up, or give it another time.

        :param thing: it
        :param time: its time
        """
        super().put(thing, time)
        self._puts.append(self._numbers[thing])
        if len(self._puts) > 4 * len(self._things):
            self._puts = deque(self._things)

    def mark(self) -> int:
        """Give a mark that tells what is put before from what is put after it."""
        return next(self._order)

    def put_longest_ago(self, before: float = float("inf")) -> T | None:
        """
        Give what has had its time for longest, None where there is nothing.

        :param before: a mark before which it must have been put, default any time
        """
        while self._puts:
            number = self._puts[0]
            thing = self._things.get(number)
            if thing is not None:
                return thing if number < before else None
            self._puts.popleft()
        return None
