"""Judges each look at a run: whether the wait goes on, and what the log says of it."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Optional, Tuple

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import DataRecsError, NotFound, RateLimited, Unforeseen
from airflow_provider_datarecs.api.times import iso_utc
from airflow_provider_datarecs.compat import CONFIG_EXCEPTIONS, resume_margin
from airflow_provider_datarecs.polling import confirmation, events
from airflow_provider_datarecs.provider_info import CONFIG_SECTION, HEARTBEAT_INTERVAL

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.runs import Run
    from airflow_provider_datarecs.api.targets import Target

log = logging.getLogger(__name__)

# Seconds until the next look may come, and in which it comes at the latest; None where nobody knows.
NextPoll = Optional[Tuple[float, float]]

MIN_POKE_INTERVAL = 1.0  # seconds between two looks, whatever the sensor asks for
# Seconds after its deadline that a wait goes on, if it has to queue for its last look or that fails.
LAST_POLL_WITHIN = 300.0
LAST_POLL_AGAIN = 5.0  # seconds from a first last look that failed to the next; later ones are farther apart
FAILURES = 3  # looks in a row that fail, after which a wait in its own process reads the connection again


@lru_cache(maxsize=None)
def heartbeat_interval() -> float:
    """
    Give the seconds between two log lines of a wait while nothing changes, as airflow.cfg has them.

    They are read once, which may read files. A value that cannot be right is no reason to end a wait.
    """
    from airflow.configuration import conf

    option, default = HEARTBEAT_INTERVAL
    try:
        seconds = conf.getfloat(CONFIG_SECTION, option, fallback=default)
        problem = "" if seconds >= 0 else f"{seconds} is no number of seconds"
    except CONFIG_EXCEPTIONS as error:
        problem = str(error)
    if not problem:
        return seconds
    log.warning(
        "[%s] %s in airflow.cfg, or AIRFLOW__%s__%s: %s. Going on with the default, %.0f s",
        CONFIG_SECTION,
        option,
        CONFIG_SECTION.upper(),
        option.upper(),
        problem,
        default,
    )
    return default


class RunMonitor:
    """
    Remember what one wait has seen, and judge each new look.

    ``again_in`` are the seconds after which another look must come whatever the interval, None where it need
    not: to confirm what would end the wait, or because the last one failed.

    :param target: the job or job group
    :param run_id: the run's id
    :param conn_id: the connection's id, for messages
    :param log: the task's logger: a standard one on Airflow 2, a structured one on Airflow 3
    :param since: epoch seconds at which the wait began
    :param deadline: epoch seconds at which it ends, after one last look
    :param limit: which of the task's limits the deadline comes from
    :param first_poll: epoch seconds of the wait's first look, default now
    """

    # There may be tens of thousands.
    __slots__ = (
        "_confirmation",
        "_epoch",
        "_failed_since",
        "_failure",
        "_failure_kind",
        "_failures",
        "_first_poll",
        "_last_poll_at",
        "_logged_at",
        "_not_before",
        "_status",
        "_status_since",
        "again_in",
        "conn_id",
        "deadline",
        "limit",
        "log",
        "run_id",
        "since",
        "target",
    )

    def __init__(
        self,
        target: Target,
        run_id: str,
        *,
        conn_id: str,
        log: Any,
        since: float,
        deadline: float,
        limit: str = events.TIMEOUT,
        first_poll: float | None = None,
    ) -> None:
        # From here on time is what passes, whatever becomes of the clock on the wall.
        self._epoch = time.time() - time.monotonic()
        self.target = target
        self.run_id = run_id
        self.conn_id = conn_id
        self.log = log
        self.since = since
        self.deadline = deadline
        self.limit = limit
        self.again_in: float | None = None
        self._first_poll = first_poll or self._now()
        self._confirmation = confirmation.Confirmation()
        self._status: str | None = None
        self._status_since = 0.0
        self._failures = 0
        self._failed_since: float | None = None
        # Not the error itself, which holds on to the answer that it is about.
        self._failure_kind: type[DataRecsError] | None = None
        self._failure = ""
        self._last_poll_at: float | None = None
        self._logged_at = 0.0
        self._not_before = 0.0

    @property
    def left(self) -> float:
        """The seconds until the deadline, negative after it."""
        return self.deadline - self._now()

    @property
    def pause(self) -> float:
        """The seconds until the next look may come, by what DataRecs has said of its rate limit."""
        return max(0.0, self._not_before - self._now())

    @property
    def last_poll_within(self) -> float:
        """The seconds after the deadline within which the last look must be over."""
        margin = 0.0 if self.limit == events.TIMEOUT else resume_margin()
        return min(LAST_POLL_WITHIN, margin / 2.0) if margin else LAST_POLL_WITHIN

    @property
    def doubted_at(self) -> float:
        """When it last met what a look on a connection read since is to confirm, by ``time.monotonic``."""
        return self._confirmation.since if self._confirmation.is_about_a_verdict else float("-inf")

    @property
    def doubts_the_connection(self) -> bool:
        """Say whether the connection may be another by now."""
        return self._confirmation.is_about_a_verdict or (
            self._failures > 0 and self._failures % FAILURES == 0
        )

    def give_up(self) -> events.Event:
        """Give the event of a wait whose time is over, and that for its last look as well."""
        no_room = " There was no room for a last look within the rate limit."
        return self._timed_out(no_room if self._last_poll_at is None else "")

    def refused(self, error: DataRecsError) -> events.Event:
        """
        Give the event of a wait that cannot go on.

        :param error: why
        """
        return events.refused(self.target, self.run_id, error, self.conn_id)

    def judge(self, poll: Run | DataRecsError, next_poll: NextPoll = None) -> events.Event | None:
        """
        Take a look into account, and give the event that ends the wait, None while it goes on.

        What ended it is not logged here, but by the task, which resumes with the event.

        :param poll: the run as it was seen, or why it was not
        :param next_poll: when the next one comes, for the log
        """
        self._not_before = self._now() + _least_pause(poll)
        verdict = None if self._may_yet_appear(poll) else poll
        is_proven = self._confirmation.proves(verdict, time.monotonic())
        self.again_in = self._again_in(poll)
        if isinstance(poll, DataRecsError):
            if is_proven:
                return self.refused(poll)
            self._note_failure(poll, next_poll)
        else:
            self._note_run(poll, next_poll)
            if poll.is_finished:
                return events.finished(self.target, poll)
        return self._timed_out() if self.left <= 0 and self.again_in is None else None

    def _again_in(self, poll: Run | DataRecsError) -> float | None:
        if not isinstance(poll, DataRecsError):
            return None
        confirm = confirmation.CONFIRM_AFTER if self._confirmation.is_about_a_verdict else None
        if self.left > 0:
            return None if isinstance(poll, RateLimited) else confirm
        now = self._now()
        if self._last_poll_at is None:
            self._last_poll_at = now
        spent = now - self._last_poll_at
        left = self.last_poll_within - spent
        pause = max(self.pause, min(left, max(confirm or LAST_POLL_AGAIN, spent)))
        return pause if 0.0 < pause <= left else None

    def _timed_out(self, more: str = "") -> events.Event:
        message, seen = f"{self.timeout_message()}{more}", self._failed_since is None
        return events.timed_out(self.target, self.run_id, message, limit=self.limit, seen=seen)

    def _now(self) -> float:
        """Give the epoch seconds, by a clock that is never set back or on."""
        return self._epoch + time.monotonic()

    def _may_yet_appear(self, poll: Run | DataRecsError) -> bool:
        in_grace = self._now() < self._first_poll + contract.NOT_VISIBLE_GRACE
        return isinstance(poll, NotFound) and self._status is None and in_grace

    def _note_failure(self, error: DataRecsError, next_poll: NextPoll) -> None:
        now = self._now()
        self._failures += 1
        is_news = self._failed_since is None or type(error) is not self._failure_kind
        self._failed_since = self._failed_since or now
        self._failure_kind, self._failure = type(error), str(error)
        if not is_news and not self._heartbeat_due():
            return
        self._logged_at = now
        meaning = "This says nothing about the run"
        if self._confirmation.is_about_a_verdict:
            meaning = "If further looks, on the connection as it is then, meet the same, the wait ends"
        self.log.warning(
            "Run %s of %s cannot be seen since %s: %s. %s; %s%s",
            self.run_id,
            self.target,
            iso_utc(self._failed_since),
            self._failure.rstrip("."),
            meaning,
            self._progress(next_poll),
            f"\n{error.details}" if isinstance(error, Unforeseen) else "",
        )

    def _note_run(self, run: Run, next_poll: NextPoll) -> None:
        now, lost_since, is_news = self._now(), self._failed_since, run.status != self._status
        self._failed_since = self._failure_kind = None
        self._failures = 0
        if is_news:
            self._status, self._status_since = run.status, now
        if lost_since is None and (run.is_finished or not (is_news or self._heartbeat_due())):
            return
        self._logged_at = now
        status, rows = run.status or "without status", events.rows_of(run.result)
        notes = [] if lost_since is None else [f"seen again after {self._ago(lost_since)}"]
        notes.append(status if is_news else f"still {status}, as seen since {iso_utc(self._status_since)}")
        if not run.is_finished and run.status not in contract.STILL_GOING:
            notes.append("a status this provider does not know, taken as still going")
        if rows:
            notes.append(f"{rows} so far")
        self.log.info(
            "Run %s of %s is %s; %s",
            self.run_id,
            self.target,
            ", ".join(notes),
            self._progress(next_poll),
        )

    def _progress(self, next_poll: NextPoll) -> str:
        waited = f"waiting for {self._ago(self.since)} of {_span(self.deadline - self.since)}"
        left = self.left
        if self.again_in is not None:
            next_poll, left = (self.again_in, self.again_in), max(left, self.again_in)
        if next_poll is None or left <= 0:
            return waited
        soonest, latest = (_span(min(left, max(seconds, self.pause))) for seconds in next_poll)
        return f"{waited}, next look in {soonest}{f' to {latest}' if latest > soonest else ''}"

    def _heartbeat_due(self) -> bool:
        return self._now() >= self._logged_at + heartbeat_interval()

    def _ago(self, moment: float) -> timedelta:
        return _span(self._now() - moment)

    def timeout_message(self, limit: str | None = None) -> str:
        """
        Say how long the wait has lasted, and what is known of the run.

        :param limit: which of the task's limits ended it, default the deadline's
        """
        waited = f"{self._ago(self.since)} (the task's {limit or self.limit})"
        subject = f"Run {self.run_id!r} of {self.target} did not finish within {waited}"
        if self._failed_since is None:
            return f"{subject}; its last status was {self._status}. It goes on at DataRecs."
        return (
            f"{subject} as far as is known: it could not be seen for the last "
            f"{self._ago(self._failed_since)} ({self._failure}); before that its status was "
            f"{self._status or 'never seen'}. Whether it has ended is unknown; look at DataRecs."
        )


def _least_pause(poll: Run | DataRecsError) -> float:
    if not isinstance(poll, RateLimited):
        return MIN_POKE_INTERVAL
    from airflow_provider_datarecs.api.retry import limit_wait  # here, since it loads tenacity

    return limit_wait(poll)


def _span(seconds: float) -> timedelta:
    # Where it began on another machine, its clock may be ahead of this one's.
    return timedelta(seconds=max(0, round(seconds)))
