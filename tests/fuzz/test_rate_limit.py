"""Whatever an answer's headers say, the waiting time they mean is one."""

from __future__ import annotations

import time
from datetime import timezone
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_datarecs.api import parsing
from airflow_provider_datarecs.api.errors import RateLimited
from airflow_provider_datarecs.api.rate_limit import RateLimitState
from airflow_provider_datarecs.api.rate_limit_headers import rate_limit_wait, seconds_to_reset
from airflow_provider_datarecs.api.retry import MAX_LIMIT_WAIT, MIN_LIMIT_WAIT, limit_wait

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
DATES = st.one_of(
    st.datetimes().map(lambda moment: format_datetime(moment.replace(tzinfo=timezone.utc), usegmt=True)),
    st.datetimes().map(format_datetime),
    st.text(alphabet="0123456789:+- ,.MonJanGMT", max_size=40),
    st.lists(
        st.sampled_from(["Mon,", "1", "Jan", "2026", "99", "0", "25:61:61", "GMT", "+9999", "-0000"])
    ).map(" ".join),
)
NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.integers(0, 10**12).map(str),
    st.sampled_from(
        ["9" * 400, "1e9", "0x10", "\u0667", "1_000", "+5", "-0", " 7 ", "7.", ".5", "1000000000.5"]
    ),
)
SAID = st.one_of(DATES, NUMBERS, st.text(max_size=20))
HEADERS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("Retry-After", "X-RateLimit-Reset", "X-RateLimit-Remaining", "Date"), SAID),
)


def http_date(moment):
    return formatdate(moment, usegmt=True)


@pytest.fixture(autouse=True)
def _frozen(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW)


@settings(max_examples=150)
@given(HEADERS)
@example({"Retry-After": "9" * 400})
@example({"X-RateLimit-Reset": "9" * 400, "Date": "Mon, 01 Jan 0001 00:00:00 +2359"})
def test_a_waiting_time_is_none_or_one(headers):
    for wait in (rate_limit_wait(headers), seconds_to_reset(headers)):
        assert wait is None or wait >= 0.0
    error = parsing.error_for("GET /x", "it", 429, headers, b"")
    assert isinstance(error, RateLimited)
    assert MIN_LIMIT_WAIT <= limit_wait(error) <= MAX_LIMIT_WAIT


@settings(max_examples=150)
@given(st.integers(0, 10**8), st.integers(-(10**6), 10**6))
def test_seconds_dates_and_epochs_mean_the_same(seconds, skew):
    service = NOW + skew
    date = {"Date": http_date(service)}
    assert rate_limit_wait({"Retry-After": str(seconds), **date}) == seconds
    assert rate_limit_wait({"Retry-After": http_date(service + seconds), **date}) == seconds
    assert seconds_to_reset({"X-RateLimit-Reset": f"{service + seconds:.0f}", **date}) == seconds


@settings(max_examples=150)
@given(st.lists(HEADERS, max_size=5))
def test_a_limit_that_was_seen_never_closes_for_longer_than_its_window(answered):
    limit = RateLimitState()
    for headers in answered:
        limit.note(headers)
        assert 0.0 <= limit.closed_for() <= 60.0
        assert limit.remaining is None or limit.remaining >= 0
