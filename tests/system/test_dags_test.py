"""``airflow dags test``, which runs triggers in the command's own process from Airflow 2.9 on."""

from __future__ import annotations

import pytest
from support import EXAMPLES
from support.airflow import Airflow

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AIRFLOW_VERSION
from airflow_provider_datarecs.simulator import Plan

pytestmark = pytest.mark.airflow

EXAMPLE = EXAMPLES / "reconcile_by_ids.py"
RERUN = """
from datetime import datetime
from airflow.models.dag import DAG
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

with DAG(dag_id="rerun", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    ids = {{"job_id": "job_tested", "workspace_id": "ws_production", "run_id": "{run_id}"}}
    JobRunSensor(task_id="wait", reruns=1, poke_interval=1, **ids)
"""


@pytest.fixture(scope="module")
def airflow(live_simulator, tmp_path_factory):
    """An Airflow without a scheduler, which would take the tasks of the same run."""
    folder = tmp_path_factory.mktemp("dags-test")
    dags = folder / "dags"
    dags.mkdir()
    key = live_simulator.world.api_keys[0].key
    with Airflow(folder / "airflow", dags, host=live_simulator.url, api_key=key, components=()) as airflow:
        yield airflow


if AIRFLOW_VERSION >= (2, 9):

    def test_dags_test_runs_the_wait_without_a_triggerer(airflow):
        quick = EXAMPLE.read_text().replace("poke_interval=30", "poke_interval=2")
        (airflow.dags / EXAMPLE.name).write_text(quick)
        airflow.cli("dags", "test", "reconcile_by_ids", "2024-01-02")
        (row,) = airflow.rows("select run_id, state from dag_run where dag_id = 'reconcile_by_ids'")
        assert row["state"] == "success"
        result = airflow.xcom("reconcile_by_ids", row["run_id"], "wait", "run_result")
        assert result["status"] == "COMPLETED"

    def test_dags_test_starts_a_run_anew(airflow, live_simulator):
        world = live_simulator.world
        world.add_job("job_tested", "tested", "ws_production", Plan(queued=0, running=0, status="FAILED"))
        first = world.start_run(TargetKind.JOB, world.owners[TargetKind.JOB]["job_tested"])
        world.plan_runs("job_tested", Plan(queued=0, running=0))
        (airflow.dags / "rerun.py").write_text(RERUN.format(run_id=first.id))
        airflow.cli("dags", "test", "rerun", "2024-01-02")
        (row,) = airflow.rows("select run_id, state from dag_run where dag_id = 'rerun'")
        assert row["state"] == "success"
        run_ids = airflow.xcom("rerun", row["run_id"], "wait", "run_ids")
        assert run_ids == [run.id for run in world.runs[TargetKind.JOB] if run.owner.id == "job_tested"]
        assert len(run_ids) == 2
