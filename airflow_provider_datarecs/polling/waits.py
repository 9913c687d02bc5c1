"""One task's wait for a run, as the poller sees it: when it wants a poll, and whom to tell of the end."""

from __future__ import annotations

import contextvars
import logging
import time
from typing import TYPE_CHECKING, Callable

from airflow_provider_datarecs.api.errors import DataRecsError, Unforeseen
from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.confirmation import NEVER, Confirmation

if TYPE_CHECKING:
    import asyncio

    from airflow_provider_datarecs.api.runs import Run
    from airflow_provider_datarecs.polling.events import Event
    from airflow_provider_datarecs.polling.monitor import RunMonitor

log = logging.getLogger(__name__)


class Wait:
    """
    One task's wait for a run.

    ``due`` is when it wants the next poll, and ``is_urgent`` says that this comes before all that are not;
    ``hinted_at`` is when a webhook event has last said that the run has ended; ``is_past_deadline`` says
    whether only its last poll is still to come.

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
        "hinted_at",
        "is_past_deadline",
        "is_urgent",
        "monitor",
    )

    def __init__(
        self, monitor: RunMonitor, interval: Callable[[int], float], event: asyncio.Future[Event], now: float
    ) -> None:
        self.monitor = monitor
        self.event = event
        self.due = now
        self.is_urgent = self.is_past_deadline = False
        self.hinted_at = NEVER
        self.context = contextvars.copy_context()  # by it Airflow tells whose log a line belongs to
        self._interval = interval
        self._polls = 0
        self._mistakes = Confirmation()

    @property
    def was_hinted(self) -> bool:
        """Say whether an event has said that the run has ended."""
        return self.hinted_at > NEVER

    @property
    def interval(self) -> float:
        """The seconds from the last poll to the next."""
        wanted = self._interval(max(0, self._polls - 1))
        return max(config.current().min_poke_interval, wanted)

    def take(
        self, answer: Run | DataRecsError, now: float, longest: float, *, sent_at: float, factor: float = 1.0
    ) -> Event | None:
        """
        Take the answer to a poll into account, and give the event that ends the wait, if it does.

        :param answer: the run as it was seen, or why it was not
        :param now: the time, by the clock of the event loop
        :param longest: seconds until the next poll comes at the latest, as the rate limit allows
        :param sent_at: when the poll was sent
        :param factor: by which the time until the next poll may be longer than the interval, default 1
        """
        # A poll that this wait did not ask for does not lengthen its interval.
        self._polls += now >= self.due
        # What is said to have ended, and does not show it yet, is polled as if nothing more came.
        interval = self.interval * (1.0 if self.was_hinted else factor)
        self.due, self.is_urgent = now + interval, False
        event = self.judge(answer, (interval, max(interval, longest)))
        again_in = None if event or self.event.done() else self.monitor.again_in
        if again_in is not None:
            self.due, self.is_urgent = now + again_in, True
        if self.hinted_at > sent_at:  # which this answer does not know
            self.poll_at_once(now)
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

    def poll_at_once(self, now: float) -> None:
        """Ask for a poll before all that are not urgent."""
        self.due, self.is_urgent = now, True

    def poll_in_interval(self, now: float) -> None:
        """Ask for the next poll within the interval from now, where it was to come later."""
        self.due = min(self.due, now + self.interval)

    def hint(self, now: float) -> None:
        """Ask for a poll at once, since an event says that the run has ended; say so in the task's log."""
        self.hinted_at = now
        self.poll_at_once(now)
        if not self.event.done():
            self.context.run(self.monitor.note_hint)

    def end(self, event: Event) -> None:
        """End the wait, unless it has ended."""
        if not self.event.done():
            self.event.set_result(event)
