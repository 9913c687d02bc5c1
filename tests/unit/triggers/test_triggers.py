"""Both triggers, against a real server."""

from __future__ import annotations

import asyncio
import importlib
import json
import time

import pytest
from support.fakes import FakeTaskInstance

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import ApiKey, Fault, Plan
from airflow_provider_datarecs.triggers.job_group_run import JobGroupRunTrigger
from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

pytestmark = pytest.mark.compat

DONE = Plan(queued=0, running=0)


@pytest.mark.parametrize("cls", [JobRunTrigger, JobGroupRunTrigger])
def test_a_stored_trigger_is_made_again_from_plain_values(cls, trigger_for):
    trigger = trigger_for("r", cls=cls, exponential_backoff=True, max_wait=9.0)
    path, arguments = trigger.serialize()
    module, name = path.rsplit(".", 1)
    again = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)
    assert type(again) is cls


@pytest.mark.parametrize(
    ("worker_took", "ago", "soonest", "latest"),
    [
        (0.0, 0.0, 8.0, 12.0),
        (3.0, 0.0, 8.0, 12.0),
        (15.0, 0.0, 29.0, 30.0),
        (15.0, 25.0, 8.0, 12.0),
        (500.0, 0.0, 59.0, 60.0),
    ],
)
def test_the_first_poll_leaves_a_worker_the_time_to_exit(trigger_for, worker_took, ago, soonest, latest):
    trigger = trigger_for("r", since=time.time() - ago, worker_took=worker_took)
    trigger.task_instance = FakeTaskInstance()
    assert soonest <= trigger._until_first_poll() <= latest
    assert trigger.serialize()[1].get("worker_took", 0.0) == worker_took


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED"])
async def test_the_end_of_a_run_is_the_event(started, loop_guard, status, trigger_for, event_of):
    run_id = started(Plan(queued=0.1, running=0.1, status=status))
    event = await event_of(trigger_for(run_id))
    assert (event["outcome"], event["run_id"], event["id"]) == ("finished", run_id, "job_ledger")
    assert event["result"]["status"] == status
    assert loop_guard.offences == []


async def test_the_end_of_a_group_run_is_the_event(simulator, loop_guard, trigger_for, event_of):
    world = simulator.world
    for job in world.owners[TargetKind.JOB].values():
        job.plan = Plan(queued=0, running=0.1)
    run_id = world.start_run(TargetKind.JOB_GROUP, world.owners[TargetKind.JOB_GROUP]["grp_nightly"]).id
    event = await event_of(trigger_for(run_id, cls=JobGroupRunTrigger))
    assert (event["kind"], event["result"]["status"]) == ("job group", "COMPLETED")
    assert len(event["result"]["runs"]) == 2
    assert loop_guard.offences == []


async def test_the_deadline_brings_one_last_look_and_says_what_was_seen(
    started, simulator, trigger_for, event_of
):
    run_id = started(Plan(queued=0, running=3600))
    event = await event_of(trigger_for(run_id, seconds=0.1, poke_interval=3600))
    assert event["outcome"] == "timed_out"
    assert f"{run_id!r} of job 'job_ledger'" in event["message"]
    assert "RUNNING, and did not finish" in event["message"]
    assert len(simulator.requests) >= 2


async def test_a_run_that_ends_just_before_the_deadline_is_seen_by_the_last_look(
    started, trigger_for, event_of
):
    run_id = started(Plan(queued=0, running=0.1))
    event = await event_of(trigger_for(run_id, seconds=0.3, poke_interval=3600))
    assert event["outcome"] == "finished"


async def test_a_deadline_that_passed_while_no_triggerer_ran_still_brings_a_look(
    started, trigger_for, event_of
):
    assert (await event_of(trigger_for(started(DONE), seconds=-3600)))["outcome"] == "finished"


FAILURES = [
    {"status": 503, "body": "<html>"},
    {"drop": "before"},
    {"drop": "after"},
    {"drop": "half"},
    {"slow": 600},
    {"padding": -1, "slow": 0.01},
    {"padding": 20_000_000},
]


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr("airflow_provider_datarecs.api.transport.REQUEST_TIMEOUT", 0.1)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("fault", FAILURES)
async def test_a_failed_look_is_not_a_failed_run(
    started, simulator, loop_guard, fault, trigger_for, event_of, requests
):
    run_id = started(DONE)
    simulator.faults.append(Fault(times=None, **fault))
    waiting = asyncio.ensure_future(event_of(trigger_for(run_id)))
    await requests(simulator, 4)
    simulator.faults.clear()
    assert (await waiting)["result"]["status"] == "COMPLETED"
    assert loop_guard.offences == []


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("fault", FAILURES)
async def test_looks_that_fail_until_the_deadline_leave_the_fate_unknown(
    started, simulator, fault, trigger_for, event_of, polling_config
):
    polling_config(last_poll_within=3.0)  # in which a busy machine polls at least once
    run_id = started(DONE)
    simulator.faults.append(Fault(times=None, **fault))
    event = await event_of(trigger_for(run_id, seconds=0.2))
    assert event["outcome"] == "timed_out"
    assert "Whether it has ended is unknown" in event["message"]


