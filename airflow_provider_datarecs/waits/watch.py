"""Judges each look at a run: whether the wait goes on, and what the log says of it."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Optional, Tuple

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import (
    DataRecsError,
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
)
from airflow_provider_datarecs.api.runs import shown
from airflow_provider_datarecs.compat import CONFIG_EXCEPTIONS
from airflow_provider_datarecs.provider_info import CONFIG_SECTION, HEARTBEAT_INTERVAL
from airflow_provider_datarecs.waits import events

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.runs import Run, Runnable

log = logging.getLogger(__name__)

# Seconds until the next look may come, and in which it comes at the latest; None where nobody knows.
NextLook = Optional[Tuple[float, float]]

# Waiting cures none of these. Everything else that goes wrong is a failed look, which says nothing about the
# run.
FINAL = (Unauthorized, Forbidden, NotFound, Rejected, InvalidInput)
MIN_POKE_INTERVAL = 1.0  # seconds between two looks, whatever the sensor asks for


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


class Watch:
    """
    Remember what one wait has seen, and judge each new look; ``not_before`` is when the next one may come.

    :param runnable: the job or job group
    :param run_id: the run's id
    :param conn_id: the connection's id, for messages
    :param log: the task's logger: a standard one on Airflow 2, a structured one on Airflow 3
    :param since: epoch seconds at which the wait began
    :param deadline: epoch seconds at which it ends, after one last look
    :param limit: which of the task's limits the deadline comes from
    :param first_look: epoch seconds of the wait's first look, default now
    """

    # There may be tens of thousands.
    __slots__ = (
        "_failed_since",
        "_failure",
        "_failure_kind",
        "_first_look",
        "_logged_at",
        "_status",
        "_status_since",
        "conn_id",
        "deadline",
        "limit",
        "log",
        "not_before",
        "run_id",
        "runnable",
        "since",
    )

    def __init__(
        self,
        runnable: Runnable,
        run_id: str,
        *,
        conn_id: str,
        log: Any,
        since: float,
        deadline: float,
        limit: str = events.TIMEOUT,
        first_look: float | None = None,
    ) -> None:
        self.runnable = runnable
        self.run_id = run_id
        self.conn_id = conn_id
        self.log = log
        self.since = since
        self.deadline = deadline
        self.limit = limit
        self._first_look = first_look or time.time()
        self._status: str | None = None
        self._status_since = 0.0
        self._failed_since: float | None = None
        # Not the error itself, which holds on to the answer that it is about.
        self._failure_kind: type[DataRecsError] | None = None
        self._failure = ""
        self._logged_at = 0.0
        self.not_before = 0.0

    def give_up(self) -> events.Event:
        """Give the event of a wait whose time is over, without a last look."""
        return self._timed_out(" There was no room for a last look within the rate limit.")

    def judge(self, look: Run | DataRecsError, next_look: NextLook = None) -> events.Event | None:
        """
        Take a look into account, and give the event that ends the wait, None while it goes on.

        What ended it is not logged here, but by the task, which resumes with the event.

        :param look: the run as it was seen, or why it was not
        :param next_look: when the next one comes, for the log
        """
        self.not_before = time.time() + _least_pause(look)
        if isinstance(look, DataRecsError):
            if isinstance(look, FINAL) and not self._may_yet_appear(look):
                return events.refused(self.runnable, self.run_id, look, self.conn_id)
            self._note_failure(look, next_look)
        else:
            self._note_run(look, next_look)
            if look.is_finished:
                return events.finished(self.runnable, look)
        return self._timed_out() if time.time() >= self.deadline else None

    def _timed_out(self, more: str = "") -> events.Event:
        message, seen = f"{self.timeout_message()}{more}", self._failed_since is None
        return events.timed_out(self.runnable, self.run_id, message, limit=self.limit, seen=seen)

    def _may_yet_appear(self, error: DataRecsError) -> bool:
        in_grace = time.time() < self._first_look + contract.NOT_VISIBLE_GRACE
        return isinstance(error, NotFound) and self._status is None and in_grace

    def _note_failure(self, error: DataRecsError, next_look: NextLook) -> None:
        now = time.time()
        is_news = self._failed_since is None or type(error) is not self._failure_kind
        self._failed_since = self._failed_since or now
        self._failure_kind, self._failure = type(error), str(error)
        if not is_news and not self._heartbeat_due():
            return
        self._logged_at = now
        self.log.warning(
            "Run %s of %s cannot be seen since %s: %s. This says nothing about the run; %s",
            self.run_id,
            self.runnable,
            shown(self._failed_since),
            self._failure.rstrip("."),
            self._progress(next_look),
        )

    def _note_run(self, run: Run, next_look: NextLook) -> None:
        now, lost_since, is_news = time.time(), self._failed_since, run.status != self._status
        self._failed_since = self._failure_kind = None
        if is_news:
            self._status, self._status_since = run.status, now
        if lost_since is None and (run.is_finished or not (is_news or self._heartbeat_due())):
            return
        self._logged_at = now
        status, rows = run.status or "without status", events.rows_of(run.result)
        notes = [] if lost_since is None else [f"seen again after {_ago(lost_since)}"]
        notes.append(status if is_news else f"still {status}, as seen since {shown(self._status_since)}")
        if not run.is_finished and run.status not in contract.STILL_GOING:
            notes.append("a status this provider does not know, taken as still going")
        if rows:
            notes.append(f"{rows} so far")
        self.log.info(
            "Run %s of %s is %s; %s",
            self.run_id,
            self.runnable,
            ", ".join(notes),
            self._progress(next_look),
        )

    def _progress(self, next_look: NextLook) -> str:
        waited = f"waiting for {_ago(self.since)} of {_span(self.deadline - self.since)}"
        left = self.deadline - time.time()
        if next_look is None or left <= 0:
            return waited
        least = self.not_before - time.time()
        soonest, latest = (_span(min(left, max(seconds, least))) for seconds in next_look)
        return f"{waited}, next look in {soonest}{f' to {latest}' if latest > soonest else ''}"

    def _heartbeat_due(self) -> bool:
        return time.time() >= self._logged_at + heartbeat_interval()

    def timeout_message(self, limit: str | None = None) -> str:
        """
        Say how long the wait has lasted, and what is known of the run.

        :param limit: which of the task's limits ended it, default the deadline's
        """
        waited = f"{_ago(self.since)} (the task's {limit or self.limit})"
        subject = f"Run {self.run_id!r} of {self.runnable} did not finish within {waited}"
        if self._failed_since is None:
            return f"{subject}; its last status was {self._status}. It goes on at DataRecs."
        return (
            f"{subject} as far as is known: it could not be seen for the last {_ago(self._failed_since)} "
            f"({self._failure}); before that its status was {self._status or 'never seen'}. Whether it "
            "has ended is unknown; look at DataRecs."
        )


def _least_pause(look: Run | DataRecsError) -> float:
    if not isinstance(look, RateLimited):
        return MIN_POKE_INTERVAL
    from airflow_provider_datarecs.api.retry import limit_wait  # here, since it loads tenacity

    return limit_wait(look)


def _ago(moment: float) -> timedelta:
    return _span(time.time() - moment)


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=round(seconds))
