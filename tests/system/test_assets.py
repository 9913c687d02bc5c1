"""Assets that are updated when the data agree, on a real Airflow."""

from __future__ import annotations

import json

import pytest
from support.airflow import IS_AIRFLOW_3

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AIRFLOW_VERSION
from airflow_provider_datarecs.simulator import Plan

pytestmark = [pytest.mark.airflow, pytest.mark.compat]

LIMITS = {
    "within": {"max_unmatched_rows": 6},
    "failed": {"max_unmatched_rows": 5},
    "skipped": {"max_unmatched_rows": 5, "on_unmatched": "skip"},
    "warned": {"max_unmatched_rows": 5, "on_unmatched": "warn"},
}
DAG = """
from datetime import datetime
from airflow.models.dag import DAG
from airflow.providers.datarecs.operators.get_job_run_result import GetJobRunResultOperator
try:
    from airflow.sdk import Asset
except ImportError:
    from airflow.datasets import Dataset as Asset

with DAG(dag_id="agreements", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    for task_id, limits in {limits!r}.items():
        GetJobRunResultOperator(
            task_id=task_id,
            job_id="job_unmatched",
            workspace_id="ws_production",
            run_id="{{{{ dag_run.conf['run_id'] }}}}",
            outlets=[Asset("datarecs://ledger/" + task_id)],
            **limits,
        )
"""
EVENTS = (
    "select uri, asset_event.extra from asset_event join asset on asset.id = asset_id"
    if IS_AIRFLOW_3
    else "select uri, dataset_event.extra from dataset_event join dataset on dataset.id = dataset_id"
)


def test_an_asset_is_updated_only_when_the_data_agree(airflow, live_simulator):
    world = live_simulator.world
    plan = Plan(queued=0, running=0, rows_matched=994, rows_unmatched=6)
    world.add_job("job_unmatched", "unmatched", "ws_production", plan)
    run_id = world.start_run(TargetKind.JOB, world.owners[TargetKind.JOB]["job_unmatched"]).id
    (airflow.dags / "agreements.py").write_text(DAG.format(limits=LIMITS))
    airflow.trigger_dag("agreements", "run", {"run_id": run_id})
    airflow.wait_until(lambda: airflow.run_state("agreements", "run") == "failed", "the DAG run has ended")

    states = {task_id: task["state"] for task_id, task in airflow.tasks("agreements", "run").items()}
    assert states == {"within": "success", "failed": "failed", "skipped": "skipped", "warned": "success"}
    for task_id in ("failed", "skipped", "warned"):
        assert "6 of 1,000 rows are unmatched, over max_unmatched_rows=5" in airflow.task_log(
            "agreements", task_id
        )

    events = {row["uri"]: row["extra"] for row in airflow.rows(EVENTS) if "datarecs://ledger/" in row["uri"]}
    agreed = {}
    for uri, extra in events.items():
        extra = json.loads(extra) if isinstance(extra, str) else extra  # noqa: PLW2901
        agreed[uri.rpartition("/")[2]] = (extra.get("run_id"), extra.get("agreed"))
    if AIRFLOW_VERSION >= (2, 10):
        assert agreed == {"within": (run_id, True), "warned": (run_id, False)}
    else:  # whose events have no extra that a task can give
        assert set(agreed) == {"within", "warned"}
