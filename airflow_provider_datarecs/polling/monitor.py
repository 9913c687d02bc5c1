"""Judges what each poll shows: whether the wait goes on, and how it ends."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Awaitable, NamedTuple

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import DataRecsError, NotFound, RateLimited
from airflow_provider_datarecs.compat import resume_margin
from airflow_provider_datarecs.polling import config, events
from airflow_provider_datarecs.polling.clock import EpochClock
from airflow_provider_datarecs.polling.confirmation import NEVER, Confirmation
from airflow_provider_datarecs.polling.progress import Progress

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.runs import Run
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.durations import KnownRun
    from airflow_provider_datarecs.polling.progress import NextPoll


class WaitSpec(NamedTuple):
    """
    What a task waits for, and for how long.

    :param target: the job or job group
    :param run_id: the run's id
    :param conn_id: the connection's id
    :param log: the trigger's, a :class:`.TriggerLog`
    :param since: epoch seconds at which the wait began
    :param deadline: epoch seconds at which it ends, after one last poll
    :param limit: which of the task's limits the deadline comes from
    :param last_run: the last run of the same job that has ended, default None, where none is known
    """

    target: Target
    run_id: str
    conn_id: str
    log: Any
    since: float
    deadline: float
    limit: str = events.TIMEOUT
    last_run: KnownRun | None = None

    @property
    def name(self) -> str:
        """The run, as messages name it."""
        return self.target.name_run(self.run_id)


class WaitMonitor(ABC):
    """
    Say of a wait, in every mode of a sensor, when it is to be polled again, and what its polls confirm.

    ``again_in`` are the seconds after which another poll must come whatever the interval, None where it need
    not: to confirm what would end the wait, or because the last one failed.

    :param wait: what the task waits for
    """

    # There may be tens of thousands.
    __slots__ = ("_clock", "_confirmation", "_failures", "_last_poll_at", "_not_before", "again_in", "wait")

    def __init__(self, wait: WaitSpec) -> None:
        self.wait = wait
        self.again_in: float | None = None
        self._clock = EpochClock()
        self._confirmation = Confirmation()
        self._failures = 0  # polls in a row
        self._last_poll_at: float | None = None
        self._not_before = 0.0

    @property
    def left(self) -> float:
        """The seconds until the deadline, negative after it."""
        return self.wait.deadline - self._clock.now()

    @property
    def pause(self) -> float:
        """The seconds until the next poll may come, by what DataRecs has said of its rate limit."""
        return max(0.0, self._not_before - self._clock.now())

    @property
    def last_poll_within(self) -> float:
        """The seconds after the deadline within which the last poll must be over."""
        within = config.current().last_poll_within
        margin = 0.0 if self.wait.limit == events.TIMEOUT else resume_margin()
        return min(within, margin / 2.0) if margin else within

    @property
    def doubted_at(self) -> float:
        """When it last met what a poll on a connection read since is to confirm, by ``time.monotonic``."""
        return self._confirmation.since if self._confirmation.is_pending else NEVER

    @property
    def doubts_the_connection(self) -> bool:
        """Say whether the connection may be another by now."""
        many = self._failures > 0 and self._failures % config.current().reread_after_failures == 0
        return self._confirmation.is_pending or many

    @property
    @abstractmethod
    def is_seen(self) -> bool:
        """Say whether the last poll has seen what is waited for."""

    @property
    def status(self) -> str | None:
        """The status that the run had when it was last seen, None before."""
        return None

    @property
    def is_over(self) -> bool:
        """Say whether its time is, and its last poll as well."""
        return self.left <= 0 and self.again_in is None

    def weigh(self, answer: object, *, says_nothing: bool = False) -> bool:
        """
        Take down what a poll met, and say whether that is confirmed, so that the wait cannot go on.

        :param answer: what was seen, or the error why it was not
        :param says_nothing: whether this very error may be met for a while, default False
        """
        error = answer if isinstance(answer, DataRecsError) else None
        self._failures = 0 if error is None else self._failures + 1
        self._not_before = self._clock.now() + _least_pause(error)
        is_confirmed = self._confirmation.confirms(None if says_nothing else error, time.monotonic())
        self.again_in = self._again_in(error)
        return is_confirmed

    @abstractmethod
    def ask(self, client: DataRecsClient) -> Awaitable[Any]:
        """Send a poll for a wait that no other one shares, and give the answer for :meth:`judge`."""

    @abstractmethod
    def judge(self, answer: Any, next_poll: NextPoll = None) -> events.Event | None:
        """
        Take a poll into account, and give the event that ends the wait, None while it goes on.

        What ended it is not logged here, but by the task, which resumes with the event.

        :param answer: what was seen, or the error why it was not
        :param next_poll: when the next one comes, for the log
        """

    @abstractmethod
    def timeout_message(self, limit: str | None = None, *, has_last_poll: bool = False) -> str:
        """
        Say how long the wait has lasted, and what is known of what it waits for.

        :param limit: which of the task's limits ended it, default the deadline's
        :param has_last_poll: whether the last poll was one at its end, default False
        """

    def give_up(self) -> events.Event:
        """Give the event of a wait whose time is over, and that for its last poll as well."""
        none = " There was no answer to a last poll, or no room for one within the rate limit."
        return self._timed_out(none if self._last_poll_at is None else "", has_last_poll=False)

    def refused(self, error: DataRecsError) -> events.Event:
        """
        Give the event of a wait that cannot go on.

        :param error: why
        """
        return events.refused(self.wait.target, self.wait.run_id, error, self.wait.conn_id)

    def _timed_out(self, more: str = "", *, has_last_poll: bool = True) -> events.Event:
        return events.timed_out(
            self.wait.target,
            self.wait.run_id,
            f"{self.timeout_message(has_last_poll=has_last_poll)}{more}",
            limit=self.wait.limit,
            seen=self.is_seen and has_last_poll,
            status=self.status,
        )

    def _again_in(self, error: DataRecsError | None) -> float | None:
        if error is None:
            return None
        numbers = config.current()
        confirm = numbers.confirm_after if self._confirmation.is_pending else None
        if self.left > 0:
            return None if isinstance(error, RateLimited) else confirm
        now = self._clock.now()
        if self._last_poll_at is None:
            self._last_poll_at = now
        spent = now - self._last_poll_at
        left = self.last_poll_within - spent
        pause = max(self.pause, min(left, max(confirm or numbers.last_poll_again, spent)))
        return pause if 0.0 < pause <= left else None


class RunMonitor(WaitMonitor):
    """
    Judge what polls show of the run that one task waits for, in every mode of a sensor.

    :param wait: what the task waits for
    :param first_poll: epoch seconds of the wait's first poll, default now
    """

    __slots__ = ("_first_poll", "_progress")

    def __init__(self, wait: WaitSpec, *, first_poll: float | None = None) -> None:
        super().__init__(wait)
        self._progress = Progress(wait, self._clock)
        self._first_poll = first_poll or self._clock.now()

    @property
    def is_seen(self) -> bool:
        """Say whether the last poll has seen the run."""
        return self._progress.is_seen

    @property
    def status(self) -> str | None:
        """The status that the run had when it was last seen, None before."""
        return self._progress.status

    def ask(self, client: DataRecsClient) -> Awaitable[Run]:
        """Send a poll."""
        return client.get_run(self.wait.target, self.wait.run_id)

    def judge(self, answer: Run | DataRecsError, next_poll: NextPoll = None) -> events.Event | None:
        """Take a poll into account, and give the event that ends the wait, None while it goes on."""
        is_confirmed = self.weigh(answer, says_nothing=self._may_yet_appear(answer))
        if isinstance(answer, DataRecsError):
            if is_confirmed:
                return self.refused(answer)
            self._progress.note_failure(
                answer, self._told(next_poll), to_be_confirmed=self._confirmation.is_pending
            )
        else:
            self._progress.note_run(answer, self._told(next_poll))
            if answer.is_finished:
                return events.finished(self.wait.target, answer)
        return self._timed_out() if self.is_over else None

    def note_hint(self) -> None:
        """Tell the task's log that DataRecs says that the run has ended, which a poll is to show."""
        self._progress.note_hint()

    def timeout_message(self, limit: str | None = None, *, has_last_poll: bool = False) -> str:
        """Say how long the wait has lasted, and what is known of the run."""
        return self._progress.timeout_message(limit, has_last_poll=has_last_poll)

    def _told(self, next_poll: NextPoll) -> NextPoll:
        """Give when the next poll comes, as the log is to tell it."""
        left = self.left
        if self.again_in is not None:
            next_poll, left = (self.again_in, self.again_in), max(left, self.again_in)
        if next_poll is None or left <= 0:
            return None
        soonest, latest = (min(left, max(seconds, self.pause)) for seconds in next_poll)
        return soonest, latest

    def _may_yet_appear(self, answer: Run | DataRecsError) -> bool:
        in_grace = self._clock.now() < self._first_poll + contract.NOT_VISIBLE_GRACE
        return isinstance(answer, NotFound) and self._progress.status is None and in_grace


def _least_pause(error: DataRecsError | None) -> float:
    if not isinstance(error, RateLimited):
        return config.current().min_poke_interval
    from airflow_provider_datarecs.api.retry import limit_wait  # here, since it loads tenacity

    return limit_wait(error)
