"""The one policy of what is tried again, how often and after how long."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from airflow_provider_datarecs.api.errors import (
    MaybeArrived,
    NeverArrived,
    NothingStarted,
    RateLimited,
    RunMayHaveStarted,
    Unavailable,
)

if TYPE_CHECKING:
    from tenacity import RetryCallState

log = logging.getLogger(__name__)

REQUEST_TIMEOUT = 30.0  # seconds for one request, connecting and reading included
CONNECT_TIMEOUT = 10.0  # seconds of them for the connection alone: beyond, the request provably never arrived
START_ATTEMPTS = 3  # requests to start a run whose answers are lost, the run history being read after each
MIN_LIMIT_WAIT = 1.0  # seconds to wait after a 429 that says "now": such answers are not counted as attempts
MAX_LIMIT_WAIT = 900.0  # seconds after which to ask again, whatever a 429 says
UNKNOWN_LIMIT_WAIT = 15.0  # seconds to wait after a 429 that does not say how long

_backoff = wait_exponential_jitter(initial=1, max=20)


@dataclass(frozen=True)
class RetryPolicy:
    """
    How long a caller goes on trying.

    :param attempts: requests in all, those that met the rate limit (429) not counted
    :param seconds: the time within which the last of them must be over, waits for the rate limit not counted
    :param rate_limited_seconds: the time within which waiting for the rate limit must be over
    """

    attempts: int
    seconds: float
    rate_limited_seconds: float


OPERATOR = RetryPolicy(attempts=5, seconds=120, rate_limited_seconds=300)
# For a wait, whose next poll is the retry.
ONE_POLL = RetryPolicy(attempts=1, seconds=0, rate_limited_seconds=0)


def retrying(policy: RetryPolicy, *, repeatable: bool) -> AsyncRetrying:
    """
    Make the retrying for one call.

    :param policy: how long to go on
    :param repeatable: whether the call may be sent again although an earlier one may have been carried out
    """
    failures = _Failures(policy, repeatable=repeatable)
    return AsyncRetrying(
        retry=failures.may_try_again,
        wait=lambda _state: failures.pause,
        before_sleep=lambda state: log.warning("%s; trying again in %.1f s", _error(state), failures.pause),
    )


def starting(*, may_repeat: bool) -> AsyncRetrying:
    """
    Make the retrying for a start whose answers are lost.

    :param may_repeat: whether to send again even where the run history cannot tell whether a run was started
    """
    errors = (NothingStarted, RunMayHaveStarted) if may_repeat else (NothingStarted,)
    return AsyncRetrying(
        retry=retry_if_exception_type(errors),
        wait=_backoff,
        stop=stop_after_attempt(START_ATTEMPTS),
        before_sleep=lambda state: log.warning("%s. Starting it again.", str(_error(state)).rstrip(".")),
        reraise=True,
    )


def limit_wait(error: RateLimited) -> float:
    """
    Give the seconds to wait after a 429.

    :param error: the 429
    """
    wait = UNKNOWN_LIMIT_WAIT if error.wait is None else error.wait
    return min(max(wait, MIN_LIMIT_WAIT), MAX_LIMIT_WAIT)


class _Failures:
    """
    The failures of one call so far, and what follows from the last of them.

    All is decided in ``may_try_again``, which every release of tenacity calls once for each attempt; they
    differ in when and how often they call the rest.
    """

    def __init__(self, policy: RetryPolicy, *, repeatable: bool) -> None:
        self.pause = 0.0  # seconds before the next attempt
        self._policy = policy
        self._repeatable = repeatable
        self._attempts = 0  # those that did not meet the rate limit
        self._rate_limited = 0.0  # seconds spent on waiting for the rate limit

    def may_try_again(self, state: RetryCallState) -> bool:
        error, spent = _error(state), state.seconds_since_start or 0.0
        if isinstance(error, RateLimited):
            self.pause = limit_wait(error)
            self._rate_limited += self.pause
            return spent + self.pause <= self._policy.rate_limited_seconds
        is_lost = isinstance(error, (MaybeArrived, Unavailable))
        if not (isinstance(error, NeverArrived) or (is_lost and self._repeatable)):
            return False
        self.pause = _backoff(state)
        self._attempts += 1
        ends = spent - self._rate_limited + self.pause + REQUEST_TIMEOUT
        return self._attempts < self._policy.attempts and ends <= self._policy.seconds


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