async def test_a_service_that_is_away_is_waited_for(started, simulator, connect, trigger_for, event_of):
    run_id = started(DONE)
    connect("http://127.0.0.1:1")
    event = await event_of(trigger_for(run_id, seconds=0.2))
    assert "no connection to http://127.0.0.1:1" in event["message"]


async def test_a_rotated_key_is_read_anew(started, simulator, connect, trigger_for, event_of, requests):
    run_id = started(Plan(queued=0, running=3600))
    waiting = asyncio.ensure_future(event_of(trigger_for(run_id)))
    await requests(simulator, 1)
    connect(simulator.url, password="new-key")
    simulator.world.api_keys[:] = [ApiKey("new-key")]
    simulator.world.finish_runs("job_ledger")
    event = await waiting
    assert event["result"]["status"] == "COMPLETED"
    assert simulator.requests[-1].headers["Authorization"] == "Bearer new-key"


async def test_a_revoked_key_ends_the_wait_and_is_told_without_the_key(
    started, simulator, trigger_for, event_of
):
    run_id = started(Plan(queued=0, running=3600))
    simulator.world.api_keys.clear()
    event = await event_of(trigger_for(run_id))
    assert (event["outcome"], event["meaning"]) == ("refused", "DataRecsConfigException")
    assert event["message"].startswith("Invalid or expired API key")
    assert "demo-key" not in json.dumps(event)


async def test_a_started_run_is_waited_for_by_the_id_that_the_start_gave(
    started, simulator, trigger_for, event_of
):
    run_id = started(DONE)
    shown = {"run_id": run_id, "id": 17, "job_id": "job_ledger", "status": "COMPLETED"}
    simulator.faults.append(Fault(times=None, path=f"*/runs/{run_id}", status=200, body=shown))
    simulator.faults.append(Fault(times=None, path="*/runs", status=200, body={"items": [shown]}))
    events = await asyncio.gather(*(event_of(trigger_for(run_id)) for _ in range(2)))
    assert {event["run_id"] for event in events} == {run_id}
    assert {event["outcome"] for event in events} == {"finished"}


async def test_a_lost_permission_ends_the_wait(started, simulator, trigger_for, event_of):
    simulator.faults.append(Fault(times=None, status=403, body={"message": "no"}))
    event = await event_of(trigger_for(started(DONE)))
    assert (event["outcome"], event["meaning"]) == ("refused", "AirflowFailException")


async def test_a_run_that_is_not_visible_yet_is_waited_for(started, trigger_for, event_of):
    event = await event_of(trigger_for(started(Plan(queued=0, running=0, hidden=0.2))))
    assert event["outcome"] == "finished"


async def test_a_run_that_was_never_seen_ends_the_wait_after_its_grace(
    simulator, monkeypatch, trigger_for, event_of
):
    monkeypatch.setattr("airflow_provider_datarecs.api.contract.NOT_VISIBLE_GRACE", 0.1)
    event = await event_of(trigger_for("no-such-run"))
    assert (event["outcome"], event["meaning"]) == ("refused", "AirflowException")
    assert event["message"].startswith("Resource not found: run 'no-such-run' of job 'job_ledger'")


async def test_a_run_that_vanishes_after_it_was_seen_ends_the_wait(
    started, simulator, trigger_for, event_of, requests
):
    run_id = started(Plan(queued=0, running=3600))
    waiting = asyncio.ensure_future(event_of(trigger_for(run_id)))
    await requests(simulator, 1)
    simulator.world.runs[TargetKind.JOB].clear()
    assert (await waiting)["outcome"] == "refused"


async def test_a_connection_that_cannot_be_read_just_now_is_a_failed_look(
    started, simulator, monkeypatch, trigger_for, event_of
):
    run_id = started(DONE)
    content = json.dumps({"conn_type": "datarecs", "host": simulator.url, "password": "demo-key"})
    monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")
    event = await event_of(trigger_for(run_id, seconds=0.2))
    assert "Airflow could not give connection 'datarecs_default'" in event["message"]
    monkeypatch.setenv("AIRFLOW_CONN_DATARECS_DEFAULT", content)
    assert (await event_of(trigger_for(run_id)))["outcome"] == "finished"
