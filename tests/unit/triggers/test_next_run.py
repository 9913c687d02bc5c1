"""How the wait for a run that nobody has started yet ends on the triggerer, on a clock that jumps."""

from __future__ import annotations

import time

import pytest

from airflow_provider_datarecs.simulator import Fault
from airflow_provider_datarecs.triggers.job_next_run import JobNextRunTrigger


@pytest.fixture
def wait(hasty, trigger_for, event_of):
    """Wait for the next run of the ledger job, polled each hour, and give the event and how long it took."""

    def wait(seconds, poke_interval=3600.0):
        began = time.time()
        trigger = trigger_for(
            "", cls=JobNextRunTrigger, seconds=seconds, after=began, poke_interval=poke_interval
        )
        return hasty.run(event_of(trigger, timeout=36_000)), time.time() - began

    return wait


def test_a_job_that_is_not_there_ends_the_wait_soon(simulator, wait):
    simulator.faults.append(Fault(status=404, times=None))
    event, took = wait(seconds=7200.0)
    assert event["outcome"] == "refused"
    assert took == pytest.approx(7, abs=3)


def test_its_last_poll_is_made_at_the_deadline_and_again_where_it_fails(simulator, wait):
    simulator.faults.extend([Fault(), Fault(status=503, times=2)])
    event, took = wait(seconds=1800.0)
    assert "None has begun within 0:30:10 (the task's timeout): the next run of job" in event["message"]
    assert (event["seen"], took) == (True, pytest.approx(1810, abs=5))
    assert len(simulator.requests) == 4


def test_a_last_poll_that_fails_is_made_again_at_growing_intervals(simulator, wait):
    simulator.faults.extend([Fault(), *[Fault(status=503, times=None)]])
    event, took = wait(seconds=1800.0, poke_interval=1.0)
    at_the_end = [
        request.at for request in simulator.requests if request.at >= simulator.requests[0].at + 1800
    ]
    assert (event["seen"], took) == (False, pytest.approx(2100, abs=10))
    assert 3 <= len(at_the_end) <= 12


def test_whether_one_has_begun_is_unknown_where_there_is_no_room_for_the_last_poll(simulator, wait):
    simulator.faults.extend([Fault(), Fault(status=429, headers={"Retry-After": "3600"})])
    event, took = wait(seconds=1200.0, poke_interval=600.0)
    assert event["message"].startswith("Unknown whether one has begun within 0:25:00 (the task's timeout)")
    assert event["message"].endswith(
        "There was no answer to a last poll, or no room for one within the rate limit."
    )
    assert (event["seen"], took) == (False, pytest.approx(1500, abs=5))
    assert len(simulator.requests) == 2
