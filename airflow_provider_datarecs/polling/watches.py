"""One watch over the runs of a job: who wants to see the newest of them again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.confirmation import NEVER

if TYPE_CHECKING:
    from airflow_provider_datarecs.polling.lookup import Answer


class RunsWatch:
    """
    See the first page of a job's runs in an interval, without waiting for one of them.

    ``asked_at`` is when it was asked for last, ``due`` when it is wanted next, and ``is_urgent`` says that
    this comes before all that is not; ``doubted_at`` is as that of a :class:`.WaitMonitor`.

    :param interval: seconds from one poll to the next, at least 1
    :param now: the time, by the clock of the event loop
    """

    __slots__ = (
        "_answer",
        "_came",
        "_is_over",
        "_wanted_at",
        "asked_at",
        "doubted_at",
        "due",
        "interval",
        "is_urgent",
    )

    def __init__(self, interval: float, now: float) -> None:
        self.interval = max(config.current().min_poke_interval, interval)
        self.asked_at = self.due = self._wanted_at = now
        self.is_urgent = self._is_over = False
        self.doubted_at = NEVER
        self._answer: Answer | None = None
        self._came = asyncio.Event()

    async def next(self) -> Answer | None:
        """
        Wait for the page, or for why it cannot be had; of several that came since, give the last.

        None is given after :meth:`end`, once there is neither.
        """
        await self._came.wait()
        if not self._is_over:
            self._came.clear()
        answer, self._answer = self._answer, None
        return answer

    def end(self) -> None:
        """End the wait for the page."""
        self._is_over = True
        self._came.set()

    def take(self, answer: Answer, now: float, sent_at: float) -> None:
        """
        Take the answer to a poll.

        :param answer: the page, or why it was not seen
        :param now: the time
        :param sent_at: when the poll was sent
        """
        if sent_at >= self._wanted_at:  # else a poll is wanted that is sent after that
            self.due, self.is_urgent = now + self.interval, False
        self._answer = answer
        self._came.set()

    def poll_at(self, when: float) -> None:
        """Ask for a poll at a time, before all that are not urgent."""
        self.due = self._wanted_at = when
        self.is_urgent = True
