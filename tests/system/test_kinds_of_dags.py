"""What DAGs do with tasks, on a real Airflow: one DAG for all that fits into one, and one for backfills."""

from __future__ import annotations

import re

import pytest
from support.airflow import IS_AIRFLOW_3

from airflow_provider_datarecs.compat import AIRFLOW_VERSION
from airflow_provider_datarecs.simulator import Plan

pytestmark = pytest.mark.airflow

CONSOLE = "https://console.example"
HEAD = """
from datetime import datetime
from airflow.decorators import setup, task, task_group, teardown
from airflow.models.dag import DAG
from airflow.providers.datarecs.hooks.datarecs import DataRecsHook
from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow.providers.datarecs.sensors.job_run import JobRunSensor
from airflow.providers.datarecs.task_groups.reconcile import reconcile

JOB = {"job_id": "job_differs", "workspace_id": "ws_production"}
"""
KINDS = """
@setup
def prepare():
    return "prepared"

@teardown
def clean_up():
    print("cleaned up")

@task_group
def each(limit):
    reconcile("job", **JOB, max_unmatched_rows=limit)

with DAG(dag_id="kinds", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    first, last = prepare(), clean_up()
    quiet = TriggerJobRunOperator(task_id="quiet", do_xcom_push=False, conn_id="with_console", **JOB)
    wait = JobRunSensor(task_id="wait", do_xcom_push=False, conn_id="with_console", **quiet.ids)
    one_by_one = JobRunSensor.partial(
        task_id="one_by_one", pool="one", max_active_tis_per_dag=1, **quiet.ids
    ).expand(poke_interval=[1, 2])
    first >> [quiet, each.expand(limit=[None, 0])] >> last
    [wait, one_by_one] >> last
    last.as_teardown(setups=first)
"""
ASYNC = """
    @task
    async def in_async_code():
        return [workspace["name"] for workspace in DataRecsHook().list_workspaces()]

    in_async_code()
"""
BACKFILL = """
class Told(JobRunSensor):
    def defer(self, *, trigger, **kwargs):
        print("the run before:", (trigger.last_run or {}).get("run_id"))
        super().defer(trigger=trigger, **kwargs)

with DAG(
    dag_id="each_day", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 2),
    catchup=False, default_args={"depends_on_past": True},
):
    job = reconcile("job", **JOB)
    job >> Told(task_id="told", run_id="{{ ti.xcom_pull('job.trigger', key='run_id') }}", **JOB)
"""
TASKS_ARE_ASYNC = AIRFLOW_VERSION >= (3, 2)


@pytest.fixture
def differs(live_simulator):
    """A job whose runs find differences."""
    plan = Plan(queued=0, running=0, rows_processed=100, rows_matched=97, rows_unmatched=3)
    return live_simulator.world.add_job("job_differs", "differs", "ws_production", plan)


def states(airflow, dag_id, run_id):
    return {task_id: task["state"] for task_id, task in airflow.tasks(dag_id, run_id).items()}


def is_over(airflow, dag_id, run_id):
    return airflow.run_state(dag_id, run_id) in ("success", "failed")


def test_a_dag_of_all_kinds(airflow, live_simulator, differs):
    airflow.cli("pools", "set", "one", "1", "one at a time", "--include-deferred")
    key = live_simulator.world.api_keys[0].key
    airflow.set_connection("with_console", live_simulator.url, key, console_url=CONSOLE)
    (airflow.dags / "kinds.py").write_text(HEAD + KINDS + (ASYNC if TASKS_ARE_ASYNC else ""))
    airflow.trigger_dag("kinds", "once")

    def link():
        key = "_link_DataRecsRunLink" if IS_AIRFLOW_3 else "datarecs_run_url"
        return airflow.xcom("kinds", "once", "wait", key)

    def deferred_with_link():
        return states(airflow, "kinds", "once").get("wait") == "deferred" and link()

    url = airflow.wait_until(deferred_with_link, "wait is deferred and has its link")
    assert url.startswith(f"{CONSOLE}/workspaces/ws_production/jobs/job_differs/runs/")
    airflow.wait_until(lambda: is_over(airflow, "kinds", "once"), "all is over", seconds=400)
    ended = states(airflow, "kinds", "once")
    log = airflow.task_log("kinds", "each.job.result")
    # None is no limit for the first of the groups, and 3 rows are over that of the second.
    assert ended.pop("each.job.result[1]") == "failed", log
    assert set(ended.values()) == {"success"}, ended
    assert "3 of 100 rows are unmatched, over max_unmatched_rows=0" in log
    assert len(ended) == 11 + TASKS_ARE_ASYNC
    assert link() == url
    assert airflow.xcom("kinds", "once", "quiet", "return_value") is None
    assert airflow.xcom("kinds", "once", "wait", "run_result")["rows_unmatched"] == 3
    tasks = airflow.tasks("kinds", "once")
    first, second = sorted(
        (str(tasks[f"one_by_one[{n}]"]["start_date"]), str(tasks[f"one_by_one[{n}]"]["end_date"]))
        for n in range(2)
    )
    assert first[1] <= second[0]
    if TASKS_ARE_ASYNC:
        assert len(airflow.xcom("kinds", "once", "in_async_code", "return_value")) == 2
    if IS_AIRFLOW_3:
        output = (airflow.home / "scheduler.log").read_text(errors="replace").splitlines()
        assert [line for line in output if "XCom not found" in line and "kinds" in line] == []


def test_a_backfill_of_days_that_depend_on_each_other(airflow, differs):
    (airflow.dags / "each_day.py").write_text(HEAD + BACKFILL)
    query = "select 1 from serialized_dag where dag_id = 'each_day'"
    airflow.wait_until(lambda: airflow.rows(query), "DAG each_day is parsed")
    days = ["2024-01-01", "2024-01-02"]
    if IS_AIRFLOW_3:
        dates = ("--from-date", days[0], "--to-date", days[1], "--reprocess-behavior", "failed")
        airflow.cli("backfill", "create", "--dag-id", "each_day", *dates)
    else:
        airflow.cli("dags", "backfill", "each_day", "--start-date", days[0], "--end-date", days[1])
    runs = "select run_id from dag_run where dag_id = 'each_day' order by run_id"
    ids = [row["run_id"] for row in airflow.wait_until(lambda: airflow.rows(runs), "the runs are there")]
    assert [day for day, run_id in zip(days, ids) if f"backfill__{day}" in run_id] == days
    airflow.wait_until(lambda: all(is_over(airflow, "each_day", one) for one in ids), "both are over", 240)
    tasks = [airflow.tasks("each_day", run_id) for run_id in ids]
    names = {"job.trigger", "job.wait", "job.result", "told"}
    assert [{name: task["state"] for name, task in day.items()} for day in tasks] == [
        dict.fromkeys(names, "success")
    ] * 2
    assert all(str(tasks[0][name]["end_date"]) <= str(tasks[1][name]["start_date"]) for name in names)
    first, second = (airflow.xcom("each_day", run_id, "job.trigger", "run_id") for run_id in ids)
    assert first != second
    told = re.findall(r"the run before: (\w+)", airflow.task_log("each_day", "told"))
    assert sorted(told) == sorted(["None", first]), told
