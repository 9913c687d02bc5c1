"""An event loop for tests on which time passes at once where there is nothing to do but wait."""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import TYPE_CHECKING, Any, Callable, Coroutine

if TYPE_CHECKING:
    import pytest

real_time, real_monotonic = time.time, time.monotonic


class HastyClock:
    """
    Run coroutines on a clock that jumps to the next timer, for all of this process.

    :param monkeypatch: replaces the clocks of the module ``time`` for as long as a test lasts
    :param busy: says whether the loop waits for somebody outside, whose answer takes real time
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, busy: Callable[[], bool]) -> None:
        self.ahead = 0.0
        self.busy = busy
        monkeypatch.setattr(time, "time", lambda: real_time() + self.ahead)
        monkeypatch.setattr(time, "monotonic", lambda: real_monotonic() + self.ahead)

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end, as ``asyncio.run`` does, and give its result."""
        loop = asyncio.SelectorEventLoop(_HastySelector(self))
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(main)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor()) if hasattr(
                loop, "shutdown_default_executor"
            ) else None
            asyncio.set_event_loop(None)
            loop.close()


class _HastySelector(selectors.DefaultSelector):
    def __init__(self, clock: HastyClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0 or self._clock.busy():
            # In steps, since what makes it busy may end in a way that wakes nobody.
            return super().select(timeout if timeout is None or timeout <= 0 else min(timeout, 0.5))
        ready = super().select(0.001)
        if not ready:
            self._clock.ahead += timeout
        return ready
