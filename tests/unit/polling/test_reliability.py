from __future__ import annotations

import pytest

from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.reliability import EventReliability


@pytest.fixture(autouse=True)
def numbers(polling_config):
    polling_config(
        events_proven_after=2,
        max_interval_factor=8.0,
        event_within=60.0,
        events_doubted_for=3600.0,
        event_counts_for=600.0,
        events_kept=5,
    )


@pytest.fixture
def reliability():
    return EventReliability()


def ended_as_said(reliability, *run_ids, now=0.0):
    for run_id in run_ids:
        reliability.heard(run_id, now)
        assert reliability.note_end(run_id, now)


def test_at_first_events_count_for_nothing(reliability):
    assert reliability.interval_factor(0.0) == 1.0


def test_the_longer_events_come_the_more_seldom_runs_are_polled(reliability):
    factors = []
    for number in range(10):
        ended_as_said(reliability, f"r{number}")
        factors.append(reliability.interval_factor(0.0))
    assert factors == [1, 2, 2, 4, 4, 8, 8, 8, 8, 8]


def test_an_event_that_comes_a_little_after_the_poll_counts_as_well(reliability):
    assert not reliability.note_end("r1", 0.0)
    assert not reliability.note_end("r2", 0.0)
    reliability.heard("r1", 59.0)
    reliability.heard("r2", 59.0)
    assert reliability.lost_trust(61.0) is None
    assert reliability.interval_factor(61.0) == 2.0


def test_an_end_of_which_no_event_comes_outweighs_all_others_for_an_hour(reliability):
    ended_as_said(reliability, "r1", "r2")
    assert not reliability.note_end("r3", 100.0)
    assert reliability.lost_trust(159.0) is None
    assert reliability.interval_factor(159.0) == 2.0
    assert reliability.lost_trust(160.0) == "r3"
    assert reliability.interval_factor(160.0) == 1.0
    ended_as_said(reliability, "r4", "r5", now=170.0)
    assert reliability.interval_factor(3759.0) == 1.0
    assert reliability.interval_factor(3760.0) == 2.0  # since events have come all the while


def test_what_is_lost_is_told_once_an_hour(reliability):
    told = []
    for number in range(100):
        reliability.note_end(f"r{number}", number * 60.0)
        told.append(reliability.lost_trust(number * 60.0))
    assert [one for one in told if one] == ["r0"]  # each further loss lengthens the hour


def test_events_of_runs_that_nobody_awaits_say_nothing(reliability):
    for number in range(100):
        reliability.heard(f"r{number}", 0.0)
    assert reliability.interval_factor(0.0) == 1.0


def test_an_event_counts_for_a_while_for_who_comes_later(reliability):
    reliability.heard("r1", 0.0)
    assert reliability.has_heard("r1", 599.0)
    assert not reliability.has_heard("r1", 600.0)
    assert not reliability.has_heard("r2", 0.0)


def test_what_is_remembered_is_bounded(reliability):
    for number in range(6):
        reliability.heard(f"r{number}", 0.0)
    assert [reliability.has_heard(f"r{number}", 0.0) for number in range(6)] == [False] + [True] * 5
    assert config.current().events_kept == 5
