"""Turns epoch seconds, which a clock that is set may change, into times that only pass."""

from __future__ import annotations

import time


def to_monotonic(moment: float, now: float) -> float:
    """
    Give the time of ``time.monotonic`` for one in the past; what seems to be to come is taken for now.

    :param moment: epoch seconds
    :param now: the time of ``time.monotonic``
    """
    return now - max(0.0, time.time() - moment)


class EpochClock:
    """Tell epoch seconds: as they were when this clock was made, and what has passed since."""

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Give the epoch seconds, by a clock that is never set back or on."""
        return self._offset + time.monotonic()
