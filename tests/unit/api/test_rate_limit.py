"""What the user says of the rate limit, and what the answers say."""

from __future__ import annotations

from email.utils import formatdate
from types import SimpleNamespace

import pytest

from airflow_provider_datarecs.api import rate_limit, rate_limit_headers
from airflow_provider_datarecs.api.errors import InvalidSettings
from airflow_provider_datarecs.api.rate_limit import RateLimitConfig, RateLimitState

NAMES = ["requests_per_minute", "share_left_free", "max_concurrent_requests"]
EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z, what this machine takes the time for
STARTED = 5_000.0  # seconds this machine has run


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The seconds that have passed, as a list of one."""
    passed = [0.0]
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=lambda: STARTED + passed[0]))
    monkeypatch.setattr(rate_limit_headers, "time", SimpleNamespace(time=lambda: EPOCH + passed[0]))
    return passed


# --- what the user says ---


@pytest.mark.parametrize("extra", [{}, dict.fromkeys(NAMES), dict.fromkeys(NAMES, ""), {"tenant": "acme"}])
def test_defaults(extra):
    assert RateLimitConfig.from_extra(extra) == RateLimitConfig() == RateLimitConfig(100, 0.2, 8)


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("requests_per_minute", 1, 1),
        ("requests_per_minute", 600, 600),
        ("requests_per_minute", 33.5, 33.5),
        ("requests_per_minute", "600", 600),
        ("requests_per_minute", " 33.5 ", 33.5),
        ("requests_per_minute", 10**6, 10**6),
        ("share_left_free", 0, 0),
        ("share_left_free", "0", 0),
        ("share_left_free", "0.35", 0.35),
        ("share_left_free", 0.9, 0.9),
        ("max_concurrent_requests", 1, 1),
        ("max_concurrent_requests", "20", 20),
        ("max_concurrent_requests", 100, 100),
    ],
)
def test_a_number_is_taken_as_one_or_as_text_and_the_rest_has_its_default(name, value, number):
    limits = RateLimitConfig.from_extra({name: value})
    assert {one: getattr(limits, one) for one in NAMES} == {
        **{one: getattr(RateLimitConfig(), one) for one in NAMES},
        name: number,
    }
    assert isinstance(limits.max_concurrent_requests, int)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value",
    [-1, "-1", "many", True, False, float("nan"), "nan", float("inf"), "inf", [], [5], {}, 10**7, "0x10"],
)
def test_what_is_no_such_number_is_refused_by_name(name, value):
    with pytest.raises(
        InvalidSettings, match=rf'extra "{name}" must be a number from .* to .*, not'
    ) as caught:
        RateLimitConfig.from_extra({name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("requests_per_minute", 0),
        ("requests_per_minute", "0"),
        ("requests_per_minute", 0.5),
        ("share_left_free", 0.95),
        ("share_left_free", 20),
        ("max_concurrent_requests", 0),
        ("max_concurrent_requests", 0.5),
        ("max_concurrent_requests", 101),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(name, value):
    with pytest.raises(InvalidSettings, match=name):
        RateLimitConfig.from_extra({name: value})


# --- what the answers say ---


def headers(remaining, reset, **more):
    return {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": reset, **more}


@pytest.fixture
def seen():
    return RateLimitState()


def test_at_first_nothing_is_known_and_nothing_is_closed(seen):
    assert seen.remaining is None
    assert seen.closed_for() == 0.0


def test_seconds_left(seen, clock):
    clock[0] = 7.0
    seen.note(headers("42", "30"))
    assert (seen.remaining, seen.resets_at) == (42, STARTED + 37.0)


@pytest.mark.parametrize("wrong_by", [0, 3_600, -86_400])
def test_epoch_seconds_count_from_the_answers_own_date(seen, wrong_by):
    at_service = EPOCH + wrong_by
    seen.note(headers("42", f"{at_service + 30:.0f}", Date=formatdate(at_service, usegmt=True)))
    assert (seen.remaining, seen.resets_at) == (42, STARTED + 30.0)


def test_epoch_seconds_without_a_date_count_from_this_machines_clock(seen, clock):
    clock[0] = 7.0
    seen.note(headers("42", f"{EPOCH + 30:.0f}"))
    assert seen.resets_at == STARTED + 30.0


@pytest.mark.parametrize("reset", ["61", "3600", "1000000000", "9" * 400, f"{EPOCH + 3600:.0f}"])
def test_a_reset_is_never_further_than_a_window(seen, reset):
    seen.note(headers("42", reset))
    assert seen.resets_at == STARTED + 60.0


@pytest.mark.parametrize("reset", ["0", f"{EPOCH - 30:.0f}"])
def test_a_reset_that_has_passed_is_now(seen, reset):
    seen.note(headers("0", reset))
    assert seen.resets_at == STARTED
    assert seen.closed_for() == 0.0


@pytest.mark.parametrize(
    "junk",
    [
        {},
        {"X-RateLimit-Remaining": "42"},
        {"X-RateLimit-Reset": "42"},
        {"Retry-After": "42"},
        *(headers(remaining, "30") for remaining in ("", "-1", "many", "4.2", "nan", "1e3", "\u00b2")),
        *(headers("42", reset) for reset in ("", "-1", "soon", "nan", "inf", "1e3", "\u0667")),
    ],
    ids=lambda junk: ", ".join(f"{name}: {value[:9]!a}" for name, value in junk.items()) or "none",
)
def test_headers_that_are_missing_or_junk_change_nothing(seen, junk):
    seen.note(headers("17", "30"))
    seen.note(junk)
    assert (seen.remaining, seen.resets_at) == (17, STARTED + 30.0)


def test_the_last_answer_counts(seen, clock):
    seen.note(headers("0", "30"))
    clock[0] = 3.0
    seen.note(headers(" 99 ", " 60 "))
    assert (seen.remaining, seen.resets_at) == (99, STARTED + 63.0)
    assert seen.closed_for() == 0.0


def test_the_limit_is_closed_from_the_last_request_until_the_reset(seen, clock):
    seen.note(headers("1", "30"))
    assert seen.closed_for() == 0.0
    seen.note(headers("0", "30"))
    for passed, left in ((0.0, 30.0), (10.0, 20.0), (29.5, 0.5), (30.0, 0.0), (100.0, 0.0)):
        clock[0] = passed
        assert seen.closed_for() == left
