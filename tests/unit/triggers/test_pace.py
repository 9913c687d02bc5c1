"""When triggers look, what they log, and what they must go on accepting from stored rows."""

from __future__ import annotations

import time

import pytest
from support.fakes import FakeTaskInstance
from support.logs import Log

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import Fault, Plan
from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

DONE = Plan(queued=0, running=0)
GOES_ON = Plan(queued=0, running=36_000)


class LoggedTrigger(JobRunTrigger):
    """Keeps its log lines."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.lines = Log()

    @property
    def log(self):
        return self.lines


@pytest.fixture
def wait(hasty, event_of):
    """Run a trigger to its event."""
    return lambda trigger: hasty.run(event_of(trigger, timeout=10**6))


@pytest.fixture
def logged(trigger_for):
    def logged(run_id, **more):
        more = {"seconds": 36_000.0, "poke_interval": 30.0, **more}
        return trigger_for(run_id, cls=LoggedTrigger, **more)

    return logged


@pytest.fixture
def gaps(simulator):
    """The seconds between looks."""

    def gaps():
        times = [seen.at for seen in simulator.requests]
        return [later - earlier for earlier, later in zip(times, times[1:])]

    return gaps


@pytest.fixture
def pause_of(simulator, started, logged, wait):
    """Give the seconds that a wait lets pass before its first look."""

    def pause_of(ti):
        trigger, began = logged(started(DONE)), time.time()
        trigger.task_instance = ti
        wait(trigger)
        return simulator.requests[-1].at - began

    return pause_of


def test_the_first_look_on_a_triggerer_comes_after_8_to_12_seconds_spread(pause_of):
    pauses = [pause_of(FakeTaskInstance()) for _ in range(5)]
    assert all(8 <= seconds <= 12.5 for seconds in pauses)
    assert len({round(seconds, 3) for seconds in pauses}) == 5


def test_the_first_look_comes_at_once_where_no_triggerer_takes_part(pause_of):
    assert pause_of(None) < 1


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [30, 30, 30, 30]),
        ({"exponential_backoff": True}, [30, 60, 120, 240]),
        ({"exponential_backoff": True, "max_wait": 100.0}, [30, 60, 100, 100]),
    ],
)
def test_looks_are_as_far_apart_as_the_sensor_was_told(started, logged, wait, gaps, more, expected):
    wait(logged(started(Plan(queued=0, running=sum(expected) - 20)), **more))
    assert gaps()[: len(expected)] == [pytest.approx(seconds, abs=1.0) for seconds in expected]


def test_an_interval_below_a_second_is_stretched_to_one(
    simulator, connect, started, logged, wait, gaps, polling_config
):
    polling_config(min_poke_interval=1.0)
    connect(simulator.url)
    simulator.world.rate_limit.requests = 10**6
    wait(logged(started(Plan(queued=0, running=20)), poke_interval=0.0))
    assert len(gaps()) > 10
    assert min(gaps()) > 0.9


def test_backing_off_for_days_overflows_nothing(trigger_for):
    trigger = trigger_for("r", poke_interval=10.0, exponential_backoff=True)
    assert trigger._interval(100_000) > 10**9


@pytest.mark.parametrize(
    ("headers", "pause"), [({"Retry-After": "45"}, 45), ({"X-RateLimit-Reset": "50"}, 50), ({}, 15)]
)
def test_a_429_is_waited_out_as_long_as_it_says(simulator, started, logged, wait, gaps, headers, pause):
    simulator.faults.append(Fault(status=429, headers=headers))
    assert wait(logged(started(DONE), poke_interval=1.0))["outcome"] == "finished"
    assert len(gaps()) == 1
    assert pause - 0.1 <= gaps()[0] <= pause * 1.1 + 1


def test_a_limit_that_is_closed_beyond_the_deadline_ends_the_wait_and_says_so(
    simulator, started, logged, wait
):
    simulator.faults.append(Fault(status=429, headers={"Retry-After": "3600"}))
    began = time.time()
    event = wait(logged(started(DONE), seconds=60.0))
    assert event["outcome"] == "timed_out"
    assert "There was no answer to a last poll, or no room for one within the rate limit" in event["message"]
    assert "Whether it has ended is unknown" in event["message"]
    assert time.time() - began == pytest.approx(360, abs=5)
    assert len(simulator.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [{"status": 502}, {"status": 429, "headers": {"Retry-After": "1"}}, {"drop": "before"}],
)
def test_failed_looks_are_told_once_when_they_begin_and_once_when_they_end(
    simulator, started, logged, wait, fault
):
    simulator.faults.append(Fault(times=None, seconds=300, **fault))
    trigger = logged(started(DONE))
    wait(trigger)
    assert len(trigger.lines) == 3
    assert "This says nothing about the run; waiting for" in trigger.lines[1]
    assert ", seen again after 0:0" in trigger.lines[2]


def test_a_status_that_does_not_change_is_told_once_and_then_every_15_minutes(
    started, simulator, logged, wait
):
    run_id = started(Plan(queued=0, running=2700))
    trigger = logged(run_id, poke_interval=30.0)
    wait(trigger)
    assert len(simulator.requests) > 60
    run = f"run {run_id!r} of job 'job_ledger' in workspace 'ws_production'"
    first, *rest = trigger.lines
    assert first == f"A triggerer has taken up the wait for {run}, which began 0:00:00 ago; first poll in 0 s"
    assert rest[0].startswith(f"RUNNING: {run}; ")
    assert [line.partition(", as seen since ")[0] for line in rest[1:]] == ["Still RUNNING"] * 2
    assert all(f": {run}; waiting for" in line for line in rest)
    assert all(line.endswith("next poll in 0:00:30") for line in rest)


def test_a_status_that_is_not_known_goes_on(simulator, started, logged, wait):
    trigger = logged(started(GOES_ON), seconds=100.0)
    simulator.world.runs[TargetKind.JOB][0].plan = Plan(queued=0, running=0, status="REBALANCING")
    assert wait(trigger)["outcome"] == "timed_out"
    assert "REBALANCING, a status this provider does not know" in trigger.lines[1]
    assert len(trigger.lines) == 2


def test_the_key_is_in_no_log_line(simulator, started, logged, wait):
    simulator.faults.append(Fault(times=2, status=200, body="your key is demo-key"))
    simulator.faults.append(Fault(times=None, status=403, body={"message": "demo-key may not"}))
    trigger = logged(started(DONE))
    event = wait(trigger)
    assert event["outcome"] == "refused"
    assert len(trigger.lines) == 3
    assert "demo-key" not in f"{trigger.lines} {event} {trigger.serialize()}"
