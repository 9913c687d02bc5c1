"""Keeps Python's garbage collector from walking over thousands of waits again and again, where that is on."""

from __future__ import annotations

import gc
from functools import lru_cache

from airflow_provider_datarecs.polling.settings import freeze_waits


class WaitFreezer:
    """
    Freeze whatever a full pass has left, where there are many waits: none walks over it a second time.

    Once as many waits are over as are left, the next pass walks over all. Until then cycles of garbage stay
    that were frozen.

    :param at_least: how many waits are many, 0 for never
    """

    def __init__(self, at_least: float) -> None:
        self._at_least = at_least
        self._waits = 0
        self._left = 0  # since all was walked over
        if at_least:
            gc.callbacks.append(self._after_pass)

    def joined(self) -> None:
        """Note one more wait."""
        self._waits += 1

    def left(self) -> None:
        """Note that a wait is over."""
        self._waits -= 1
        self._left += 1
        if self._at_least and self._left >= max(self._at_least, self._waits):
            gc.unfreeze()
            self._left = 0

    def _after_pass(self, phase: str, info: dict[str, int]) -> None:
        is_full = info["generation"] == len(gc.get_threshold()) - 1  # the oldest, with all younger ones
        if phase == "stop" and is_full and self._waits >= self._at_least:
            gc.freeze()


@lru_cache(maxsize=None)
def wait_freezer() -> WaitFreezer:
    """Give that of this process."""
    return WaitFreezer(freeze_waits())
