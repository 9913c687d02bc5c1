"""One task's wait for a run, as the poller sees it: when it wants a poll, and whom to tell of the end."""

from __future__ import annotations

import contextvars
import logging
import time
from typing import TYPE_CHECKING, Callable

from airflow_provider_datarecs.api.errors import DataRecsError, Unforeseen
from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.confirmation import Confirmation

if TYPE_CHECKING:
    import asyncio

    from airflow_provider_datarecs.api.runs import Run
    from airflow_provider_datarecs.polling.events import Event
    from airflow_provider_datarecs.polling.monitor import RunMonitor

log = logging.getLogger(__name__)


class Wait:
    """
    One task's wait for a run.

    ``due`` is when it wants the next poll, and ``is_urgent`` says that this comes before all that are not.

    :param monitor: judges what polls show of the run
    :param interval: gives the seconds until the next poll, after so many polls
    :param event: gets the event that ends the wait
    :param now: the time, by the clock of the event loop
    """

    __slots__ = (
        "_interval",
        "_mistakes",
        "_polls",
        "context",
        "due",
        "event",
        "is_urgent",
        "monitor",
        "timer",
    )

    def __init__(
        self, monitor: RunMonitor, interval: Callable[[int], float], event: asyncio.Future[Event], now: float
    ) -> None:
        self.monitor = monitor
        self.event = event
        self.timer: asyncio.TimerHandle | None = None
        self.due = now
        self.is_urgent = False
        self.context = contextvars.copy_context()  # by it Airflow tells whose log a line belongs to
        self._interval = interval
        self._polls = 0
        self._mistakes = Confirmation()

    @property
    def interval(self) -> float:
        """The seconds from the last poll to the next."""
        wanted = self._interval(max(0, self._polls - 1))
        return max(config.current().min_poke_interval, wanted)

    def take(self, answer: Run | DataRecsError, now: float, longest: float) -> Event | None:
        """
        Take the answer to a poll into account, and give the event that ends the wait, if it does.

        :param answer: the run as it was seen, or why it was not
        :param now: the time, by the clock of the event loop
        :param longest: seconds until the next poll comes at the latest, as the rate limit allows
        """
        # A poll that this wait did not ask for does not lengthen its interval.
        self._polls += now >= self.due
        interval = self.interval
        self.due, self.is_urgent = now + interval, False
        event = self.judge(answer, (interval, max(interval, longest)))
        again_in = None if event or self.event.done() else self.monitor.again_in
        if again_in is not None:
            self.due, self.is_urgent = now + again_in, True
        return event

    def judge(
        self, answer: Run | DataRecsError, next_poll: tuple[float, float] | None = None
    ) -> Event | None:
        """
        Let the monitor judge an answer, with what it logs in its task's log; end the wait if it says so.

        :param answer: the run as it was seen, or why it was not
        :param next_poll: seconds until the next poll at the soonest and at the latest, None if nobody knows
        """
        if self.event.done():
            return None
        try:
            event = self.context.run(self.monitor.judge, answer, next_poll)
            self._mistakes.clear()
        except Exception as error:
            log.exception("Cannot be judged, as a poll shows it: %s", self.monitor.wait.name)
            mistake = Unforeseen(error)
            is_confirmed = self._mistakes.confirms(mistake, time.monotonic())
            event = self.monitor.refused(mistake) if is_confirmed else None
        if event is not None:
            self.end(event)
        return event

    def deadline_reached(self, now: float) -> None:
        """Ask for a last poll at once."""
        self.due, self.is_urgent = now, True

    def end(self, event: Event) -> None:
        """End the wait, unless it has ended."""
        if not self.event.done():
            self.event.set_result(event)
