"""Both sensors: what they defer to, what they make of the event, and how they wait without a triggerer."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from support.logs import Log

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import (
    AIRFLOW_VERSION,
    CONFIG_EXCEPTIONS,
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    TaskDeferralError,
)
from airflow_provider_datarecs.sensors.base import BACKSTOP
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Fault, Plan

pytestmark = pytest.mark.compat

if AIRFLOW_VERSION >= (3, 2):
    from airflow.sdk.exceptions import TaskDeferred
else:
    from airflow.exceptions import TaskDeferred


def job_sensor(run_id="r", **more):
    return JobRunSensor(task_id="t", job_id="job_ledger", workspace_id="ws_production", run_id=run_id, **more)


def group_sensor(run_id="r", **more):
    return JobGroupRunSensor(
        task_id="t", job_group_id="grp_nightly", workspace_id="ws_production", run_id=run_id, **more
    )


class LoggedSensor(JobRunSensor):
    """Keeps its log lines."""

    @property
    def log(self):
        return lines


class OurLog(Log):
    def append(self, line):
        airflows_own = "execute cannot be called outside" in line or "Success criteria met" in line
        if not airflows_own:
            super().append(line)


lines = OurLog()


def logged_sensor(run_id="r", **more):
    lines.clear()
    ids = {"job_id": "job_ledger", "workspace_id": "ws_production", "run_id": run_id}
    return LoggedSensor(task_id="t", **ids, **more)


BOTH = pytest.mark.parametrize("make", [job_sensor, group_sensor], ids=["job", "group"])


def deferral(sensor, context):
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(context)
    return caught.value


@BOTH
def test_a_sensor_defers_without_a_request(simulator, context, make):
    deferred = deferral(make(timeout=7200), context)
    assert deferred.method_name == "execute_complete"
    assert deferred.timeout == timedelta(hours=2) + BACKSTOP
    assert simulator.requests == []


@BOTH
def test_the_trigger_gets_what_the_sensor_was_given_as_plain_values(simulator, context, make):
    sensor = make(poke_interval=timedelta(seconds=30), timeout=7200, exponential_backoff=True, max_wait=300)
    path, arguments = deferral(sensor, context).trigger.serialize()
    id_field = "job_id" if make is job_sensor else "job_group_id"
    name = "job_run.JobRunTrigger" if make is job_sensor else "job_group_run.JobGroupRunTrigger"
    assert path == f"airflow_provider_datarecs.triggers.{name}"
    assert arguments.pop("deadline") - arguments.pop("since") == pytest.approx(7200)
    assert arguments == {
        id_field: getattr(sensor, id_field),
        "workspace_id": "ws_production",
        "run_id": "r",
        "conn_id": "datarecs_default",
        "poke_interval": 30.0,
        "exponential_backoff": True,
        "max_wait": 300.0,
        "limit": "timeout",
        "cancel_run_on_kill": False,
    }
    assert "demo-key" not in json.dumps(arguments)


@BOTH
@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_mode_has_no_effect_on_a_deferred_wait(simulator, context, make, mode):
    assert deferral(make(mode=mode), context)


@BOTH
def test_the_trigger_is_told_how_long_the_worker_took(simulator, context, ti, make):
    ti.start_date = datetime.now(timezone.utc) - timedelta(hours=1)
    assert 3600.0 <= deferral(make(), context).trigger.worker_took < 3700.0


LAST = {
    "status": "COMPLETED",
    "run_id": "before",
    "job_id": "job_ledger",
    "started_at": "2026-01-01T00:00:00Z",
    "completed_at": "2026-01-01T00:10:00Z",
}


@pytest.fixture
def context_of_later(context):
    """The context of a task in a DAG of which a run has succeeded before."""
    return {**context, "prev_start_date_success": datetime.now(timezone.utc)}


def test_the_trigger_is_told_how_long_the_run_before_took(simulator, context_of_later, ti):
    ti.earlier["run_result"] = LAST
    trigger = deferral(job_sensor(), context_of_later).trigger
    assert trigger.last_run == {"run_id": "before", "ended": 1767226200.0, "seconds": 600.0}
    _, arguments = trigger.serialize()
    assert json.loads(json.dumps(arguments))["last_run"] == trigger.last_run


@pytest.mark.parametrize(
    "earlier",
    [
        None,
        "a reference of a custom XCom backend",
        {**LAST, "status": "FAILED"},
        {**LAST, "job_id": "another"},
        {**LAST, "started_at": None},
        {**LAST, "completed_at": "yesterday"},
    ],
    ids=str,
)
def test_nothing_is_made_of_a_result_that_tells_no_time_of_this_job(simulator, context_of_later, ti, earlier):
    ti.earlier["run_result"] = earlier
    assert deferral(job_sensor(), context_of_later).trigger.last_run is None


def test_a_sensor_defers_although_its_xcoms_cannot_be_had(simulator, context_of_later, ti):
    ti.xcom_pull = lambda **_: 1 / 0
    assert deferral(job_sensor(), context_of_later).trigger.last_run is None


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 0), reason="Airflow 2 logs no error for an XCom that is not there")
@pytest.mark.parametrize("succeeded", [{}, {"prev_start_date_success": None}], ids=["unknown", "never"])
def test_nothing_is_asked_for_where_no_run_of_the_dag_has_succeeded(simulator, context, ti, succeeded):
    ti.earlier["run_result"] = LAST
    assert deferral(job_sensor(), {**context, **succeeded}).trigger.last_run is None


def test_times_that_a_policy_sets_later_may_be_spans(simulator, context):
    sensor = job_sensor()
    sensor.timeout, sensor.poke_interval, sensor.max_wait = (timedelta(seconds=n) for n in (60, 5, 20))
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context)
    trigger = deferred.value.trigger.serialize()[1]
    assert trigger["deadline"] - trigger["since"] == 60
    assert (trigger["poke_interval"], trigger["max_wait"]) == (5, 20)


def test_so_they_may_where_a_wait_is_not_deferred(context, started):
    sensor = job_sensor(started(Plan(queued=0, running=0)))
    sensor.deferrable, sensor.timeout, sensor.poke_interval = (
        False,
        timedelta(seconds=60),
        timedelta(seconds=5),
    )
    assert sensor.execute(context)["status"] == "COMPLETED"


def test_a_connection_that_is_set_later_counts_even_if_the_hook_was_asked_for(simulator, connect, context):
    sensor = job_sensor(conn_id="{{ params.conn_id }}")
    assert sensor.hook.conn_id == "{{ params.conn_id }}"
    sensor.conn_id = "datarecs_default"
    with pytest.raises(TaskDeferred):
        sensor.execute(context)


@BOTH
@pytest.mark.parametrize("argument", ["run_id", "workspace_id", "job"])
@pytest.mark.parametrize("deferrable", [True, False])
def test_an_id_that_cannot_be_one_is_refused_before_anything_is_sent(
    simulator, context, make, argument, deferrable
):
    sensor = make(deferrable=deferrable)
    field = sensor.kind.id_field if argument == "job" else argument
    setattr(sensor, field, "None")  # as a template renders that finds nothing
    with pytest.raises(AirflowFailException, match=f"{field} is 'None': its template found nothing"):
        sensor.execute(context)
    assert simulator.requests == []


def test_a_connection_that_cannot_be_right_is_refused_before_deferring(connect, context):
    with pytest.raises(AirflowNotFoundException):
        job_sensor().execute(context)
    connect("http://api.test")
    with pytest.raises(AirflowFailException, match="plain http"):
        job_sensor().execute(context)


OF_JOB = "of job 'job_ledger' in workspace 'ws_production'"


def test_the_log_says_what_a_deferred_wait_waits_for_and_how_long_at_most(simulator, context):
    deferral(logged_sensor(timeout=7200), context)
    (line,) = lines
    assert line.startswith(f"Waiting on the triggerer for run 'r' {OF_JOB}, until 20")
    assert line.endswith("+00:00 at the latest (2:00:00, the task's timeout)")


def test_the_log_says_it_if_the_execution_timeout_comes_first(simulator, ti):
    ti.start_date = datetime.now(timezone.utc)
    deferral(logged_sensor(timeout=7200, execution_timeout=timedelta(hours=1)), {"ti": ti})
    assert lines[0].endswith("the task's execution_timeout)")


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_the_log_of_a_wait_without_a_triggerer_is_a_story(airflow_db, context, started, mode):
    run_id = started(Plan(queued=0, running=0, rows_unmatched=4))
    logged_sensor(run_id, deferrable=False, mode=mode, timeout=7200).execute(context)
    waiting, completed = lines
    assert waiting.startswith(f"Waiting in mode {mode} for run {run_id!r} {OF_JOB}, until 20")
    assert completed.startswith(f"COMPLETED, 4 of 1,000 rows unmatched: run {run_id!r} {OF_JOB}; rows: ")
    assert ", 4 unmatched; ran from 20" in completed


def test_a_look_that_finds_the_run_going_on_tells_when_the_next_one_comes(context, started):
    sensor = logged_sensor(started(Plan(queued=0, running=3600)), deferrable=False, poke_interval=90)
    sensor.poke(context)
    (line,) = lines
    assert line.startswith("RUNNING: run 'run_")
    assert line.endswith("; waiting for 0:00:00 of 7 days, 0:00:00, next poll in 0:01:30")


def test_the_connection_is_read_once_for_all_looks(simulator, context, started, no_floor, monkeypatch):
    sensor = job_sensor(started(Plan(running=3600)), deferrable=False)
    sensor.poke(context)
    monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")
    assert sensor.poke(context) is False


@BOTH
def test_every_id_and_limit_is_a_template(make):
    ids, limits = (
        {make().kind.id_field, "workspace_id", "run_id"},
        {"max_unmatched_rows", "max_unmatched_ratio", "on_unmatched"},
    )
    assert set(make().template_fields) == {*ids, *limits, "conn_id"}


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_completed_run_ends_the_wait_with_its_result(airflow_db, context, ti, started, mode):
    run_id = started(Plan(queued=0, running=0, rows_unmatched=4))
    returned = job_sensor(run_id, deferrable=False, mode=mode).execute(context)
    assert returned == ti.xcoms["run_result"]
    assert (returned["status"], returned["rows_unmatched"]) == ("COMPLETED", 4)


def test_a_group_run_ends_the_wait_with_its_sums(simulator, context, ti):
    world = simulator.world
    for job in world.owners[TargetKind.JOB].values():
        job.plan.queued = job.plan.running = 0
    run_id = world.start_run(TargetKind.JOB_GROUP, world.owners[TargetKind.JOB_GROUP]["grp_nightly"]).id
    result = group_sensor(run_id, deferrable=False).execute(context)
    assert result["rows_matched"] == 119988 + 45000
    assert [run["job_id"] for run in result["runs"]] == ["job_daily_balance", "job_ledger"]
    assert result == ti.xcoms["run_result"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            Plan(queued=0, running=0, status="FAILED", error={"code": "E7", "message": "boom"}),
            "FAILED.*E7: boom",
        ),
        (Plan(queued=0, running=0, status="ERRORED", error="boom"), "FAILED.*boom"),
        (Plan(queued=0, running=0, status="CANCELED"), "CANCELLED.*none given by DataRecs"),
    ],
)
def test_a_run_that_ends_otherwise_fails_the_task_with_the_error(context, ti, started, plan, message):
    run_id = started(plan)
    with pytest.raises(AirflowException, match=message) as caught:
        job_sensor(run_id, deferrable=False).execute(context)
    assert f"run {run_id!r} of job 'job_ledger'" in str(caught.value)
    assert ti.xcoms["run_result"] == caught.value.result


@pytest.fixture
def no_floor(monkeypatch, polling_config):
    polling_config(min_poke_interval=0.0)
    monkeypatch.setattr("airflow_provider_datarecs.api.retry.MIN_LIMIT_WAIT", 0.0)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "0"}},
        {"drop": "before"},
        {"status": 200, "body": "<html>"},
        {"status": 302},
    ],
)
def test_a_failed_poll_is_not_a_failed_run(simulator, context, started, no_floor, fault):
    run_id = started(Plan(queued=0, running=0))
    # A newer aiohttp asks for itself once more when the connection drops.
    simulator.faults.append(Fault(times=None, **fault))
    sensor = job_sensor(run_id, deferrable=False)
    assert sensor.poke(context) is False
    assert sensor.poke(context) is False
    simulator.faults.clear()
    assert sensor.poke(context).xcom_value["status"] == "COMPLETED"
    assert simulator.requests[0].path.endswith(run_id)


def test_a_run_that_is_not_visible_yet_is_waited_for(context, started):
    sensor = job_sensor(started(Plan(queued=0, running=0, hidden=3600)), deferrable=False)
    assert sensor.poke(context) is False


@pytest.fixture
def later(monkeypatch):
    """Give seconds by which it is later for waits, in a list of one."""
    seconds = [0.0]
    clock = SimpleNamespace(
        time=lambda: time.time() + seconds[0], monotonic=lambda: time.monotonic() + seconds[0]
    )
    for module in ("clock", "monitor"):
        monkeypatch.setattr(f"airflow_provider_datarecs.polling.{module}.time", clock)
    return seconds


def test_a_run_that_stays_unknown_fails_after_a_minute(simulator, context, later):
    sensor = job_sensor("no-such-run", deferrable=False)
    assert sensor.poke(context) is False
    later[0] += 61
    with pytest.raises(AirflowException, match="Resource not found: run 'no-such-run' of job 'job_ledger'"):
        sensor.poke(context)


def test_a_refused_key_fails_at_once_without_retries(simulator, connect, context):
    connect(simulator.url, password="revoked")
    with pytest.raises(AirflowFailException, match="Invalid or expired API key") as caught:
        job_sensor(deferrable=False).execute(context)
    assert all(isinstance(caught.value, kind) for kind in CONFIG_EXCEPTIONS)


def test_a_timeout_without_deferring_is_a_sensor_timeout(context, started):
    sensor = job_sensor(started(Plan(running=3600)), deferrable=False, timeout=0.1, poke_interval=0.2)
    with pytest.raises(AirflowSensorTimeout):
        sensor.execute(context)


def test_a_deferral_that_airflow_times_out_is_a_sensor_timeout(context, ti):
    if AIRFLOW_VERSION >= (3, 0):
        from airflow.models.trigger import TriggerFailureReason

        error = TriggerFailureReason.TRIGGER_TIMEOUT
    else:
        error = "Trigger/execution timeout"
    with pytest.raises(AirflowSensorTimeout):
        job_sensor().resume_execution("__fail__", {"error": error}, context)
    assert (ti.xcoms["run_result"]["run_id"], ti.xcoms["run_result"]["status"]) == ("r", "")


def test_a_trigger_that_broke_is_no_timeout():
    with pytest.raises(TaskDeferralError):
        job_sensor().resume_execution("__fail__", {"error": "Trigger failure"}, {})


@pytest.mark.parametrize(
    ("fault", "pause"),
    [({"status": 429, "headers": {"Retry-After": "40"}}, 40), ({"status": 503}, 1)],
    ids=["as long as a 429 says", "a second at least"],
)
def test_the_next_poke_asks_nothing_until_the_service_may_be_asked_again(
    simulator, context, started, later, fault, pause
):
    sensor = job_sensor(started(Plan(queued=0, running=0)), deferrable=False)
    simulator.faults.append(Fault(**fault))
    assert sensor.poke(context) is False
    later[0] += pause - 0.5
    assert sensor.poke(context) is False
    assert len(simulator.requests) == 1
    later[0] += 0.5
    assert sensor.poke(context)
