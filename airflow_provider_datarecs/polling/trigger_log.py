"""
Where the lines of triggers go.

A triggerer of Airflow 3 writes them to a pipe. Who writes to a full one stops, and on the event loop all
triggers with it; for good, if its reader is just writing to this process. So a thread writes them.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Callable, cast

from airflow_provider_datarecs.compat import is_in_supervised_process

if TYPE_CHECKING:
    import logging

LEVELS = ("debug", "info", "warning", "error", "critical")
# One thread, which keeps the order. It begins with the first line.
_writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="datarecs-log")


class TriggerLog:
    """
    Write lines without holding up the event loop.

    :param log: where they go
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log

    def exception(self, message: str, *args: Any) -> None:
        """Write an error with the exception that is being handled."""
        _write(self._log.error, message, *args, exc_info=sys.exc_info())

    def __getattr__(self, name: str) -> Any:
        """Give whatever else a logger has; ``info`` and its like write in the thread, too."""
        found = getattr(self._log, name)
        return partial(_write, found) if name in LEVELS else found


class LogMixin:
    """Gives triggers a log that does not hold up the event loop."""

    @property
    def log(self) -> TriggerLog:
        """Give the log of this trigger's class; the context tells the task of a line."""
        return _log_of(cast("Any", type(self)))


async def log_written() -> None:
    """Return when all lines until now are written: Airflow closes the log of a trigger that is over."""
    if is_in_supervised_process():
        await asyncio.wrap_future(_writer.submit(int))


@lru_cache(maxsize=None)
def _log_of(trigger_class: Any) -> TriggerLog:
    return TriggerLog(trigger_class.logger())


def _write(write: Callable[..., None], *args: Any, **more: Any) -> None:
    if is_in_supervised_process():
        _writer.submit(contextvars.copy_context().run, write, *args, **more)
    else:
        write(*args, **more)
