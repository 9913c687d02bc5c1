"""
Upgrade an Airflow from 2.11 to 3.3 while waits are deferred, and show what becomes of them.

``make upgrade`` runs it. One wait is for a run that ends while no Airflow runs, one for a run that ends
after.
"""

from __future__ import annotations

import base64
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from rig import Airflow, RigError
from services import Services

from airflow_provider_datarecs.api.contract import Kind
from airflow_provider_datarecs.simulator import ApiKey, Plan, Simulator, default_world

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".upgrade"
OLD, NEW = "distributed-2.11", "distributed-3.3"
DAG_ID = "waits"
JOBS = ("ends_meanwhile", "ends_after")
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


def main() -> int:
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "dags").mkdir(parents=True)
    (FOLDER / "dags" / "waits.py").write_text(DAG)
    world = default_world()
    world.api_keys = [ApiKey(secrets.token_hex(16))]
    for job_id in JOBS:
        world.add_job(job_id, job_id, "ws_production", Plan(queued=0, running=36_000))
    fernet = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    # Not SQLite, where the migration itself loses the task instances of running DAGs.
    with Services() as services, Simulator(world) as simulator:
        told = (simulator.url, world.api_keys[0].key, fernet, services.database)
        phase(OLD, "before", *told)
        world.finish_runs("ends_meanwhile")
        phase(NEW, "migrated", *told)
        world.finish_runs("ends_after")
        phase(NEW, "after", *told)
        starts = sum(seen.method == "POST" for seen in simulator.requests)
    say(f"starts asked for: {starts}, runs started at DataRecs: {len(world.runs[Kind.JOB])}")
    return 0 if starts == len(JOBS) else 1


def phase(airflow: str, name: str, *told: str) -> None:
    """Run a part of it with an Airflow of its own."""
    python = ROOT / ".envs" / airflow / "bin" / "python"
    (FOLDER / "airflow" / "airflow.cfg").unlink(missing_ok=True)  # what it holds are the old one's defaults
    if subprocess.run([python, __file__, name, *told], check=False).returncode:
        sys.exit(1)


def run_phase(name: str, url: str, api_key: str, fernet: str, database: str) -> None:
    settings = {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__FERNET_KEY": fernet,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
    }
    with Airflow(
        FOLDER / "airflow", FOLDER / "dags", host=url, api_key=api_key, environ=settings, say=say
    ) as airflow:
        if name == "before":
            airflow.trigger_dag(DAG_ID, "run")
        goal = {
            "before": dict.fromkeys(JOBS, "deferred"),
            "migrated": {"ends_meanwhile": "success"},
            "after": dict.fromkeys(JOBS, "success"),
        }[name]
        try:
            airflow.wait_until(lambda: goal.items() <= waits(airflow).items(), f"{name}: {goal}")
        finally:
            say(f"{name}: {waits(airflow)}, the DAG run is {airflow.run_state(DAG_ID, 'run')}")


def waits(airflow: Airflow) -> dict[str, str]:
    """Give the state of each wait."""
    tasks = airflow.tasks(DAG_ID, "run")
    return {job_id: tasks.get(f"wait_{job_id}", {}).get("state") for job_id in JOBS}


def say(message: str) -> None:
    print(f"--- {message}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(run_phase(*sys.argv[1:]) if len(sys.argv) > 1 else main())
    except RigError as error:
        sys.exit(f"WRONG: {error}")
