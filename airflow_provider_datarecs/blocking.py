"""Runs coroutines for callers that block, also where their thread has an event loop that runs."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Callable, Coroutine, TypeVar

T = TypeVar("T")


def run_to_end(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """
    Run a coroutine and give what it returns, blocking until then.

    In an async task or a notebook the thread's own loop cannot run it, so that another thread does. Whatever
    interrupts the caller, such as a task's timeout, ends the coroutine as well.

    :param make: makes the coroutine
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(make())
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[T]]] = []
    interrupted = False

    async def run() -> T:
        task = asyncio.ensure_future(make())
        running.append((asyncio.get_running_loop(), task))
        if interrupted:  # before there was anything to cancel
            task.cancel()
        return await task

    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(contextvars.copy_context().run, asyncio.run, run()).result()
        except BaseException:
            interrupted = True
            for loop, task in running:
                with suppress(RuntimeError):  # it is over, and its loop closed
                    loop.call_soon_threadsafe(task.cancel)
            raise
