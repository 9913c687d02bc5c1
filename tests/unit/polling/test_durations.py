"""What run times tell of when a run may end."""

from __future__ import annotations

import random

import pytest

from airflow_provider_datarecs.polling.config import PollingConfig
from airflow_provider_datarecs.polling.durations import RunDurations

KEPT, UNKNOWN, BEYOND, SPANS_OF_ONE = (
    PollingConfig.durations_kept,
    PollingConfig.unknown_duration,
    PollingConfig.beyond,
    PollingConfig.forecast_spans_of_one,
)

STARTED = 5_000.0


def history_of(*seconds):
    history = RunDurations()
    for number, one in enumerate(seconds):
        history.learn(f"r{number}", ended=float(number), seconds=one)
    return history


def chance(spans, until):
    """How likely the run has ended by then."""
    return sum(
        weight * (1.0 if until >= high else (until - low) / (high - low))
        for low, high, weight in spans
        if until > low
    )


ALIKE = [95 + 10 * number / (KEPT - 1) for number in range(KEPT)]  # within 10 % of each other

HISTORIES = {
    "none": (),
    "one": (100,),
    "one of no time at all": (0,),
    "two": (10, 1000),
    "alike": ALIKE,
    "the same": (100,) * KEPT,
    "of no time at all": (0,) * KEPT,
    "far apart": (1, 10, 100, 1_000, 10_000, 100_000),
}


@pytest.mark.parametrize("elapsed", [-10, 0, 0.5, 50, 99.9, 100, 100.1, 3_600, 10**6])
@pytest.mark.parametrize("seconds", HISTORIES.values(), ids=list(HISTORIES))
def test_all_that_may_happen_has_probability_1_and_none_of_it_has_passed(seconds, elapsed):
    spans = history_of(*seconds).spans(STARTED, STARTED + elapsed)
    assert sum(weight for _, _, weight in spans) == pytest.approx(1.0)
    assert all(weight > 0 for _, _, weight in spans)
    assert all(high >= low >= STARTED + max(0, elapsed) for low, high, _ in spans)


def test_runs_that_take_alike_hardly_end_before_their_time_nor_long_after_it():
    spans = history_of(*ALIKE).spans(STARTED, STARTED)
    assert chance(spans, STARTED + 85) < 0.02
    assert 0.4 < chance(spans, STARTED + 100) < 0.6
    assert chance(spans, STARTED + 115) > 0.97


@pytest.mark.parametrize("seen", [50, 97, 103])
def test_what_a_run_has_outlasted_makes_the_rest_likelier(seen):
    history = history_of(*ALIKE)
    earlier, later = history.spans(STARTED, STARTED), history.spans(STARTED, STARTED + seen)
    for until in (98, 100, 104, 106):
        if until > seen:
            left = (chance(earlier, STARTED + until) - chance(earlier, STARTED + seen)) / (
                1 - chance(earlier, STARTED + seen)
            )
            assert chance(later, STARTED + until) == pytest.approx(left, abs=0.03)


def test_a_long_history_is_told_in_a_few_spans():
    assert len(history_of(*ALIKE).spans(STARTED, STARTED)) == SPANS_OF_ONE + len(BEYOND) - 1


def test_a_run_is_as_likely_to_end_between_any_two_known_run_times():
    spans = history_of(10, 20, 70, 200).spans(STARTED, STARTED)
    between = {
        (low - STARTED, high - STARTED): weight
        for low, high, weight in spans
        if (low - STARTED, high - STARTED) in {(10, 20), (20, 70), (70, 200)}
    }
    assert len(between) == 3
    assert len(set(between.values())) == 1


def test_runs_that_always_take_the_same_are_expected_to_do_so_again():
    spans = history_of(*[100.0] * KEPT).spans(STARTED, STARTED + 10)
    assert chance(spans, STARTED + 98.9) < 0.02
    assert chance(spans, STARTED + 101.1) - chance(spans, STARTED + 98.9) > 0.95


def test_without_any_history_a_run_may_end_at_any_time():
    spans = RunDurations().spans(STARTED, STARTED)
    assert [(low - STARTED, high - STARTED) for low, high, _ in spans] == [
        (UNKNOWN * low, UNKNOWN * high) for low, high in zip(BEYOND, BEYOND[1:])
    ]
    assert {round(weight, 9) for _, _, weight in spans} == {1 / (len(BEYOND) - 1)}


