"""What a real Airflow tells OpenLineage of a run, where its provider is installed."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

pytest.importorskip("airflow.providers.openlineage")

DAG_ID = "reconcile_daily_balances"


@pytest.fixture(scope="module")
def completed(airflow):
    """Run the first DAG, and give the event that tells of a task's success."""
    run_id = airflow.scheduled_run(DAG_ID)
    ended = ("success", "failed")
    airflow.wait_until(lambda: airflow.run_state(DAG_ID, run_id) in ended, "the DAG has ended", seconds=240)

    def events(task_id):
        lines = (airflow.home / "lineage.jsonl").read_text().splitlines()
        told = [json.loads(line) for line in lines]
        name = f"{DAG_ID}.{task_id}"
        return [one for one in told if one["job"]["name"] == name and one["eventType"] == "COMPLETE"]

    return lambda task_id: airflow.wait_until(lambda: events(task_id), f"{task_id} is told")[0]


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


def test_no_data_sets_are_made_up(completed):
    assert (completed("wait")["inputs"], completed("wait")["outputs"]) == ([], [])


def test_the_key_is_in_no_event(completed, airflow, live_simulator):
    completed("result")
    assert live_simulator.world.api_keys[0].key not in (airflow.home / "lineage.jsonl").read_text()
