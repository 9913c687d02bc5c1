"""Times as DataRecs gives them, and as messages show them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

# What each Python's own reader of ISO 8601 takes differs, but for this form.
_RFC_3339 = re.compile(
    r"\s*(\d{4}-\d\d-\d\d)"
    r"(?:[Tt ]((?:[01]\d|2[0-3]):[0-5]\d)(?:(:[0-5]\d|:60)(?:[.,](\d+))?)?"
    r"\s*(?:[Zz]|([+-](?:[01]\d|2[0-3])):?([0-5]\d)?)?)?\s*",
    re.ASCII,
)
_LEAP_SECOND = ":60"


def read_time(text: str) -> datetime:
    """
    Read a time of RFC 3339, and what is nearly one: without a zone (taken as UTC), a second, or a time.

    :param text: the time, with any number of digits after the second
    :raises ValueError: when it is none
    """
    found = _RFC_3339.fullmatch(text)
    if not found:
        raise ValueError(text)
    date, minute, second, fraction, hours_ahead, minutes_ahead = found.groups("")
    is_leap = second == _LEAP_SECOND
    moment = datetime.fromisoformat(
        f"{date}T{minute or '00:00'}{':59' if is_leap else second or ':00'}.{fraction[:6]:0<6}"
        f"{hours_ahead or '+00'}:{minutes_ahead or '00'}"
    )
    try:
        return moment + timedelta(seconds=1) if is_leap else moment
    except OverflowError as error:
        raise ValueError(text) from error


def epoch_seconds(moment: Any) -> float | None:
    """
    Give a time as epoch seconds, None where it is not one.

    :param moment: ISO 8601, as ``started_at`` of a result
    """
    try:
        return read_time(moment).timestamp() if isinstance(moment, str) else None
    except ValueError:
        return None


def iso_utc(moment: float) -> str:
    """
    Give a time as messages show it: ISO 8601 in UTC, to the second.

    :param moment: epoch seconds
    """
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds")
