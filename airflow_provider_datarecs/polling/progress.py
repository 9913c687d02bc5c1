"""What the log of a waiting task says while it waits, and what is known of its run when the time is over."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Optional, Tuple

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import DataRecsError, NameUnresolved, Unforeseen
from airflow_provider_datarecs.api.times import iso_utc
from airflow_provider_datarecs.polling import events
from airflow_provider_datarecs.polling.settings import heartbeat_interval

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.runs import Run
    from airflow_provider_datarecs.polling.clock import EpochClock
    from airflow_provider_datarecs.polling.monitor import WaitSpec

# Seconds until the next poll may come, and in which it comes at the latest; None where nobody knows.
NextPoll = Optional[Tuple[float, float]]


class Progress:
    """
    Remember what polls have shown of a run, and tell the task's log of it.

    ``status`` is the last that was seen, None before.

    :param wait: the wait
    :param clock: tells the time
    """

    # There may be tens of thousands.
    __slots__ = (
        "_clock",
        "_failed_since",
        "_failure",
        "_failure_kind",
        "_is_host_known",
        "_logged_at",
        "_status_since",
        "_wait",
        "status",
    )

    def __init__(self, wait: WaitSpec, clock: EpochClock) -> None:
        self.status: str | None = None
        self._wait = wait
        self._clock = clock
        self._status_since = 0.0
        self._failed_since: float | None = None
        # Not the error itself, which holds on to the answer that it is about.
        self._failure_kind: type[DataRecsError] | None = None
        self._failure = ""
        self._is_host_known = False
        self._logged_at = 0.0

    @property
    def is_seen(self) -> bool:
        """Say whether the last poll has seen the run."""
        return self._failed_since is None

    def note_failure(self, error: DataRecsError, next_poll: NextPoll, *, to_be_confirmed: bool) -> None:
        """
        Take down a poll that failed, and tell of it where that is news.

        :param error: why it failed
        :param next_poll: when the next one comes
        :param to_be_confirmed: whether further polls that meet the same end the wait
        """
        now = self._clock.now()
        is_news = self._failed_since is None or type(error) is not self._failure_kind
        self._failed_since = self._failed_since or now
        self._failure_kind, self._failure = type(error), str(error)
        self._is_host_known = self._is_host_known or not isinstance(error, NameUnresolved)
        if not is_news and not self._heartbeat_due():
            return
        self._logged_at = now
        meaning, tell = "This says nothing about the run", self._wait.log.warning
        if not self._is_host_known:
            meaning = "Not once since this wait was taken up has there been an address"
            tell = self._wait.log.error
        if to_be_confirmed:
            meaning = "If further polls, on the connection as it is then, meet the same, the wait ends"
        tell(
            "Cannot be seen since %s: %s: %s. %s; %s%s",
            iso_utc(self._failed_since),
            self._wait.name,
            self._failure.rstrip("."),
            meaning,
            self._so_far(next_poll),
            f"\n{error.details}" if isinstance(error, Unforeseen) else "",
        )

    def note_run(self, run: Run, next_poll: NextPoll) -> None:
        """
        Take down how the run is, and tell of it where that is news.

        :param run: the run as it was seen
        :param next_poll: when the next poll comes
        """
        now, lost_since, is_news = self._clock.now(), self._failed_since, run.status != self.status
        self._failed_since = self._failure_kind = None
        self._is_host_known = True
        if is_news:
            self.status, self._status_since = run.status, now
        if lost_since is None and (run.is_finished or not (is_news or self._heartbeat_due())):
            return
        self._logged_at = now
        status, rows = _shown(run.status), events.rows_of(run.result)
        notes = [status if is_news else f"Still {status}, as seen since {iso_utc(self._status_since)}"]
        if lost_since is not None:
            notes.append(f"seen again after {self._ago(lost_since)}")
        if not run.is_finished and run.status not in contract.STILL_GOING:
            notes.append("a status this provider does not know, taken as still going")
        if rows:
            notes.append(f"{rows} so far")
        self._wait.log.info(
            "%s: %s; %s",
            ", ".join(notes),
            self._wait.name,
            self._so_far(next_poll),
        )

    def note_hint(self) -> None:
        """Tell that a webhook event has come, which is no answer about the run itself."""
        self._wait.log.info(
            "DataRecs says that the run has ended, which a poll is to show now: %s", self._wait.name
        )

    def timeout_message(self, limit: str | None = None, *, has_last_poll: bool) -> str:
        """
        Say how long the wait has lasted, and what is known of the run.

        :param limit: which of the task's limits ended it, default the deadline's
        :param has_last_poll: whether the last poll was one at its end
        """
        waited = f"{self._ago(self._wait.since)} (the task's {limit or self._wait.limit})"
        if self._failed_since is None:
            verdict = f"{_shown(self.status)}, and did not finish within {waited}"
            if has_last_poll:
                return f"{verdict}: {self._wait.name}. It goes on at DataRecs."
            return f"{verdict} as far as is known: {self._wait.name}. It may go on; look at DataRecs."
        return (
            f"Unknown, since it could not be seen for the last {self._ago(self._failed_since)}, and did not "
            f"finish within {waited} as far as is known: {self._wait.name}. The last poll met: "
            f"{self._failure.rstrip('.')}; before that its status was {self.status or 'never seen'}. Whether "
            "it has ended is unknown; look at DataRecs."
        )

    def _so_far(self, next_poll: NextPoll) -> str:
        waited = (
            f"waiting for {self._ago(self._wait.since)} of {_span(self._wait.deadline - self._wait.since)}"
        )
        if next_poll is None:
            return waited
        soonest, latest = map(_span, next_poll)
        return f"{waited}, next poll in {soonest}{f' to {latest}' if latest > soonest else ''}"

    def _heartbeat_due(self) -> bool:
        return self._clock.now() >= self._logged_at + heartbeat_interval()

    def _ago(self, moment: float) -> timedelta:
        return _span(self._clock.now() - moment)


def _shown(status: str | None) -> str:
    return "Never seen" if status is None else status or "Without status"


def _span(seconds: float) -> timedelta:
    # Where it began on another machine, its clock may be ahead of this one's.
    return timedelta(seconds=max(0, round(seconds)))
