"""One run for one start, on a real Airflow: over a retry, and anew after all that asks for another run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AIRFLOW_VERSION
from airflow_provider_datarecs.simulator import Fault, Plan

pytestmark = pytest.mark.airflow

RETRIES = 4
DAGS = """
from datetime import datetime, timedelta
from airflow.models.dag import DAG
from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

ids = {{"job_id": "job_started", "workspace_id": "ws_production"}}
arguments = {{**ids, "unique_label": True, "retries": {retries}, "retry_delay": timedelta(seconds=1)}}

with DAG(dag_id="starts", schedule=None, start_date=datetime(2024, 1, 1)):
    start = TriggerJobRunOperator(task_id="start", **arguments)
    # So that the DAG run goes on.
    JobRunSensor(task_id="wait", run_id=start.output, **ids)

with DAG(dag_id="tested", schedule=None, start_date=datetime(2024, 1, 1), is_paused_upon_creation=True):
    TriggerJobRunOperator(task_id="start", **arguments)
"""
DELETE = """
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session

with create_session() as session:
    session.query(DagRun).filter_by(dag_id="starts").delete(synchronize_session=False)
"""


def test_each_start_has_one_run_and_a_key_of_its_own(airflow, live_simulator):
    world = live_simulator.world
    world.add_job("job_started", "started", "ws_production", Plan(queued=0, running=3600))
    path = "/jobs/job_started/run"
    # Started all the same: the retry has the key and the label of the try before it, or there are two runs.
    live_simulator.faults.append(Fault(method="POST", path=path, status=422, carry_out=True))
    wait = Wait(airflow)

    write(airflow, retries=RETRIES)
    airflow.trigger_dag("starts", "again")
    task = wait.for_start()
    assert task["try_number"] > 1
    assert len(labels(world)) == 1
    began = wait.dag_run()["start_date"]

    # With retries lowered, a clear sets max_tries to what it was.
    was_parsed = wait.parsed()
    write(airflow, retries=RETRIES - task["try_number"])
    airflow.wait_until(lambda: wait.parsed() != was_parsed, "the DAG is parsed again")
    airflow.cli("tasks", "clear", "starts", "--task-regex", "start", "--yes")
    cleared = wait.for_start(after=task["try_number"])
    assert cleared["max_tries"] == task["max_tries"] == RETRIES
    assert wait.dag_run()["start_date"] == began
    assert len(labels(world)) == 2

    airflow.cli("dags", "pause", "starts")
    wait.for_scheduler()  # which fails where a DAG run is gone that it has just read
    subprocess.run([sys.executable, "-c", DELETE], env=airflow.environ, check=True, capture_output=True)
    airflow.cli("dags", "unpause", "starts")
    airflow.trigger_dag("starts", "again")
    wait.for_start()
    assert len(labels(world)) == 3

    for number in (4, 5):
        airflow.cli("dags", "test", "tested", "2024-01-02")
        assert len(labels(world)) == number

    keys = [seen.headers["Idempotency-Key"] for seen in live_simulator.requests if seen.path == path]
    assert len(set(keys)) == len(set(labels(world))) == 5
    assert all(label.endswith(key) for label, key in zip(labels(world), dict.fromkeys(keys)))
    if AIRFLOW_VERSION >= (3, 3):
        assert keys[0] == keys[1]  # sent again, since the store has it that nothing was started


class Wait:
    """Wait for what becomes of the DAG run."""

    def __init__(self, airflow):
        self.airflow = airflow

    def for_start(self, after=0):
        def started():
            task = self.airflow.tasks("starts", "again").get("start", {})
            return task if task.get("state") == "success" and task["try_number"] > after else None

        return self.airflow.wait_until(started, f"start has succeeded in a try after {after}")

    def for_scheduler(self):
        query = "select latest_heartbeat from job where job_type = 'SchedulerJob' and state = 'running'"
        for _ in range(2):
            before = self.airflow.rows(query)
            self.airflow.wait_until(lambda: self.airflow.rows(query) != before, "the scheduler goes on")  # noqa: B023

    def dag_run(self):
        (row,) = self.airflow.rows("select * from dag_run where dag_id = 'starts'")
        return row

    def parsed(self):
        rows = self.airflow.rows("select dag_hash from serialized_dag where dag_id = 'starts'")
        return {row["dag_hash"] for row in rows}


def write(airflow, retries):
    (airflow.dags / "starts.py").write_text(DAGS.format(retries=retries))


def labels(world):
    return [run.label for run in world.runs[TargetKind.JOB] if run.owner.id == "job_started"]
