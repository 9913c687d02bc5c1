"""
What becomes of deferred waits when Airflow 2.11 is upgraded to 3.3, on PostgreSQL.

Not on SQLite, where the migration itself loses the task instances of running DAGs.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys

import pytest
from support import ROOT
from support.debian import Services
from support.upgrade import DAG_ID, JOBS

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import ApiKey, Plan, Simulator, default_world

pytestmark = [pytest.mark.upgrade, pytest.mark.timeout(3600)]

OLD = ROOT / ".tox" / "distributed2.11" / "bin" / "python"
DAG = f"""
from datetime import datetime
from airflow.models.dag import DAG
from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

with DAG("{DAG_ID}", schedule=None, start_date=datetime(2024, 1, 1)):
    for job_id in {JOBS!r}:
        ids = {{"job_id": job_id, "workspace_id": "ws_production"}}
        trigger = TriggerJobRunOperator(task_id=f"trigger_{{job_id}}", **ids)
        JobRunSensor(task_id=f"wait_{{job_id}}", run_id=trigger.output, poke_interval=5, **ids)
"""


@pytest.fixture
def simulator():
    world = default_world()
    world.api_keys = [ApiKey(secrets.token_hex(16))]
    for job_id in JOBS:
        world.add_job(job_id, job_id, "ws_production", Plan(queued=0, running=36_000))
    with Simulator(world) as simulator:
        yield simulator


@pytest.fixture
def run_part(simulator, tmp_path, capsys):
    """Run a part of the upgrade with an Airflow of its own, on the database of the parts before."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "waits.py").write_text(DAG)
    fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    with capsys.disabled(), Services() as services:
        settings = {
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__FERNET_KEY": fernet_key,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": services.database,
        }
        told = (tmp_path, simulator.url, simulator.world.api_keys[0].key, json.dumps(settings))

        def run_part(python, part):
            # What it holds are the defaults of the Airflow before.
            (tmp_path / "airflow" / "airflow.cfg").unlink(missing_ok=True)
            environ = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
            subprocess.run([python, "-m", "support.upgrade", part, *told], env=environ, check=True)

        yield run_part


def test_waits_go_on_and_nothing_is_started_anew(run_part, simulator):
    if not OLD.exists():
        pytest.skip("Airflow 2.11 is not here; `make upgrade` makes its environment first")
    run_part(OLD, "before")
    simulator.world.finish_runs("ends_meanwhile")
    run_part(sys.executable, "migrated")
    simulator.world.finish_runs("ends_after")
    run_part(sys.executable, "after")
    starts = [seen for seen in simulator.requests if seen.method == "POST"]
    assert (len(starts), len(simulator.world.runs[TargetKind.JOB])) == (len(JOBS), len(JOBS))
