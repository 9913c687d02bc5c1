"""The rate limit of an API key: what the user says of it, and what the answers' headers say."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, Mapping

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import InvalidSettings
from airflow_provider_datarecs.api.rate_limit_headers import seconds_to_reset

_COUNT = re.compile(r"\d{1,20}", re.ASCII)
MOST_REQUESTS = 1e6  # in a minute; whatever claims more has no limit


@dataclass(frozen=True)
class RateLimitConfig:
    """
    How much the waits on a connection may ask; read from the connection's extra, by these names.

    :param requests_per_minute: what DataRecs allows the API key, default 100; what its answers say
        counts more
    :param share_left_free: the part of it that waits leave to operators and to whatever else has the key,
        0 to 0.9, default 0.2
    :param max_concurrent_requests: how many requests may wait for their answers at once, default 8
    """

    requests_per_minute: float = contract.REQUESTS_PER_WINDOW
    share_left_free: float = 0.2
    max_concurrent_requests: int = 8

    @classmethod
    def from_extra(cls, extra: Mapping[str, Any]) -> RateLimitConfig:
        """
        Read the limits from a connection's extra.

        :param extra: the extra; what is missing, None or empty has its default
        :raises InvalidSettings: naming the field, when one cannot be right
        """
        return cls(
            requests_per_minute=_number(
                extra, "requests_per_minute", cls.requests_per_minute, 1, MOST_REQUESTS
            ),
            share_left_free=_number(extra, "share_left_free", cls.share_left_free, 0, 0.9),
            max_concurrent_requests=int(
                _number(extra, "max_concurrent_requests", cls.max_concurrent_requests, 1, 100)
            ),
        )


def _number(extra: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    value = extra.get(name)
    if value in (None, ""):
        return default
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not least <= number <= most:
        raise InvalidSettings(
            f'the extra "{name}" must be a number from {least:g} to {most:g}, not {value!r}'
        )
    return number


class RateLimitState:
    """
    Remember what the last answer said of the limit.

    ``remaining`` is how many requests were left then, None where no answer has said so; ``resets_at`` is when
    there are more, on the clock of ``time.monotonic``.
    """

    def __init__(self) -> None:
        self.remaining: int | None = None
        self.resets_at = 0.0

    def note(self, headers: Mapping[str, str]) -> None:
        """
        Take an answer's headers into account.

        :param headers: read without regard to case
        """
        remaining = headers.get(contract.RATE_LIMIT_REMAINING, "").strip()
        reset = seconds_to_reset(headers)
        if _COUNT.fullmatch(remaining) and reset is not None:
            self.remaining = min(int(remaining), int(MOST_REQUESTS))
            self.resets_at = time.monotonic() + min(reset, contract.RATE_LIMIT_WINDOW)

    def closed_for(self) -> float:
        """Give the seconds for which the limit is known to let nothing through, 0 if it may."""
        return max(0.0, self.resets_at - time.monotonic()) if self.remaining == 0 else 0.0
