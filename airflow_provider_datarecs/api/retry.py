"""The one policy of what is tried again, how often and after how long."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying
from tenacity.wait import wait_exponential_jitter

from airflow_provider_datarecs.api.errors import MaybeArrived, NeverArrived, RateLimited, Unavailable

if TYPE_CHECKING:
    from tenacity import RetryCallState

log = logging.getLogger(__name__)

REQUEST_TIMEOUT = 30.0  # seconds for one request, connecting and reading included
CONNECT_TIMEOUT = 10.0  # seconds of them for the connection alone: beyond, the request provably never arrived
MIN_LIMIT_WAIT = 1.0  # seconds to wait after a 429 that says "now": such answers are not counted as attempts
UNKNOWN_LIMIT_WAIT = 15.0  # seconds to wait after a 429 that does not say how long

_backoff = wait_exponential_jitter(initial=1, max=20)


@dataclass(frozen=True)
class Patience:
    """
    How long a caller goes on trying.

    :param attempts: requests in all
    :param seconds: the time within which the last of them must be over
    :param rate_limited_seconds: the time within which waiting for the rate limit (429) must be over; such
        answers do not count as attempts, since the service itself says when to come back
    """

    attempts: int
    seconds: float
    rate_limited_seconds: float


OPERATOR = Patience(attempts=5, seconds=120, rate_limited_seconds=300)
ONE_LOOK = Patience(attempts=1, seconds=0, rate_limited_seconds=0)  # for a wait, whose next look is the retry


def retrying(patience: Patience, *, repeatable: bool) -> AsyncRetrying:
    """
    Make the retrying for one call.

    :param patience: how long to go on
    :param repeatable: whether the call may be sent again although an earlier one may have been carried out
    """
    attempts = 0

    def may_repeat(error: BaseException) -> bool:
        always = isinstance(error, (NeverArrived, RateLimited))
        return always or (repeatable and isinstance(error, (MaybeArrived, Unavailable)))

    def wait(state: RetryCallState) -> float:
        error = _error(state)
        if isinstance(error, RateLimited):
            return UNKNOWN_LIMIT_WAIT if error.wait is None else max(error.wait, MIN_LIMIT_WAIT)
        return _backoff(state)

    def stop(state: RetryCallState) -> bool:
        nonlocal attempts
        error = _error(state)
        spent = state.seconds_since_start or 0.0
        if isinstance(error, RateLimited):
            return spent + wait(state) > patience.rate_limited_seconds
        attempts += 1
        return attempts >= patience.attempts or spent + REQUEST_TIMEOUT > patience.seconds

    def announce(state: RetryCallState) -> None:
        pause = state.next_action.sleep if state.next_action else 0.0
        log.warning("%s; trying again in %.1f s", _error(state), pause)

    return AsyncRetrying(
        retry=lambda state: state.outcome is not None and state.outcome.failed and may_repeat(_error(state)),
        wait=wait,
        stop=stop,
        before_sleep=announce,
        reraise=True,
    )


def _error(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    if error is None:
        raise AssertionError("asked about a retry without an error")  # tenacity asks only after a failure
    return error
