"""The link from a task to its run."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from airflow.models.dag import DAG
from airflow.provider.datarecs.links.run import DataRecsRunLink
from support.fakes import FakeStore

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.compat import (
    AIRFLOW_VERSION,
    TASKS_MAKE_LINKS,
    AirflowException,
    AirflowFailException,
)
from airflow_provider_datarecs.exceptions import DataRecsRunFailed
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Plan

if AIRFLOW_VERSION >= (3, 2):
    from airflow.sdk.exceptions import TaskDeferred
else:
    from airflow.exceptions import TaskDeferred

CONSOLE = "https://console.example"
JOB = {"task_id": "t", "job_id": "job_ledger", "workspace_id": "ws_production"}
GROUP = {"task_id": "t", "job_group_id": "grp_nightly", "workspace_id": "ws_production"}
NAMES = {"task_id": "t", "workspace_name": "Production", "job_name": "ledger-vs-warehouse"}


@pytest.fixture
def console(simulator, connect):
    connect(simulator.url, extra=json.dumps({"console_url": CONSOLE}))
    return simulator


@pytest.mark.parametrize(
    ("operator", "arguments", "path"),
    [
        (TriggerJobRunOperator, JOB, "jobs/job_ledger"),
        (TriggerJobRunByNameOperator, NAMES, "jobs/job_ledger"),
        (TriggerJobGroupRunOperator, GROUP, "job-groups/grp_nightly"),
    ],
)
def test_a_task_that_starts_a_run_keeps_its_url(console, context, ti, operator, arguments, path):
    run_id = operator(**arguments).execute(context)
    assert ti.xcoms["datarecs_run_url"] == f"{CONSOLE}/workspaces/ws_production/{path}/runs/{run_id}"


@pytest.mark.parametrize(
    ("sensor", "arguments", "path"),
    [(JobRunSensor, JOB, "jobs/job_ledger"), (JobGroupRunSensor, GROUP, "job-groups/grp_nightly")],
)
def test_a_wait_keeps_the_url_before_it_defers(console, context, ti, sensor, arguments, path):
    with pytest.raises(TaskDeferred):
        sensor(**arguments, run_id="r:1").execute(context)
    assert ti.xcoms["datarecs_run_url"] == f"{CONSOLE}/workspaces/ws_production/{path}/runs/r%3A1"


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_the_failure_of_a_run_leads_to_its_page_and_names_the_task_to_clear(
    airflow_db, console, context, mode
):
    world = console.world
    world.plan_runs("job_ledger", Plan(queued=0, running=0, status="FAILED", error="disk full"))
    run = world.start_run(TargetKind.JOB, world.owners[TargetKind.JOB]["job_ledger"])
    with DAG(dag_id="dag", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)):
        start = TriggerJobRunOperator(**{**JOB, "task_id": "start"})
        wait = JobRunSensor(**JOB, run_id=run.id, deferrable=False, mode=mode)
        start >> wait
    with pytest.raises(DataRecsRunFailed) as caught:
        wait.execute(context)
    url = f"{CONSOLE}/workspaces/ws_production/jobs/job_ledger/runs/{run.id}"
    assert caught.value.url == url
    assert str(caught.value) == (
        f"FAILED: run {run.id!r} of job 'job_ledger' in workspace 'ws_production'. Error: disk full. No rows "
        f"counted. Look at the run at DataRecs: {url}. What is mended takes a new run: clear 'start', and "
        "what follows; a retry or clear of this task alone would meet the same run."
    )


def test_the_result_keeps_the_url_even_of_a_run_that_is_not_finished(console, context, ti):
    job = console.world.owners[TargetKind.JOB]["job_ledger"]
    run = console.world.start_run(TargetKind.JOB, job)
    with pytest.raises(Exception, match=r"^Not finished "):
        GetJobRunResultOperator(**JOB, run_id=run.id).execute(context)
    assert ti.xcoms["datarecs_run_url"].endswith(f"/runs/{run.id}")


def test_a_console_url_that_makes_no_link_is_no_reason_to_start_nothing(simulator, connect, context, ti):
    connect(simulator.url, extra=json.dumps({"console_url": "https://console.example/{runid}"}))
    assert TriggerJobRunOperator(**JOB).execute(context) == ti.xcoms["run_id"]
    assert "datarecs_run_url" not in ti.xcoms
    works, message = DataRecsHook().test_connection()
    assert not works
    assert "no other placeholders than" in message


def test_a_connection_that_cannot_be_read_hides_no_run(console, context, ti, monkeypatch):
    context["task_state_store"] = FakeStore()
    operator = TriggerJobRunOperator(**JOB)
    run_id = operator.execute(context)
    monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")
    if AIRFLOW_VERSION >= (3, 3):
        # The next try knows the run, and needs the connection for its link alone.
        assert TriggerJobRunOperator(**JOB).execute(context) == run_id
    assert TriggerJobRunOperator(**JOB).url_of(Target(TargetKind.JOB, "j", "w"), run_id) == ""


def test_without_a_console_there_is_no_url(simulator, context, ti):
    TriggerJobRunOperator(**JOB).execute(context)
    assert "datarecs_run_url" not in ti.xcoms


@pytest.mark.parametrize(
    "operator",
    [
        TriggerJobRunOperator(**JOB),
        TriggerJobRunByNameOperator(**NAMES),
        TriggerJobGroupRunOperator(**GROUP),
        JobRunSensor(**JOB, run_id="r"),
        JobGroupRunSensor(**GROUP, run_id="r"),
        GetJobRunResultOperator(**JOB, run_id="r"),
    ],
    ids=lambda operator: type(operator).__name__,
)
def test_a_task_about_a_run_has_the_link(operator):
    assert [type(link) for link in operator.operator_extra_links] == [DataRecsRunLink]


if TASKS_MAKE_LINKS:

    @pytest.fixture
    def xcoms(monkeypatch):
        """What Airflow has of XComs; to ask for another is an error in the task's log."""
        kept = {}
        monkeypatch.setattr(f"{DataRecsRunLink.__module__}.get_xcom", lambda ti_key, key: kept[key])
        return kept

    def link_of(operator, ti):
        (link,) = operator.operator_extra_links
        return link.get_link(operator, ti_key=ti)

    def test_the_link_is_taken_from_the_task_itself(console, context, ti, xcoms):
        operator = TriggerJobRunOperator(**JOB)
        run_id = operator.execute(context)
        assert link_of(operator, ti).endswith(f"/runs/{run_id}")

    def test_without_a_console_no_xcom_is_asked_for(simulator, context, ti, xcoms):
        operator, sensor = TriggerJobRunOperator(**JOB), JobRunSensor(**JOB, run_id="r")
        operator.execute(context)
        with pytest.raises(TaskDeferred):
            sensor.execute(context)
        assert [link_of(task, ti) for task in (operator, sensor)] == ["", ""]

    def test_a_task_that_fails_before_it_knows_its_run_asks_for_none_either(simulator, context, ti, xcoms):
        operator = TriggerJobRunOperator(**JOB)
        operator.job_id = ""
        with pytest.raises(AirflowFailException):
            operator.execute(context)
        assert link_of(operator, ti) == ""

    @pytest.mark.parametrize(
        ("kept", "link"),
        [
            ({"_link_DataRecsRunLink": "https://a"}, "https://a"),
            ({"_link_DataRecsRunLink": ""}, ""),
            # From a wait that began on Airflow 2.
            ({"_link_DataRecsRunLink": None, "datarecs_run_url": "https://b"}, "https://b"),
            ({"_link_DataRecsRunLink": None, "datarecs_run_url": None}, ""),
        ],
    )
    def test_a_resumed_task_takes_what_its_earlier_process_kept(simulator, context, ti, xcoms, kept, link):
        sensor = JobRunSensor(**JOB, run_id="r")
        with pytest.raises(AirflowException):
            sensor.resume_execution("execute_complete", {"event": None}, context)
        xcoms.update(kept)
        assert link_of(sensor, ti) == link
