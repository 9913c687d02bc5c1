"""Calls somebody back at the deadline of each wait, with one timer for all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Callable

from airflow_provider_datarecs.polling.agenda import Agenda

if TYPE_CHECKING:
    from airflow_provider_datarecs.polling.waits import Wait


class Deadlines:
    """
    Hold the deadlines of waits.

    The event loop's own timers for all of them would make each timer that a request takes slower.

    :param on_deadline: called with a wait whose deadline has come, in the context of its task
    """

    def __init__(self, on_deadline: Callable[[Wait], None]) -> None:
        self._on_deadline = on_deadline
        self._agenda: Agenda[Wait] = Agenda()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, wait: Wait, seconds: float) -> None:
        """
        Give a wait a deadline, in place of one that it has.

        :param wait: the wait
        :param seconds: until the deadline
        """
        self._agenda.put(wait, asyncio.get_running_loop().time() + max(0.0, seconds))
        self._set_timer()

    def forget(self, wait: Wait) -> None:
        """Let go of a wait, if it has a deadline."""
        self._agenda.discard(wait)
        if not len(self._agenda):
            self._set_timer()

    def _set_timer(self) -> None:
        first = self._agenda.first_time()
        if self._timer is not None:
            if self._timer.when() <= first < float("inf"):
                return  # when it rings too soon, it is set anew
            self._timer.cancel()
        has_any = len(self._agenda) > 0
        self._timer = asyncio.get_running_loop().call_at(first, self._ring) if has_any else None

    def _ring(self) -> None:
        self._timer = None
        wait = self._agenda.first_by(asyncio.get_running_loop().time())
        if wait is not None:
            self._agenda.discard(wait)
            wait.context.run(self._on_deadline, wait)
        self._set_timer()
