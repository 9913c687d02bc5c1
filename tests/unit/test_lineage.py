"""What tasks tell Airflow's OpenLineage provider, where it is installed."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from airflow_provider_datarecs.compat import AirflowException
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Plan

pytest.importorskip("airflow.providers.openlineage")

WHERE = {"task_id": "t", "workspace_id": "ws_production"}


@pytest.fixture
def told(simulator):
    """Give the facets of a task as they are sent."""
    from openlineage.client.serde import Serde

    def told(task):
        lineage = task.get_openlineage_facets_on_complete(None)
        assert (lineage.inputs, lineage.outputs) == ([], [])
        sent = {name: json.loads(Serde.to_json(facet)) for name, facet in lineage.run_facets.items()}
        assert "demo-key" not in str(sent)
        return {
            name: {key: value for key, value in facet.items() if not key.startswith("_")}
            for name, facet in sent.items()
        }

    return told


def test_a_started_group_run_is_told_by_its_ids(simulator, context, told):
    task = TriggerJobGroupRunOperator(job_group_id="grp_nightly", **WHERE)
    run_id = task.execute(context)
    assert told(task) == {
        "externalQuery": {"externalQueryId": run_id, "source": urlsplit(simulator.url).netloc},
        "datarecs_run": {"run_id": run_id, "job_group_id": "grp_nightly", "workspace_id": "ws_production"},
    }


def test_a_run_that_failed_is_told_as_well(context, started, told):
    run_id = started(Plan(queued=0, running=0, status="FAILED"))
    task = JobRunSensor(job_id="job_ledger", run_id=run_id, deferrable=False, **WHERE)
    with pytest.raises(AirflowException, match="FAILED"):
        task.execute(context)
    facet = told(task)["datarecs_run"]
    assert (facet["run_id"], facet["job_id"], facet["status"]) == (run_id, "job_ledger", "FAILED")


def test_a_result_is_told(context, started, told):
    run_id = started(Plan(queued=0, running=0, rows_unmatched=4))
    task = GetJobRunResultOperator(job_id="job_ledger", run_id=run_id, **WHERE)
    result = task.execute(context)
    ids = {"run_id": run_id, "job_id": "job_ledger", "workspace_id": "ws_production"}
    assert result.pop("error") is None
    assert result["rows_unmatched"] == 4
    assert told(task)["datarecs_run"] == {**ids, **result}


def test_a_wait_that_ended_without_its_run_is_told_without_a_result(context, started, told):
    task = JobRunSensor(job_id="job_ledger", run_id="r", **WHERE)
    with pytest.raises(AirflowException):
        task.execute_complete(context, None)
    run = {"run_id": "r", "job_id": "job_ledger", "workspace_id": "ws_production"}
    assert told(task)["datarecs_run"] == run


def test_before_a_run_is_known_nothing_is_told(told):
    task = JobRunSensor(job_id="job_ledger", run_id="{{ not_rendered }}", **WHERE)
    assert task.get_openlineage_facets_on_start().run_facets == {}
    assert told(task) == {}
