"""Reads what the headers of an answer say of the rate limit."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Mapping

from airflow_provider_datarecs.api import contract

_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)


def rate_limit_wait(headers: Mapping[str, str]) -> float | None:
    """
    Give the seconds after which the rate limit opens again, None if no header says so.

    :param headers: the answer's headers: ``Retry-After`` (seconds or an HTTP date) counts before
        ``X-RateLimit-Reset`` (epoch seconds if above 10^9, else seconds left)
    """
    retry_after = headers.get(contract.RETRY_AFTER, "").strip()
    if _is_seconds(retry_after):
        return float(retry_after)
    opens = _moment(retry_after)
    return seconds_to_reset(headers) if opens is None else max(0.0, opens - _now(headers))


def seconds_to_reset(headers: Mapping[str, str]) -> float | None:
    """
    Give the seconds after which the rate limit's window is over, None if no header says so.

    :param headers: the answer's headers: ``X-RateLimit-Reset`` is epoch seconds if above 10^9, else
        seconds left
    """
    reset = headers.get(contract.RATE_LIMIT_RESET, "").strip()
    if not _is_seconds(reset):
        return None
    seconds = float(reset)
    return max(0.0, seconds - _now(headers)) if seconds > contract.EPOCH_FROM else seconds


def _is_seconds(text: str) -> bool:
    return _SECONDS.fullmatch(text) is not None


def _now(headers: Mapping[str, str]) -> float:
    # By the service's clock, in case this machine's is wrong.
    date = _moment(headers.get("Date", ""))
    return time.time() if date is None else date


@lru_cache(maxsize=16)  # all answers of a second have the same
def _moment(http_date: str) -> float | None:
    try:
        return parsedate_to_datetime(http_date).timestamp() if http_date else None
    except (TypeError, ValueError, OverflowError):
        return None
