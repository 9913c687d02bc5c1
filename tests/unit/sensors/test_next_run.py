"""The wait for a run that somebody else starts, in each mode."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AIRFLOW_VERSION, AirflowFailException, AirflowSensorTimeout
from airflow_provider_datarecs.exceptions import DataRecsRunFailed, DataRecsRunNotSeen
from airflow_provider_datarecs.sensors.job_next_run import JobNextRunSensor
from airflow_provider_datarecs.simulator import Fault, Plan

pytestmark = pytest.mark.compat

if AIRFLOW_VERSION >= (3, 2):
    from airflow.sdk.exceptions import TaskDeferred
else:
    from airflow.exceptions import TaskDeferred

JOB = {"job_id": "job_ledger", "workspace_id": "ws_production"}
DEFERRABLE, POKE = {}, {"deferrable": False}


@pytest.fixture(autouse=True)
def quick(polling_config, simulator, connect):
    polling_config(min_poke_interval=0.01)
    simulator.world.rate_limit.requests = 10**6
    connect(simulator.url, extra={"requests_per_minute": 10**6})


@pytest.fixture
def start(simulator):
    """Start a run of the ledger job, and give its id."""

    def start(**plan):
        job = simulator.world.owners[TargetKind.JOB]["job_ledger"]
        job.plan = Plan(**{"queued": 0, "running": 0, **plan})
        return simulator.world.start_run(TargetKind.JOB, job).id

    return start


@pytest.fixture
def context(ti):
    ti.start_date = datetime.now(timezone.utc)
    return {"ti": ti, "dag_run": SimpleNamespace(start_date=datetime.now(timezone.utc))}


@pytest.fixture(params=[DEFERRABLE, POKE], ids=["deferred", "poke"])
def wait(request, context):
    """Run the task to its end, in each mode, and give what it returns."""

    def wait(**arguments):
        usual = {"task_id": "wait", **JOB, "poke_interval": 0.05, "timeout": 30}
        arguments = {**usual, **request.param, **arguments}
        try:
            return JobNextRunSensor(**arguments).execute(context)
        except TaskDeferred as deferred:
            trigger, method = deferred.trigger, deferred.method_name
        _, stored = trigger.serialize()
        trigger = type(trigger)(**json.loads(json.dumps(stored)))
        event = asyncio.run(_event_of(trigger))
        return JobNextRunSensor(**arguments).resume_execution(method, {"event": event}, context)

    return wait


async def _event_of(trigger):
    (event,) = [event.payload async for event in trigger.run()]
    return json.loads(json.dumps(event))


def later(act, seconds=0.3):
    threading.Timer(seconds, act).start()


def test_it_waits_for_the_first_run_that_begins(start, wait, context, ti):
    start()
    time.sleep(0.01)  # by DataRecs's clock the run before has begun before
    context["dag_run"].start_date = datetime.now(timezone.utc)
    later(lambda: (start(), start(status="FAILED")))
    result = wait()
    assert result["status"] == "COMPLETED"
    assert ti.xcoms["run_id"] == ti.xcoms["run_result"]["run_id"] == result["run_id"] == "run_000002"
    assert (ti.xcoms["job_id"], ti.xcoms["workspace_id"]) == ("job_ledger", "ws_production")


@pytest.mark.parametrize("form", [datetime.astimezone, datetime.isoformat], ids=["datetime", "text"])
def test_it_may_begin_and_end_before_the_task(start, wait, form):
    first, after = start(), datetime.now(timezone.utc) - timedelta(hours=1)
    start(status="FAILED")
    assert wait(after=form(after))["run_id"] == first


def test_a_run_that_fails_fails_the_task(start, wait):
    later(lambda: start(status="FAILED", error="disk full"))
    with pytest.raises(DataRecsRunFailed, match=r"run_000001.*disk full"):
        wait()


def test_where_none_begins_the_time_is_over(simulator, wait):
    with pytest.raises(AirflowSensorTimeout, match=r"None has begun within .* the next run of job"):
        wait(timeout=0.5)


@pytest.mark.parametrize("after", [None, "2026-01-01T00:00:00Z"])
def test_a_deferral_that_no_triggerer_ended_says_so(context, after):
    sensor = JobNextRunSensor(task_id="wait", **JOB, after=after)
    reason = "Trigger timeout" if AIRFLOW_VERSION >= (3, 0) else "Trigger/execution timeout"
    with pytest.raises(AirflowSensorTimeout, match="no triggerer has ended this wait in time: the next run"):
        sensor.resume_execution("__fail__", {"error": reason}, context)


def test_somebody_elses_run_is_neither_cancelled_nor_started_anew_whatever_default_args_say():
    sensor = JobNextRunSensor(
        task_id="wait", **JOB, default_args={"reruns": 2, "rerun_delay": 60, "cancel_run_on_kill": True}
    )
    assert (sensor.reruns, sensor.rerun_delay, sensor.cancel_run_on_kill) == (0, 0, False)


def test_whether_one_has_begun_is_unknown_where_the_runs_cannot_be_seen(simulator, wait, ti):
    simulator.faults.append(Fault(status=503, times=10**6))
    message = r"Unknown whether one has begun within .*Service Unavailable.*: the next run of job"
    with pytest.raises(DataRecsRunNotSeen, match=message):
        wait(timeout=0.3)
    assert ti.xcoms["run_result"]["status"] == ""


def test_one_that_begins_between_two_polls_is_found_by_the_last(start, wait):
    later(start)
    result = wait(poke_interval=2.0, timeout=1.5)
    assert (result["run_id"], result["status"]) == ("run_000001", "COMPLETED")


def test_what_cannot_be_seen_for_a_while_is_no_end(simulator, start, wait):
    simulator.faults.append(Fault(status=503, times=2))
    later(start)
    assert wait()["status"] == "COMPLETED"


def test_a_key_that_is_refused_once_does_not_end_the_wait(simulator, start, wait):
    simulator.faults.append(Fault(status=401, times=1))
    later(start)
    assert wait()["status"] == "COMPLETED"


def test_a_key_that_is_refused_ends_the_wait(simulator, wait, connect, polling_config):
    polling_config(confirm_after=0.02)
    connect(simulator.url, password="wrong")
    with pytest.raises(AirflowFailException, match="Invalid or expired API key"):
        wait()


@pytest.mark.parametrize("after", ["yesterday", 5])
def test_a_time_that_is_none_is_refused(wait, after):
    with pytest.raises(AirflowFailException, match="after is"):
        wait(after=after)


def test_limits_count_as_for_any_run(start, wait):
    later(lambda: start(rows_processed=100, rows_matched=98, rows_unmatched=2))
    assert wait(max_unmatched_ratio=0.05)["agreed"] is True


def test_a_run_on_a_further_page_is_found(simulator, start, wait):
    simulator.world.behaviour.page_size = 5
    after = datetime.now(timezone.utc) - timedelta(hours=1)
    first, *_ = [start() for _ in range(12)]
    assert wait(after=after)["run_id"] == first


def test_the_trigger_finds_the_same_run_after_a_restart(simulator, start, context):
    sensor = JobNextRunSensor(task_id="wait", **JOB, poke_interval=0.05)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context)
    first = start(running=1)

    async def killed_and_taken_up():
        trigger = deferred.value.trigger
        before = asyncio.ensure_future(_event_of(trigger))
        await asyncio.get_running_loop().run_in_executor(None, simulator.wait_for_requests, 2)
        before.cancel()
        start()
        path, stored = trigger.serialize()
        assert path.endswith(".job_next_run.JobNextRunTrigger")
        return await _event_of(type(trigger)(**stored))

    assert asyncio.run(killed_and_taken_up())["run_id"] == first
