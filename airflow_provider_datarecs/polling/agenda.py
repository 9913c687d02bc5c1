"""Holds things by a time each, and gives the one whose time comes first."""

from __future__ import annotations

import itertools
from collections import deque
from heapq import heapify, heappop, heappush
from typing import Any, Dict, Generic, List, TypeVar

T = TypeVar("T")
# A time, what tells those of the same time apart, and the thing: None once that has another time or is gone,
# else it would live until its old time had come.
Entry = List[Any]


class Agenda(Generic[T]):
    """Hold things by times that may change; each call takes O(log n), spread over many of them."""

    __slots__ = ("_entries", "_heap", "_order")

    def __init__(self) -> None:
        self._entries: Dict[T, Entry] = {}
        # Has outdated entries as well: to find one in it would take longer than to meet it at the front.
        self._heap: list[Entry] = []
        self._order = itertools.count()  # of two with the same time, that which was put first comes first

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, thing: object) -> bool:
        return thing in self._entries

    def put(self, thing: T, time: float) -> None:
        """
        Take something up, or give it another time.

        :param thing: it
        :param time: its time
        """
        _let_go(self._entries.get(thing))
        entry = self._entries[thing] = [time, next(self._order), thing]
        heappush(self._heap, entry)
        if len(self._heap) > 4 * len(self._entries):
            self._heap = list(self._entries.values())
            heapify(self._heap)

    def discard(self, thing: T) -> None:
        """Let go of something, if it is here."""
        _let_go(self._entries.pop(thing, None))

    def first(self) -> T | None:
        """Give what has the earliest time, None where there is nothing."""
        heap = self._heap
        while heap:
            thing: T | None = heap[0][-1]
            if thing is not None:
                return thing
            heappop(heap)
        return None

    def first_time(self) -> float:
        """Give the earliest time, infinity where there is nothing."""
        time: float = float("inf") if self.first() is None else self._heap[0][0]
        return time

    def first_by(self, now: float) -> T | None:
        """Give what has the earliest time, if that has come."""
        thing = self.first()
        return thing if thing is not None and self._heap[0][0] <= now else None


class OrderedAgenda(Agenda[T]):
    """An agenda that knows as well what was put before what."""

    __slots__ = ("_puts",)

    def __init__(self) -> None:
        super().__init__()
        self._puts: deque[Entry] = deque()  # the last one last, with outdated entries as well

    def put(self, thing: T, time: float) -> None:
        """
        Take something up, or give it another time.

        :param thing: it
        :param time: its time
        """
        super().put(thing, time)
        self._puts.append(self._entries[thing])
        if len(self._puts) > 4 * len(self._entries):
            self._puts = deque(sorted(self._entries.values(), key=lambda entry: entry[1]))

    def mark(self) -> int:
        """Give a mark that tells what is put before from what is put after it."""
        return next(self._order)

    def put_longest_ago(self, before: float = float("inf")) -> T | None:
        """
        Give what has had its time for longest, None where there is nothing.

        :param before: a mark before which it must have been put, default any time
        """
        while self._puts:
            thing: T | None
            _, order, thing = self._puts[0]
            if thing is not None:
                return thing if order < before else None
            self._puts.popleft()
        return None


def _let_go(entry: Entry | None) -> None:
    if entry is not None:
        entry[-1] = None
