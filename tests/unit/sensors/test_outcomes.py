"""What a wait ends with: the same outcome, and the same skip, in every mode."""

from __future__ import annotations

import pytest

from airflow_provider_datarecs.api import errors
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.runs import Run
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.compat import (
    AIRFLOW_VERSION,
    CONFIG_EXCEPTIONS,
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow_provider_datarecs.polling import events
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Plan

pytestmark = pytest.mark.compat

if AIRFLOW_VERSION >= (3, 2):
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
else:
    from airflow.exceptions import AirflowRescheduleException, TaskDeferred

JOB = Target(TargetKind.JOB, "job_ledger", "ws_production")
GROUP = Target(TargetKind.JOB_GROUP, "grp_nightly", "ws_production")


def sensor(run_id="r", **more):
    return JobRunSensor(task_id="t", job_id="job_ledger", workspace_id="ws_production", run_id=run_id, **more)


def finished(status="COMPLETED", target=JOB, run_id="r"):
    return events.finished(target, Run(run_id, status, {"status": status, "error": "disk full"}))


def refused(error):
    return events.refused(JOB, "r", error, "datarecs_default")


UNAUTHORIZED = errors.Unauthorized("GET /x", 401, "Invalid or expired API key")


IDS = {"run_id": "r", "job_id": "job_ledger", "workspace_id": "ws_production"}


def test_a_completed_run_is_pushed_and_returned_with_its_ids(context, ti):
    result = sensor().execute_complete(context, finished())
    assert result == ti.xcoms["run_result"] == {**IDS, "status": "COMPLETED", "error": "disk full"}


def test_a_completed_group_run_is_pushed_and_returned(context, ti):
    group = JobGroupRunSensor(
        task_id="t", job_group_id="grp_nightly", workspace_id="ws_production", run_id="r"
    )
    assert group.execute_complete(context, finished(target=GROUP)) == ti.xcoms["run_result"]


def test_a_task_may_be_resumed_twice_with_the_same_event(context):
    event = finished()
    assert sensor().execute_complete(context, event) == sensor().execute_complete(context, event)


@pytest.mark.parametrize(
    ("event", "kind", "told"),
    [
        (None, AirflowException, "outcome is unknown"),
        ("success", AirflowException, "outcome is unknown"),
        ({}, AirflowException, "outcome is unknown"),
        (finished(run_id="other"), AirflowException, "another run"),
        (finished(target=GROUP), AirflowException, "another run"),
        ({**finished(), "outcome": "settled"}, AirflowException, "outcome 'settled'"),
        ({**finished(), "result": {}}, AirflowException, "status None"),
        (finished("REBALANCING"), AirflowException, "status 'REBALANCING'"),
        (finished("FAILED"), AirflowException, "FAILED.*disk full"),
        (finished("CANCELLED"), AirflowException, "^CANCELLED: "),
        (events.timed_out(JOB, "r", "2:00:00 are over"), AirflowSensorTimeout, "2:00:00 are over"),
        (refused(errors.Forbidden("GET /x", 403, "no")), AirflowFailException, "^no "),
        *((refused(UNAUTHORIZED), kind, "^Invalid or expired API key") for kind in CONFIG_EXCEPTIONS),
        (refused(UNAUTHORIZED), AirflowFailException, "'datarecs_default'.*valid one"),
    ],
)
def test_every_other_event_fails_the_task_and_pushes_what_is_known(context, ti, event, kind, told):
    with pytest.raises(kind, match=told):
        sensor().execute_complete(context, event)
    known = ti.xcoms["run_result"]
    assert {name: known[name] for name in IDS} == IDS
    ended = known["status"] in ("FAILED", "CANCELLED")
    assert known == {**event["result"], **IDS} if ended else (known["status"], known["error"]) == ("", None)


@pytest.mark.parametrize(
    ("status", "shown"), [("RUNNING", "RUNNING"), (None, ""), (7, ""), ("COMPLETED", ""), ("FAILED", "")]
)
def test_a_wait_that_is_over_before_its_run_pushes_the_last_status(context, ti, status, shown):
    event = events.timed_out(JOB, "r", "over", status=status)
    with pytest.raises(AirflowSensorTimeout):
        sensor().execute_complete(context, event)
    assert ti.xcoms["run_result"] == {
        **IDS,
        "status": shown,
        "rows_processed": None,
        "rows_matched": None,
        "rows_unmatched": None,
        "started_at": None,
        "completed_at": None,
        "error": None,
    }


@pytest.mark.parametrize(
    "event",
    [finished("FAILED"), finished("CANCELLED"), events.timed_out(JOB, "r", "over"), refused(UNAUTHORIZED)],
    ids=["failed", "cancelled", "timed out", "refused"],
)
def test_soft_fail_skips_when_a_deferred_wait_ends_badly(context, event):
    with pytest.raises(AirflowSkipException):
        sensor(soft_fail=True).resume_execution("execute_complete", {"event": event}, context)


MODES = pytest.mark.parametrize("mode", ["poke", "reschedule"])


@MODES
@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_soft_fail_skips_when_a_run_ends_badly_without_deferring(airflow_db, context, started, mode, status):
    run_id = started(Plan(queued=0, running=0, status=status))
    with pytest.raises(AirflowSkipException):
        sensor(run_id, soft_fail=True, deferrable=False, mode=mode).execute(context)


@MODES
def test_soft_fail_skips_when_the_key_is_refused_without_deferring(
    airflow_db, simulator, connect, context, mode
):
    connect(simulator.url, password="revoked")
    with pytest.raises(AirflowSkipException):
        sensor(soft_fail=True, deferrable=False, mode=mode).execute(context)


def test_soft_fail_skips_when_the_time_is_over_without_deferring(context, started):
    run_id = started(Plan(running=3600))
    with pytest.raises(AirflowSkipException):
        sensor(run_id, soft_fail=True, deferrable=False, timeout=0.1, poke_interval=0.2).execute(context)


@MODES
@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (Plan(queued=0, running=0, status="FAILED", error="disk full"), "FAILED.*disk full"),
        (Plan(queued=0, running=0, status="CANCELLED"), "^CANCELLED: "),
    ],
)
def test_a_run_that_ends_badly_fails_the_task_without_deferring(
    airflow_db, context, ti, started, mode, plan, told
):
    with pytest.raises(AirflowException, match=told):
        sensor(started(plan), deferrable=False, mode=mode).execute(context)
    assert ti.xcoms["run_result"]["status"] == plan.status


@pytest.mark.parametrize("runs", ["still going", "unreachable"])
def test_a_wait_in_reschedule_mode_frees_its_slot(airflow_db, connect, context, started, runs):
    run_id = started(Plan(queued=0, running=3600))
    if runs == "unreachable":
        connect("http://127.0.0.1:1")
    with pytest.raises(AirflowRescheduleException):
        sensor(run_id, deferrable=False, mode="reschedule").execute(context)


@pytest.mark.parametrize("setting", ["True", "False"])
@pytest.mark.parametrize(("arguments", "defers"), [({}, True), ({"deferrable": False}, False)])
def test_only_the_argument_decides_whether_to_defer(
    monkeypatch, context, started, setting, arguments, defers
):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", setting)
    waiting = sensor(started(Plan(queued=0, running=0)), **arguments)
    if defers:
        with pytest.raises(TaskDeferred):
            waiting.execute(context)
    else:
        assert waiting.execute(context)["status"] == "COMPLETED"
