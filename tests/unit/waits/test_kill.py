"""A run is cancelled when a user has ended its task, and never in doubt."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from airflow_provider_datarecs import compat
from airflow_provider_datarecs.api.contract import Kind
from airflow_provider_datarecs.compat import AirflowTaskTimeout
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import ApiKey, Fault, Plan
from airflow_provider_datarecs.triggers import base as triggers
from airflow_provider_datarecs.triggers.job_run import JobRunTrigger
from airflow_provider_datarecs.waits import kill

IDS = {"job_id": "job_ledger", "workspace_id": "ws_production"}
MINE, ANOTHER = 7, 8  # ids of triggers


@pytest.fixture
def run(simulator):
    job = simulator.world.owners[Kind.JOB]["job_ledger"]
    job.plan = Plan(queued=0, running=3600)
    return simulator.world.start_run(Kind.JOB, job)


@pytest.fixture
def airflow_says(monkeypatch):
    """Let Airflow say what state the task is in, and which trigger it waits for."""

    def airflow_says(state, awaited=None):
        def answer(_ti):
            if isinstance(state, Exception):
                raise state
            return state, awaited

        monkeypatch.setattr(compat, "_state_of", answer)

    return airflow_says


@pytest.fixture
def cancel(monkeypatch, ti, run):
    """Cancel a deferred wait as Airflow does when its trigger is wanted no more: twice."""
    monkeypatch.setattr(triggers, "FIRST_LOOK", (0.0, 0.0))

    async def go_through(trigger, simulator):
        async def waits():
            try:
                async for _ in trigger.run():
                    raise AssertionError("the wait has ended")
            except asyncio.CancelledError:
                if compat.TRIGGERS_ARE_TOLD_OF_KILLS:
                    await trigger.on_kill()
                raise

        waiting = asyncio.get_running_loop().create_task(waits())
        await asyncio.get_running_loop().run_in_executor(None, simulator.wait_for_requests, 1)
        waiting.cancel()
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await asyncio.gather(*triggers._at_work)

    def cancel(simulator, *, deadline=3600.0, **more):
        now = time.time()
        trigger = JobRunTrigger(
            **IDS,
            run_id=run.id,
            conn_id="datarecs_default",
            poke_interval=60.0,
            since=now,
            deadline=now + deadline,
            **{"cancel_run_on_kill": True, **more},
        )
        trigger.task_instance, trigger.trigger_id = ti, MINE
        asyncio.run(go_through(trigger, simulator))

    return cancel


@pytest.mark.parametrize("state", ["failed", "success", "removed", None, "scheduled", "queued", "running"])
def test_a_deferred_task_that_a_user_ended_cancels_its_run(simulator, run, cancel, airflow_says, state):
    airflow_says(state)
    cancel(simulator)
    assert run.cancelled_at
    assert "Task task of DAG dag, run manual" in simulator.requests[-1].body


def test_a_task_that_was_cleared_and_waits_again_cancels_its_run(simulator, run, cancel, airflow_says):
    airflow_says("deferred", ANOTHER)
    cancel(simulator)
    assert run.cancelled_at


@pytest.mark.parametrize(
    ("state", "awaited"),
    [("deferred", MINE), ("deferred", None), ("skipped", None), (LookupError("no such task"), None)],
    ids=str,
)
def test_a_restart_and_doubt_leave_the_run_alone(simulator, run, cancel, airflow_says, state, awaited):
    airflow_says(state, awaited)
    cancel(simulator)
    assert run.cancelled_at is None


def test_airflow_that_says_nothing_leaves_the_run_alone(simulator, run, cancel, monkeypatch):
    monkeypatch.setattr(kill, "ASK_WITHIN", 0.05)
    monkeypatch.setattr(compat, "_state_of", lambda _ti: (time.sleep(0.5), ("failed", None))[1])
    cancel(simulator)
    assert run.cancelled_at is None


def test_the_run_is_left_alone_unless_it_is_asked_for(simulator, run, cancel, airflow_says):
    airflow_says("failed")
    cancel(simulator, cancel_run_on_kill=False)
    assert run.cancelled_at is None


def test_a_timeout_leaves_the_run_alone(simulator, run, airflow_says, ti):
    airflow_says("scheduled")
    trigger = JobRunTrigger(
        **IDS, run_id=run.id, conn_id="datarecs_default", poke_interval=60.0, since=0, deadline=1,
        cancel_run_on_kill=True,
    )  # fmt: skip
    trigger.task_instance, trigger.trigger_id = ti, MINE
    asyncio.run(trigger.on_kill())
    assert (run.cancelled_at, simulator.requests) == (None, [])


@pytest.fixture
def poking(ti, run):
    """Make a sensor that waits in its process."""
    sensor = JobRunSensor(
        task_id="wait",
        **IDS,
        run_id=run.id,
        deferrable=False,
        cancel_run_on_kill=True,
        poke_interval=0.1,
        timeout=0.1,
    )
    with contextlib.suppress(compat.AirflowSensorTimeout):
        sensor.execute({"ti": ti})
    return sensor


def kill_task(sensor):
    """Kill a task as Airflow does, and wait for what it does about that."""
    sensor.on_kill()
    for thread in threading.enumerate():
        if thread.name == "cancel-run":
            thread.join()


@pytest.mark.parametrize("state", ["failed", "success", "restarting"])
def test_a_task_in_its_process_cancels_its_run(simulator, run, poking, airflow_says, state):
    airflow_says(state)
    kill_task(poking)
    assert run.cancelled_at


@pytest.mark.parametrize("state", ["running", "queued", None, "up_for_retry", "skipped"])
def test_a_worker_that_stops_leaves_the_run_alone(simulator, run, poking, airflow_says, state):
    airflow_says(state)
    kill_task(poking)
    assert run.cancelled_at is None


def test_an_execution_timeout_in_a_process_leaves_the_run_alone(simulator, run, poking, airflow_says):
    airflow_says("failed")
    try:
        raise AirflowTaskTimeout  # noqa: TRY301 - as Airflow does
    except AirflowTaskTimeout:
        kill_task(poking)
    assert run.cancelled_at is None


@pytest.fixture
def told(poking, airflow_says, capfd, caplog):
    """End a task that waits in its process, and give what its log says."""

    def told():
        airflow_says("failed")
        kill_task(poking)
        sys.stdout.flush()
        return caplog.text + "".join(capfd.readouterr())

    return told


def test_a_service_that_does_not_offer_it_is_told(simulator, run, told):
    simulator.world.behaviour.offers_cancel = False
    assert f"Run {run.id} of job 'job_ledger' in workspace 'ws_production' goes on" in told()


def test_a_cancellation_that_fails_is_told_and_tried_once(simulator, run, told):
    simulator.faults.append(Fault(method="POST", times=None, status=503))
    assert "may go on, since cancelling it failed" in told()
    assert [seen.method for seen in simulator.requests].count("POST") == 1


def test_a_key_that_was_replaced_is_read_anew(simulator, run, told, connect):
    connect(simulator.url, password="the-new-one")
    simulator.world.api_keys = [ApiKey("the-new-one")]
    assert f"asked DataRecs to cancel run {run.id}" in told()


@pytest.mark.parametrize(
    ("state", "noted", "killed"),
    [("failed", 1, True), ("deferred", 1, False), ("deferred", None, False), ("deferred", 2, True)],
)
def test_a_mapped_task_is_known_by_its_index_and_its_try(monkeypatch, airflow_db, state, noted, killed):
    ti = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=3, try_number=1)
    if compat.AIRFLOW_VERSION >= (3, 0):
        from airflow.sdk.bases.xcom import BaseXCom
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        states = {"r": {"t_3": state, "t": "running"}}
        monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: states)
        monkeypatch.setattr(BaseXCom, "get_one", lambda **_: noted)
        assert compat.is_killed(ti, MINE) is killed
    else:
        with pytest.raises(LookupError, match="task t of DAG run r is gone"):
            compat.is_killed(ti, MINE)
