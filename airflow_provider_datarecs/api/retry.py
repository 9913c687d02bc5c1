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
START_ATTEMPTS = 3  # requests to start a run whose answers are lost, each with a look in the history after it
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
ONE_POLL = RetryPolicy(
    attempts=1, seconds=0, rate_limited_seconds=0
)  # for a wait, whose next look is the retry


def retrying(policy: RetryPolicy, *, repeatable: bool) -> AsyncRetrying:
    """
    Make the retrying for one call.

    :param policy: how long to go on
    :param repeatable: whether the call may be sent again although an earlier one may have been carried out
    """
    tries = _Tries(policy, repeatable=repeatable)
    return AsyncRetrying(
        retry=tries.may_repeat,
        wait=tries.pause,
        stop=tries.are_over,
        before_sleep=tries.announce,
        reraise=True,
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
    """Give the seconds to wait after a 429."""
    wait = UNKNOWN_LIMIT_WAIT if error.wait is None else error.wait
    return min(max(wait, MIN_LIMIT_WAIT), MAX_LIMIT_WAIT)


class _Tries:
    """What tenacity asks about the attempts at one call."""

    def __init__(self, policy: RetryPolicy, *, repeatable: bool) -> None:
        self.policy = policy
        self.repeatable = repeatable
        self.attempts = 0
        self.rate_limited = 0.0  # seconds spent on waiting for the rate limit
        self.pauses: dict[int, float] = {}

    def may_repeat(self, state: RetryCallState) -> bool:
        error = _error(state)
        always = isinstance(error, (NeverArrived, RateLimited))
        return always or (self.repeatable and isinstance(error, (MaybeArrived, Unavailable)))

    def pause(self, state: RetryCallState) -> float:
        # Kept, since it is random, and releases of tenacity differ in whether they ask for it before
        # are_over.
        if state.attempt_number not in self.pauses:
            error = _error(state)
            pause = limit_wait(error) if isinstance(error, RateLimited) else _backoff(state)
            self.pauses[state.attempt_number] = pause
        return self.pauses[state.attempt_number]

    def are_over(self, state: RetryCallState) -> bool:
        spent, pause = state.seconds_since_start or 0.0, self.pause(state)
        if isinstance(_error(state), RateLimited):
            self.rate_limited += pause
            return spent + pause > self.policy.rate_limited_seconds
        self.attempts += 1
        ends = spent - self.rate_limited + pause + REQUEST_TIMEOUT
        return self.attempts >= self.policy.attempts or ends > self.policy.seconds

    def announce(self, state: RetryCallState) -> None:
        log.warning("%s; trying again in %.1f s", _error(state), self.pause(state))


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
