"""Every documented template field is rendered, and what a template gives that found nothing is refused."""

from __future__ import annotations

import pytest

from airflow_provider_datarecs.compat import AirflowFailException
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.list_jobs import ListJobsOperator
from airflow_provider_datarecs.operators.list_workspaces import ListWorkspacesOperator
from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor

FIELDS = {
    TriggerJobRunOperator: ["job_id", "workspace_id", "run_label", "conn_id"],
    TriggerJobRunByNameOperator: ["workspace_name", "job_name", "run_label", "conn_id"],
    TriggerJobGroupRunOperator: ["job_group_id", "workspace_id", "run_label", "conn_id"],
    ListWorkspacesOperator: ["conn_id"],
    ListJobsOperator: ["workspace_id", "conn_id"],
    GetJobRunResultOperator: ["job_id", "workspace_id", "run_id", "conn_id"],
    JobRunSensor: ["job_id", "workspace_id", "run_id", "conn_id"],
    JobGroupRunSensor: ["job_group_id", "workspace_id", "run_id", "conn_id"],
}


def rendered(operator, context):
    operator.render_template_fields(context)
    return operator


@pytest.mark.parametrize(("cls", "fields"), FIELDS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_every_id_name_label_and_connection_is_rendered(cls, fields):
    operator = cls(task_id="t", **{field: f"{{{{ params['{field}'] }}}}" for field in fields})
    rendered(operator, {"params": {field: f"the {field}" for field in fields}})
    assert {field: getattr(operator, field) for field in fields} == {
        field: f"the {field}" for field in fields
    }


def test_the_rendered_values_are_what_is_sent(simulator, connect, context):
    connect(simulator.url, conn_id="other")
    connect("http://127.0.0.1:1")
    operator = TriggerJobRunOperator(
        task_id="t",
        job_id="{{ job }}",
        workspace_id="{{ workspace }}",
        run_label="nightly-{{ ds }}",
        conn_id="{{ conn }}",
    )
    values = {"job": "job_ledger", "workspace": "ws_production", "ds": "2024-01-31", "conn": "other"}
    rendered(operator, values).execute(context)
    (posted,) = simulator.requests
    assert (posted.path, posted.query["workspace_id"]) == ("/jobs/job_ledger/run", "ws_production")
    assert posted.body == '{"run_label": "nightly-2024-01-31"}'


@pytest.mark.parametrize("field", ["job_id", "workspace_id", "run_label"])
def test_a_template_that_found_nothing_starts_no_run(simulator, context, field):
    arguments = {"job_id": "job_ledger", "workspace_id": "ws_production", field: "{{ nothing }}"}
    operator = rendered(TriggerJobRunOperator(task_id="t", **arguments), {"nothing": None})
    with pytest.raises(AirflowFailException, match=f"{field} is 'None': its template found nothing"):
        operator.execute(context)
    assert simulator.requests == []


@pytest.mark.parametrize("value", [None, "None"])
def test_a_workspace_that_its_template_did_not_find_does_not_list_all_jobs(simulator, context, value):
    operator = ListJobsOperator(task_id="t", workspace_id="{{ nothing }}")
    operator.workspace_id = value  # None, where templates are rendered as native objects
    with pytest.raises(AirflowFailException, match=f"workspace_id is {value!r}"):
        operator.execute(context)
    assert simulator.requests == []


@pytest.mark.parametrize("value", [None, "None", "", " "])
def test_a_connection_that_its_template_did_not_find_is_named(context, value):
    with pytest.raises(AirflowFailException, match=r"conn_id is .*"):
        ListWorkspacesOperator(task_id="t", conn_id=value).execute(context)


def test_a_post_that_met_the_rate_limit_is_repeated_with_its_idempotency_key(simulator, context):
    from airflow_provider_datarecs.simulator import Fault

    simulator.faults.append(Fault(method="POST", status=429, headers={"Retry-After": "0"}))
    run_id = TriggerJobRunOperator(task_id="t", job_id="job_ledger", workspace_id="ws_production").execute(
        context
    )
    first, second = simulator.requests
    assert (first.status, second.status) == (429, 201)
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert run_id == "run_000001"
