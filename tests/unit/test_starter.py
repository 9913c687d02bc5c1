"""Which task starts the run anew, as far as the DAG tells."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from airflow.models.dag import DAG

from airflow_provider_datarecs.compat import AIRFLOW_VERSION
from airflow_provider_datarecs.mixins.starter import how_to_start_anew
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.task_groups.reconcile import reconcile

if AIRFLOW_VERSION >= (3, 0):
    from airflow.sdk import task_group
else:
    from airflow.decorators import task_group

pytestmark = pytest.mark.compat

JOB = {"job_id": "j", "workspace_id": "w"}
RUN = {**JOB, "run_id": "{{ ti.xcom_pull(task_ids='start', key='run_id') }}"}


@pytest.fixture
def dag():
    with DAG(dag_id="dag", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)) as dag:
        yield dag


def test_a_task_outside_of_any_dag_tells_it_in_general_words():
    assert "clear the task that starts it, and what follows;" in how_to_start_anew(
        JobRunSensor(task_id="wait", **RUN)
    )


@pytest.mark.parametrize("name", ["wait", "result"])
def test_the_tasks_of_reconcile_name_its_trigger(dag, name):
    reconcile("ledger", **JOB)
    told = how_to_start_anew(dag.get_task(f"ledger.{name}"))
    assert "clear 'ledger.trigger', and what follows; a retry or clear of this task alone" in told


def test_the_nearest_task_that_starts_runs_of_the_kind_is_named(dag):
    first, second = (TriggerJobRunOperator(task_id=name, **JOB) for name in ("first", "second"))
    group = TriggerJobGroupRunOperator(task_id="group", job_group_id="g", workspace_id="w")
    wait = JobRunSensor(task_id="wait", **RUN)
    result = GetJobRunResultOperator(task_id="result", **RUN)
    of_group = JobGroupRunSensor(task_id="of_group", job_group_id="g", workspace_id="w", run_id="r")
    group >> first >> second >> wait >> result >> of_group
    assert "clear 'second', and" in how_to_start_anew(wait)
    assert "clear 'second', and" in how_to_start_anew(result)
    assert "clear 'group', and" in how_to_start_anew(of_group)


def test_where_several_may_have_started_it_each_is_named(dag):
    starts = [TriggerJobRunOperator(task_id=name, **JOB) for name in ("b", "a")]
    wait = JobRunSensor(task_id="wait", **RUN)
    starts >> wait
    assert "clear 'a' or 'b', and" in how_to_start_anew(wait)


def test_without_such_a_task_before_it_nothing_is_made_up(dag):
    wait = JobRunSensor(task_id="wait", **RUN)
    wait >> TriggerJobRunOperator(task_id="after", **JOB)
    assert "clear the task that starts it, and" in how_to_start_anew(wait)


def test_of_mapped_tasks_only_the_one_of_this_run_is_to_be_cleared(dag):
    start = TriggerJobRunOperator.partial(task_id="start", workspace_id="w").expand(job_id=["j", "k"])
    wait = JobRunSensor(task_id="wait", **RUN)
    start >> wait

    @task_group
    def each(job_id):
        reconcile("job", job_id=job_id, workspace_id="w")

    each.expand(job_id=["j", "k"])
    assert "clear 'start', at the map index of this run, and" in how_to_start_anew(wait)
    told = how_to_start_anew(dag.get_task("each.job.wait"))
    assert "clear 'each.job.trigger', at the map index of this run, and" in told
