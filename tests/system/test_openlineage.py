"""What a real Airflow tells OpenLineage of a run, where its provider is installed."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import Plan

pytestmark = pytest.mark.airflow

pytest.importorskip("airflow.providers.openlineage")

DAG_ID = "reconcile_daily_balances"


FAILING = """
from datetime import datetime
from airflow.models.dag import DAG
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

with DAG(dag_id="reconcile_in_vain", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    JobRunSensor(
        task_id="wait",
        job_id="job_broken",
        workspace_id="ws_production",
        run_id="{{ dag_run.conf['run_id'] }}",
        deferrable=False,
    )
"""
ENDING = """
from datetime import datetime
from airflow.models.dag import DAG
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

with DAG(dag_id="reconcile_in_one_go", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    JobRunSensor(
        task_id="wait",
        job_id="job_agreed",
        workspace_id="ws_production",
        run_id="{{ dag_run.conf['run_id'] }}",
        end_from_trigger=True,
    )
"""


@pytest.fixture(scope="module")
def told(airflow):
    """Wait for a DAG run's end, and give the first event of a kind that tells of a task."""

    def told(dag_id, run_id, task_id, kind):
        def events():
            # The last line may just be written.
            whole, _, _ = (airflow.home / "lineage.jsonl").read_text().rpartition("\n")
            every = [json.loads(line) for line in whole.splitlines()]
            name = f"{dag_id}.{task_id}"
            return [one for one in every if one["job"]["name"] == name and one["eventType"] == kind]

        ended = ("success", "failed")
        airflow.wait_until(lambda: airflow.run_state(dag_id, run_id) in ended, f"{dag_id} has ended")
        return airflow.wait_until(events, f"{task_id} is told")[0]

    return told


@pytest.fixture(scope="module")
def completed(airflow, told):
    """Run the first DAG, and give the event that tells of a task's success."""
    run_id = airflow.scheduled_run(DAG_ID)
    return lambda task_id: told(DAG_ID, run_id, task_id, "COMPLETE")


@pytest.mark.parametrize("task_id", ["wait", "result"])
def test_a_finished_run_is_told_with_its_counts(completed, airflow, live_simulator, task_id):
    facets = completed(task_id)["run"]["facets"]
    run = facets["datarecs_run"]
    result = airflow.xcom(DAG_ID, airflow.scheduled_run(DAG_ID), task_id, "run_result")
    counts = {"rows_processed": 120000, "rows_matched": 119988, "rows_unmatched": 12}
    assert counts.items() <= run.items()
    assert (run["status"], run["completed_at"]) == ("COMPLETED", result["completed_at"])
    assert (run["job_id"], run["workspace_id"]) == ("job_daily_balance", "ws_production")
    assert "job_group_id" not in run
    assert facets["externalQuery"]["externalQueryId"] == run["run_id"]
    assert facets["externalQuery"]["source"] == urlsplit(live_simulator.url).netloc


def test_a_started_run_is_told_with_its_id(completed):
    started, waited = (completed(task_id)["run"]["facets"] for task_id in ("trigger", "wait"))
    assert started["externalQuery"]["externalQueryId"] == waited["externalQuery"]["externalQueryId"]
    assert "status" not in started["datarecs_run"]


def test_a_run_that_failed_is_told_with_the_failure_of_its_task(airflow, live_simulator, told):
    world = live_simulator.world
    world.add_job("job_broken", "broken", "ws_production", Plan(queued=0, running=0, status="FAILED"))
    run = world.start_run(TargetKind.JOB, world.owners[TargetKind.JOB]["job_broken"])
    (airflow.dags / "in_vain.py").write_text(FAILING)
    airflow.trigger_dag("reconcile_in_vain", "broken", {"run_id": run.id})
    facets = told("reconcile_in_vain", "broken", "wait", "FAIL")["run"]["facets"]
    assert facets["externalQuery"]["externalQueryId"] == run.id
    assert (facets["datarecs_run"]["job_id"], facets["datarecs_run"]["status"]) == ("job_broken", "FAILED")


def test_a_wait_that_might_end_on_the_triggerer_ends_on_a_worker_which_tells_of_it(
    airflow, live_simulator, told
):
    world = live_simulator.world
    world.add_job("job_agreed", "agreed", "ws_production", Plan(queued=0, running=0))
    run = world.start_run(TargetKind.JOB, world.owners[TargetKind.JOB]["job_agreed"])
    (airflow.dags / "in_one_go.py").write_text(ENDING)
    airflow.trigger_dag("reconcile_in_one_go", "run", {"run_id": run.id})
    facets = told("reconcile_in_one_go", "run", "wait", "COMPLETE")["run"]["facets"]
    assert (facets["datarecs_run"]["job_id"], facets["datarecs_run"]["status"]) == ("job_agreed", "COMPLETED")
    log = airflow.task_log("reconcile_in_one_go", "wait")
    assert "in spite of end_from_trigger, since listeners are installed, such as OpenLineage's" in log


def test_no_data_sets_are_made_up(completed):
    assert (completed("wait")["inputs"], completed("wait")["outputs"]) == ([], [])


def test_the_key_is_in_no_event(completed, airflow, live_simulator):
    completed("result")
    assert live_simulator.world.api_keys[0].key not in (airflow.home / "lineage.jsonl").read_text()
