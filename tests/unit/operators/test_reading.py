"""The operators that list, and the one that gets a result."""

from __future__ import annotations

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AirflowException
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.list_jobs import ListJobsOperator
from airflow_provider_datarecs.operators.list_workspaces import ListWorkspacesOperator
from airflow_provider_datarecs.simulator import Plan


def start(simulator, plan):
    world = simulator.world
    world.add_job("j", "job", "ws_production", plan)
    return world.start_run(TargetKind.JOB, world.owners[TargetKind.JOB]["j"]).id


def get_result(run_id):
    return GetJobRunResultOperator(task_id="t", job_id="j", workspace_id="ws_production", run_id=run_id)


def test_workspaces_are_pushed_and_returned(simulator, context, ti):
    simulator.world.behaviour.key_style = "camel"
    simulator.world.add_workspace("ws_3", "Third", ownerName="Ada")
    found = ListWorkspacesOperator(task_id="t").execute(context)
    assert found == ti.xcoms["workspaces"]
    assert found[2] == {"id": "ws_3", "name": "Third", "owner_name": "Ada"}


@pytest.mark.parametrize(("workspace_id", "count"), [(None, 4), ("ws_production", 3), ("ws_staging", 1)])
@pytest.mark.parametrize("filters", [True, False])
def test_jobs_of_a_workspace_or_of_all_are_pushed_and_returned(
    simulator, context, ti, workspace_id, count, filters
):
    simulator.world.behaviour.filters_jobs = filters
    simulator.world.behaviour.page_size = 1
    found = ListJobsOperator(task_id="t", workspace_id=workspace_id).execute(context)
    assert found == ti.xcoms["jobs"]
    assert len(found) == count
    assert {job["workspace_id"] for job in found} == (
        {workspace_id} if workspace_id else {"ws_production", "ws_staging"}
    )


def test_the_result_of_a_completed_run_has_all_its_fields(simulator, context, ti):
    run_id = start(simulator, Plan(queued=0, running=0, rows_processed=10, rows_matched=7, rows_unmatched=3))
    result = get_result(run_id).execute(context)
    assert result == ti.xcoms["run_result"]
    assert result.pop("started_at") <= result.pop("completed_at")
    assert result == {
        "run_id": run_id,
        "job_id": "j",
        "workspace_id": "ws_production",
        "status": "COMPLETED",
        "rows_processed": 10,
        "rows_matched": 7,
        "rows_unmatched": 3,
        "error": None,
    }


@pytest.mark.parametrize("error", ["disk full", {"code": "E1", "message": "disk full"}, None])
def test_the_result_of_a_failed_run_has_the_error_as_it_came(simulator, context, error):
    run_id = start(simulator, Plan(queued=0, running=0, status="FAILED", error=error))
    result = get_result(run_id).execute(context)
    assert (result["status"], result["error"], result["rows_matched"]) == ("FAILED", error, None)


@pytest.mark.parametrize(
    ("plan", "status"), [(Plan(queued=99), "QUEUED"), (Plan(queued=0, running=99), "RUNNING")]
)
def test_a_run_that_is_not_finished_has_no_result(simulator, context, ti, plan, status):
    run_id = start(simulator, plan)
    with pytest.raises(AirflowException, match=f"^Not finished .status {status}.*{run_id!r}.*JobRunSensor"):
        get_result(run_id).execute(context)
    assert ti.xcoms == {}


def test_one_request_gets_a_result(simulator, context):
    run_id = start(simulator, Plan(queued=0, running=0))
    get_result(run_id).execute(context)
    assert [seen.path for seen in simulator.requests] == [f"/jobs/j/runs/{run_id}"]


@pytest.mark.parametrize(
    ("operator", "fields"),
    [
        (ListWorkspacesOperator, {"conn_id"}),
        (ListJobsOperator, {"workspace_id", "conn_id"}),
        (
            GetJobRunResultOperator,
            {
                "job_id",
                "workspace_id",
                "run_id",
                "max_unmatched_rows",
                "max_unmatched_ratio",
                "on_unmatched",
                "conn_id",
            },
        ),
    ],
)
def test_every_id_and_limit_is_a_template(operator, fields):
    assert set(operator.template_fields) == fields
