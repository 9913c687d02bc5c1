"""Keeps Python's garbage collector from walking over thousands of waits, where that is on."""

from __future__ import annotations

import gc
from functools import lru_cache

from airflow_provider_datarecs.polling.settings import freeze_waits


class WaitFreezer:
    """
    Freeze memory each time that many waits have begun; all of it is walked once most of them are over.

    Until then cycles of garbage stay that were frozen.

    :param every: by how many, 0 for never
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._waits = 0
        self._joined = 0  # since memory was frozen
        self._left = 0  # since all of it was walked

    def joined(self) -> None:
        """Note one more wait."""
        self._waits += 1
        self._joined += 1
        if self._every and self._joined >= self._every:
            self._freeze()

    def left(self) -> None:
        """Note that a wait is over."""
        self._waits -= 1
        self._left += 1
        if self._every and self._left >= max(self._every, self._waits):
            gc.unfreeze()
            self._left = 0
            self._freeze()

    def _freeze(self) -> None:
        gc.collect()  # else what is garbage now would stay
        self._joined = 0
        if self._waits >= self._every:
            gc.freeze()


@lru_cache(maxsize=None)
def wait_freezer() -> WaitFreezer:
    """Give that of this process."""
    return WaitFreezer(freeze_waits())
