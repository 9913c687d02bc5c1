"""One watch over the runs of a job: who wants to see the newest of them again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from airflow_provider_datarecs.polling import config

if TYPE_CHECKING:
    from airflow_provider_datarecs.polling.lookup import Answer


class RunsWatch:
    """
    See the first page of a job's runs in an interval, without waiting for one of them.

    ``asked_at`` is when it was asked for last, ``due`` when it is wanted next.

    :param interval: seconds from one poll to the next, at least 1
    :param now: the time, by the clock of the event loop
    """

    __slots__ = ("_answer", "_came", "asked_at", "due", "interval")

    def __init__(self, interval: float, now: float) -> None:
        self.interval = max(config.current().min_poke_interval, interval)
        self.asked_at = self.due = now
        self._answer: Answer | None = None
        self._came = asyncio.Event()

    async def next(self) -> Answer | None:
        """
        Wait for the page, or for why it cannot be had; of several that came since, give the last.

        None is given after :meth:`wake`, where neither has come.
        """
        await self._came.wait()
        self._came.clear()
        answer, self._answer = self._answer, None
        return answer

    def wake(self) -> None:
        """End the wait for the page."""
        self._came.set()

    def take(self, answer: Answer, now: float, sent_at: float) -> None:
        """
        Take the answer to a poll.

        :param answer: the page, or why it was not seen
        :param now: the time
        :param sent_at: when the poll was sent
        """
        if not sent_at < self.due <= now:  # else a poll was wanted after that
            self.due = now + self.interval
        self._answer = answer
        self._came.set()

    def poll_at_once(self, now: float) -> None:
        """Ask for a poll now."""
        self.due = now
