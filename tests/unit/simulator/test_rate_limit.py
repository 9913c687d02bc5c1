from __future__ import annotations

import pytest

from airflow_provider_datarecs.simulator import ApiKey, RateLimit


@pytest.mark.parametrize("sliding", [True, False])
def test_no_more_than_the_limit_in_a_window(sliding):
    limit = RateLimit(requests=2, window=60, sliding=sliding)
    assert [limit.take("key", now) for now in (0, 30, 31, 59.9)] == [True, True, False, False]
    assert limit.remaining("key", 59.9) == 0


def test_a_fixed_window_starts_anew_when_it_is_over():
    limit = RateLimit(requests=2, window=60)
    assert [limit.take("key", now) for now in (0, 59, 60, 61, 62)] == [True, True, True, True, False]


def test_a_sliding_window_opens_with_each_request_that_leaves_it():
    limit = RateLimit(requests=2, window=60, sliding=True)
    assert [limit.take("key", now) for now in (0, 59, 60, 61)] == [True, True, True, False]


@pytest.mark.parametrize("sliding", [True, False])
def test_refused_requests_do_not_count(sliding):
    limit = RateLimit(requests=1, window=60, sliding=sliding)
    assert [limit.take("key", now) for now in (0, 50, 60)] == [True, False, True]


@pytest.mark.parametrize(("sliding", "left"), [(False, 60 - 30), (True, 60 - 30)])
def test_seconds_left(sliding, left):
    limit = RateLimit(window=60, sliding=sliding)
    assert limit.seconds_left("key", 0) == 0
    limit.take("key", 0)
    limit.take("key", 20)
    assert limit.seconds_left("key", 30) == left
    assert limit.seconds_left("key", 60) == (20 if sliding else 0)


def test_each_key_has_a_limit_of_its_own():
    limit = RateLimit(requests=1)
    assert [limit.take(key, 0) for key in ("one", "two", "one")] == [True, True, False]
    assert (limit.remaining("one", 0), limit.remaining("three", 0)) == (0, 1)


def test_the_default_is_what_datarecs_documents():
    assert (RateLimit().requests, RateLimit().window) == (100, 60)


async def test_answers_count_down(ask):
    seen = [(await ask("GET", "/jobs"))[2] for _ in range(2)]
    assert [headers["X-RateLimit-Remaining"] for headers in seen] == ["99", "98"]
    assert [headers["X-RateLimit-Reset"] for headers in seen] == ["61", "61"]


async def test_the_reset_may_be_epoch_seconds(ask, world, clock):
    world.rate_limit = RateLimit(epoch_reset=True)
    headers = (await ask("GET", "/jobs"))[2]
    assert headers["X-RateLimit-Reset"] == str(int(clock()) + 61)


async def test_too_many_requests_are_refused_until_the_window_is_over(ask, world, clock):
    world.rate_limit = RateLimit(requests=1, window=60)
    assert (await ask("GET", "/jobs"))[0] == 200
    clock.advance(20)
    status, answer, headers = await ask("GET", "/jobs")
    assert (status, answer["statusCode"]) == (429, 429)
    assert (headers["Retry-After"], headers["X-RateLimit-Remaining"]) == ("41", "0")
    clock.advance(41)
    assert (await ask("GET", "/jobs"))[0] == 200


async def test_one_key_does_not_use_up_the_limit_of_another(ask, world):
    world.api_keys.append(ApiKey("other"))
    world.rate_limit = RateLimit(requests=1)
    statuses = [(await ask("GET", "/jobs", key=key))[0] for key in ("demo-key", "other", "demo-key")]
    assert statuses == [200, 200, 429]
