"""Keeps Python's garbage collector from walking over thousands of waits, where that is on."""

from __future__ import annotations

import gc
from functools import lru_cache

from airflow_provider_datarecs.polling.settings import freeze_waits


class WaitFreezer:
    """
    Freeze memory where there are many waits, and anew once many are over: cycles of garbage stay till then.

    :param every: by how many waits their number rises or falls until that is done, 0 for never
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._waits = 0
        self._frozen_at = 0  # waits

    def joined(self) -> None:
        """Note one more wait."""
        self._waits += 1
        if self._every and self._waits >= self._frozen_at + self._every:
            self._freeze()

    def left(self) -> None:
        """Note that a wait is over."""
        self._waits -= 1
        if self._every and self._waits <= self._frozen_at - self._every:
            gc.unfreeze()
            self._freeze()

    def _freeze(self) -> None:
        gc.collect()  # else what is garbage now would stay
        self._frozen_at = self._waits
        if self._waits >= self._every:
            gc.freeze()


@lru_cache(maxsize=None)
def wait_freezer() -> WaitFreezer:
    """Give that of this process."""
    return WaitFreezer(freeze_waits())
