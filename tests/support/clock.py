"""Clocks for tests, on which time passes at once where there is nothing to do but wait."""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Coroutine

from airflow_provider_datarecs.api import client, retry

if TYPE_CHECKING:
    import pytest

real_time, real_monotonic = time.time, time.monotonic
real_sleep, real_async_sleep = time.sleep, asyncio.sleep


def skip_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let this thread's pauses take no time but on the clocks of this process, which they move on.

    :param monkeypatch: replaces what pauses, and the clocks, for as long as a test lasts
    """
    thread, ahead = threading.get_ident(), [0.0]

    def sleep(seconds: float) -> None:
        if threading.get_ident() == thread:
            ahead[0] += seconds
        else:
            real_sleep(seconds)

    async def async_sleep(seconds: float, result: Any = None) -> Any:
        if threading.get_ident() == thread:
            ahead[0] += seconds
            seconds = 0
        return await real_async_sleep(seconds, result)

    def retrying(*arguments: Any, **more: Any) -> Any:
        return retry.retrying(*arguments, **more).copy(sleep=async_sleep)

    monkeypatch.setattr(time, "time", lambda: real_time() + ahead[0])
    monkeypatch.setattr(time, "monotonic", lambda: real_monotonic() + ahead[0])
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(asyncio, "sleep", async_sleep)
    monkeypatch.setattr(client, "retrying", retrying)  # older releases of tenacity keep the real one


class HastyClock:
    """
    Run coroutines on a clock that jumps to the next timer, for all of this process.

    :param monkeypatch: replaces the clocks of the module ``time`` for as long as a test lasts
    :param busy: says whether the loop waits for somebody outside this thread, whose answer takes real time;
        threads that the loop itself has work done in are known. Default None: there is nobody else
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, busy: Callable[[], bool] | None = None) -> None:
        self.ahead = 0.0
        self.busy = busy or (lambda: False)
        self.lets_others_in = 0.001 if busy else 0.0  # seconds for each jump
        monkeypatch.setattr(time, "time", lambda: real_time() + self.ahead)
        monkeypatch.setattr(time, "monotonic", lambda: real_monotonic() + self.ahead)

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end, as ``asyncio.run`` does, and give its result."""
        loop = _HastyLoop(self)
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


class _HastyLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: HastyClock) -> None:
        self.in_threads: set[Any] = set()
        super().__init__(_HastySelector(clock, self.in_threads))

    def run_in_executor(self, executor: Any, func: Any, *arguments: Any) -> Any:
        future = super().run_in_executor(executor, func, *arguments)
        self.in_threads.add(future)
        future.add_done_callback(self.in_threads.discard)
        return future


class _HastySelector(selectors.DefaultSelector):
    def __init__(self, clock: HastyClock, in_threads: set[Any]) -> None:
        super().__init__()
        self._clock = clock
        self._in_threads = in_threads

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0 or self._in_threads or self._clock.busy():
            # In steps, since what makes it busy may end in a way that wakes nobody.
            return super().select(timeout if timeout is None or timeout <= 0 else min(timeout, 0.5))
        ready = super().select(self._clock.lets_others_in)
        if not ready:
            self._clock.ahead += timeout
        return ready
