"""Every documented template field is rendered, and what a template gives that found nothing is refused."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from airflow.models.dag import DAG
from support import fakes

from airflow_provider_datarecs.compat import AIRFLOW_VERSION, AirflowFailException
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.list_jobs import ListJobsOperator
from airflow_provider_datarecs.operators.list_workspaces import ListWorkspacesOperator
from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Fault, Plan

if AIRFLOW_VERSION >= (3, 2):
    from airflow.sdk.exceptions import TaskDeferred
else:
    from airflow.exceptions import TaskDeferred

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


NUMBERS = {"job": 12, "group": 34, "workspace": 7, "run": 56, "ds_nodash": 20240131, "name": 2024, "conn": 1}


class TestNativeObjects:
    """``render_template_as_native_obj=True``, where a template that gives digits gives a number."""

    @pytest.fixture(autouse=True)
    def numbers(self, simulator, connect):
        connect(simulator.url, conn_id="1")
        world = simulator.world
        world.add_workspace("7", "2024")
        world.add_job("12", "2024", "7", Plan(queued=0, running=0))
        world.add_job_group("34", "all", "7", ["12"])

    def run(self, context, cls, **fields):
        start = datetime(2024, 1, 1, tzinfo=timezone.utc)
        with DAG("native", start_date=start, render_template_as_native_obj=True):
            operator = cls(task_id="t", **fields)
        rendered(operator, NUMBERS)
        assert any(isinstance(getattr(operator, field), int) for field in fields)
        return operator.execute(context)

    @pytest.mark.parametrize(
        ("cls", "fields", "path"),
        [
            (TriggerJobRunOperator, {"job_id": "{{ job }}", "workspace_id": "{{ workspace }}"}, "jobs/12"),
            (
                TriggerJobRunByNameOperator,
                {"job_name": "{{ name }}", "workspace_name": "{{ name }}"},
                "jobs/12",
            ),
            (
                TriggerJobGroupRunOperator,
                {"job_group_id": "{{ group }}", "workspace_id": "{{ workspace }}"},
                "job-groups/34",
            ),
        ],
    )
    def test_a_run_is_started(self, simulator, context, ti, cls, fields, path):
        run_id = self.run(context, cls, run_label="{{ ds_nodash }}", conn_id="{{ conn }}", **fields)
        posted = simulator.requests[-1]
        assert posted.path == f"/{path}/run"
        assert json.loads(posted.body) == {"run_label": "20240131"}
        names = ti.xcoms.pop("datarecs_job", {})
        assert all(isinstance(value, str) for value in (*ti.xcoms.values(), *names.values()))
        assert ti.xcoms["run_id"] == run_id

    def test_a_wait_defers_with_text(self, context):
        ids = {"job_id": "{{ job }}", "workspace_id": "{{ workspace }}", "run_id": "{{ run }}"}
        with pytest.raises(TaskDeferred) as deferred:
            self.run(context, JobRunSensor, conn_id="{{ conn }}", **ids)
        _, arguments = deferred.value.trigger.serialize()
        names = ("job_id", "workspace_id", "run_id", "conn_id")
        assert {name: arguments[name] for name in names} == dict(zip(names, ("12", "7", "56", "1")))

    def test_a_wait_on_a_worker_and_a_result_are_of_the_run(self, simulator, context, ti):
        simulator.faults.append(Fault(times=2, status=200, body={"id": 56, "status": "COMPLETED"}))
        ids = {"job_id": "{{ job }}", "workspace_id": "{{ workspace }}", "run_id": "{{ run }}"}
        self.run(context, JobRunSensor, deferrable=False, **ids)
        self.run(context, GetJobRunResultOperator, **ids)
        assert [seen.path for seen in simulator.requests] == ["/jobs/12/runs/56"] * 2
        assert ti.xcoms["run_result"]["status"] == "COMPLETED"

    def test_the_jobs_of_a_workspace_are_listed(self, context):
        (job,) = self.run(context, ListJobsOperator, workspace_id="{{ workspace }}")
        assert job["id"] == "12"

    def test_ids_that_an_answer_gives_as_numbers_can_be_passed_on(self, simulator, context):
        listed = {"id": 12, "name": "n", "workspace_id": 7}
        simulator.faults.append(Fault(status=200, body={"items": [listed]}))
        (job,) = ListJobsOperator(task_id="t").execute(context)
        ids = {"job_id": job["id"], "workspace_id": job["workspace_id"]}
        TriggerJobRunOperator(task_id="t", **ids).execute(context)
        posted = simulator.requests[-1]
        assert (posted.path, posted.query) == ("/jobs/12/run", {"workspace_id": "7"})


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
        fakes.rendered(ListWorkspacesOperator, conn_id=value).execute(context)


def test_a_post_that_met_the_rate_limit_is_repeated_with_its_idempotency_key(simulator, context):
    simulator.faults.append(Fault(method="POST", status=429, headers={"Retry-After": "0"}))
    run_id = TriggerJobRunOperator(task_id="t", job_id="job_ledger", workspace_id="ws_production").execute(
        context
    )
    first, second = simulator.requests
    assert (first.status, second.status) == (429, 201)
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert run_id == "run_000001"