@pytest.mark.parametrize("history", [RunDurations(), history_of(*ALIKE)], ids=["none", "alike"])
def test_a_run_that_outlasts_all_that_is_known_goes_on_in_proportion(history):
    reach = []
    for elapsed in (10_000, 100_000):
        spans = history.spans(STARTED, STARTED + elapsed)
        assert min(low for low, _, _ in spans) == STARTED + elapsed
        assert len({round(weight, 9) for _, _, weight in spans}) == 1
        reach.append(max(high for _, high, _ in spans) - STARTED - elapsed)
        assert 0.2 < chance(spans, STARTED + 1.5 * elapsed) < 0.5
    assert 7 * reach[0] < reach[1] < 10 * reach[0]


def test_the_newest_runs_count_in_whatever_order_they_come():
    runs = [(f"r{number}", float(number), 10.0 * number) for number in range(1, 3 * KEPT)]
    newest = history_of(*(seconds for _, _, seconds in runs[-KEPT:])).spans(0, 0)
    for seed in range(5):
        random.Random(seed).shuffle(runs)
        history = RunDurations()
        for run_id, ended, seconds in runs:
            history.learn(run_id, ended=ended, seconds=seconds)
        assert history.spans(0, 0) == newest


def test_a_run_older_than_all_that_count_changes_nothing():
    history = RunDurations()
    for number in range(KEPT):
        history.learn(f"r{number}", ended=1_000.0 + number, seconds=100.0)
    before = history.spans(0, 0)
    history.learn("older", ended=999.0, seconds=5.0)
    history.learn("as old", ended=1_000.0, seconds=5.0)
    assert history.spans(0, 0) == before
    history.learn("newer", ended=1_000.5, seconds=5.0)
    assert history.spans(0, 0) != before


def test_an_old_run_counts_while_there_are_few():
    history = history_of(*[100.0] * (KEPT - 1))
    before = history.spans(0, 0)
    history.learn("older", ended=-1_000.0, seconds=5.0)
    assert history.spans(0, 0) != before


def test_a_run_counts_once():
    history = history_of(100.0, 200.0)
    before = history.spans(0, 0)
    for ended in (0.0, 1.0, 1_000.0):
        history.learn("r1", ended=ended, seconds=5.0)
    assert history.spans(0, 0) == before


def test_a_run_that_was_dropped_for_newer_ones_does_not_come_back():
    history = history_of(*range(1, KEPT + 2))
    before = history.spans(0, 0)
    history.learn("r0", ended=0.0, seconds=1.0)
    assert history.spans(0, 0) == before


def test_a_run_that_ended_before_it_began_is_not_learnt_from():
    history = history_of(100.0)
    before = history.spans(0, 0)
    history.learn("odd", ended=1_000.0, seconds=-0.001)
    assert history.spans(0, 0) == before


@pytest.mark.parametrize("seconds", HISTORIES.values(), ids=list(HISTORIES))
@pytest.mark.parametrize("most", [1, 2, 5, KEPT])
def test_fewer_spans_cover_the_same(seconds, most):
    history = history_of(*seconds)
    for elapsed in (0.0, 50.0, 1_000.0):
        seen = STARTED + elapsed
        fine, coarse = history.spans(STARTED, seen, 10 * KEPT), history.spans(STARTED, seen, most)
        assert len(coarse) <= most + len(BEYOND) - 1
        assert sum(weight for _, _, weight in coarse) == pytest.approx(1.0)
        assert all(high >= low >= seen and weight > 0 for low, high, weight in coarse)
        assert min(low for low, _, _ in coarse) == min(low for low, _, _ in fine)
        assert max(high for _, high, _ in coarse) == max(high for _, high, _ in fine)


@pytest.mark.parametrize("most", [1, 2, 5, KEPT])
def test_fewer_spans_tell_about_the_same_of_runs_that_take_alike(most):
    history = history_of(*ALIKE)
    fine, coarse = history.spans(STARTED, STARTED, 10 * KEPT), history.spans(STARTED, STARTED, most)
    for until in range(80, 130):
        assert chance(coarse, STARTED + until) == pytest.approx(chance(fine, STARTED + until), abs=0.15)
