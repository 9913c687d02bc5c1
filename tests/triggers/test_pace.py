"""When a trigger looks, what it logs, and what it must go on accepting from stored rows."""

from __future__ import annotations

import asyncio
import importlib
import time

import pytest

from airflow_provider_datarecs.api.contract import Kind
from airflow_provider_datarecs.simulator import Fault, Plan
from airflow_provider_datarecs.triggers import base
from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

FIRST_LOOK = base.FIRST_LOOK  # before any test shortens it
DONE = Plan(queued=0, running=0)
GOES_ON = Plan(queued=0, running=3600)


class Log(list):
    def note(self, message, *arguments):
        self.append(message % arguments)

    info = warning = error = note


class WatchedTrigger(JobRunTrigger):
    """Keeps its log lines and the pauses it asks for, of which it takes none."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.pauses = []
        self.lines = Log()
        self.before_pause = lambda: None

    @property
    def log(self):
        return self.lines

    async def _sleep(self, seconds):
        self.pauses.append(seconds)
        self.before_pause()
        await asyncio.sleep(0)


@pytest.fixture
def watched(trigger_for):
    def watched(run_id, **more):
        return trigger_for(run_id, cls=WatchedTrigger, **more)

    return watched


async def test_the_first_look_comes_after_8_to_12_seconds_spread(
    simulator, started, watched, event_of, monkeypatch
):
    monkeypatch.setattr(base, "FIRST_LOOK", FIRST_LOOK)
    seen_before = []
    firsts = []
    for _ in range(5):
        trigger = watched(started(DONE))
        trigger.before_pause = lambda: seen_before.append(len(simulator.requests))
        await event_of(trigger)
        firsts.append(trigger.pauses[0])
    assert all(8 <= seconds <= 12 for seconds in firsts)
    assert len(set(firsts)) == 5
    assert seen_before == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"poke_interval": 30.0}, [30.0, 30.0, 30.0, 30.0]),
        ({"poke_interval": 30.0, "exponential_backoff": True}, [30.0, 60.0, 120.0, 240.0]),
        (
            {"poke_interval": 30.0, "exponential_backoff": True, "max_wait": 100.0},
            [30.0, 60.0, 100.0, 100.0],
        ),
    ],
)
async def test_the_pauses_are_what_the_sensor_was_told(simulator, started, watched, event_of, more, expected):
    trigger = watched(started(GOES_ON), seconds=7200, **more)
    trigger.before_pause = lambda: len(trigger.pauses) == 5 and simulator.world.finish_runs("job_ledger")
    await event_of(trigger)
    assert trigger.pauses[1:] == expected


async def test_an_interval_below_a_second_is_stretched_to_one(
    simulator, started, watched, event_of, monkeypatch
):
    monkeypatch.undo()
    monkeypatch.setattr(base, "FIRST_LOOK", (0.0, 0.0))
    monkeypatch.setenv(
        "AIRFLOW_CONN_DATARECS_DEFAULT",
        f'{{"conn_type": "datarecs", "host": "{simulator.url}", "password": "demo-key"}}',
    )
    trigger = watched(started(GOES_ON), poke_interval=0.0)
    trigger.before_pause = lambda: len(trigger.pauses) == 2 and simulator.world.finish_runs("job_ledger")
    await event_of(trigger)
    assert trigger.pauses[1] == pytest.approx(1.0, abs=0.1)


def test_backing_off_for_days_overflows_nothing(trigger_for):
    trigger = trigger_for("r", poke_interval=10.0, exponential_backoff=True)
    assert trigger._interval(100_000) > 10**9


@pytest.mark.parametrize(
    ("headers", "pause"), [({"Retry-After": "45"}, 45), ({"X-RateLimit-Reset": "50"}, 50), ({}, 15)]
)
async def test_a_429_is_waited_out_as_long_as_it_says(simulator, started, watched, event_of, headers, pause):
    simulator.faults.append(Fault(status=429, headers=headers))
    trigger = watched(started(DONE))
    assert (await event_of(trigger))["outcome"] == "finished"
    assert trigger.pauses[1:] == [pytest.approx(pause, abs=0.5)]
    assert len(simulator.requests) == 2


async def test_no_pause_goes_beyond_the_deadline(simulator, started, trigger_for, event_of):
    simulator.faults.append(Fault(status=429, headers={"Retry-After": "3600"}))
    event = await event_of(trigger_for(started(DONE), seconds=0.2))
    assert event["outcome"] == "finished"
    assert len(simulator.requests) == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 502},
        {"status": 200, "body": "<html>log in</html>"},
        {"status": 429, "headers": {"Retry-After": "0"}},
        {"drop": "before"},
    ],
)
async def test_failed_looks_are_told_once_when_they_begin_and_once_when_they_end(
    simulator, started, watched, event_of, fault
):
    simulator.faults.append(Fault(times=None, **fault))
    trigger = watched(started(DONE))
    trigger.before_pause = lambda: len(trigger.pauses) == 5 and simulator.faults.clear()
    await event_of(trigger)
    assert len(trigger.lines) == 3
    assert "This says nothing about the run; looking again." in trigger.lines[0]
    assert "is seen again after" in trigger.lines[1]
    assert trigger.lines[2].endswith("is COMPLETED")


async def test_a_status_that_does_not_change_is_told_once(simulator, started, watched, event_of):
    trigger = watched(started(Plan(queued=0, running=0, status="REBALANCING")))
    run = simulator.world.runs[Kind.JOB][0]
    trigger.before_pause = lambda: len(trigger.pauses) == 5 and setattr(run, "plan", DONE)
    assert (await event_of(trigger))["result"]["status"] == "COMPLETED"
    assert len(trigger.lines) == 2
    assert "REBALANCING (a status this provider does not know" in trigger.lines[0]


async def test_the_key_is_in_no_log_line(simulator, started, watched, event_of):
    simulator.faults.append(Fault(status=200, body="your key is demo-key"))
    simulator.faults.append(Fault(status=403, body={"message": "demo-key may not"}))
    trigger = watched(started(DONE))
    event = await event_of(trigger)
    assert event["outcome"] == "refused"
    assert len(trigger.lines) == 2
    assert "demo-key" not in f"{trigger.lines} {event} {trigger.serialize()}"


# As release 0.1.0 stores them. Rows of deferred tasks outlive upgrades: add releases here, change none.
STORED = {
    "airflow_provider_datarecs.triggers.job_run.JobRunTrigger": {"job_id": "job_ledger"},
    "airflow_provider_datarecs.triggers.job_group_run.JobGroupRunTrigger": {"job_group_id": "grp_nightly"},
}


@pytest.mark.parametrize(("path", "ids"), STORED.items())
async def test_a_trigger_stored_by_release_0_1_0_still_runs(simulator, event_of, path, ids):
    world = simulator.world
    for job in world.owners[Kind.JOB].values():
        job.plan = DONE
    kind = Kind.JOB if "job_id" in ids else Kind.JOB_GROUP
    run = world.start_run(kind, world.owners[kind][next(iter(ids.values()))])
    module, name = path.rsplit(".", 1)
    trigger = getattr(importlib.import_module(module), name)(
        **ids,
        workspace_id="ws_production",
        run_id=run.id,
        conn_id="datarecs_default",
        poke_interval=30.0,
        since=time.time() - 60,
        deadline=time.time() + 60,
        exponential_backoff=False,
        max_wait=None,
    )
    assert (await event_of(trigger))["result"]["status"] == "COMPLETED"
