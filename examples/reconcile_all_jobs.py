"""Fan out over the jobs of a workspace with dynamic task mapping: start each, then wait for each."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.datarecs.operators.list_jobs import ListJobsOperator
from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models.dag import DAG

WORKSPACE_ID = "ws_staging"
# Airflow's pages show the job's name in place of a number. As a default argument, since Airflow before 2.9
# does not know it.
BY_NAME = {"map_index_template": "{{ ti.xcom_pull(task_ids='list_jobs', key='jobs')[ti.map_index]['name'] }}"}


def job_id_of(job):
    return {"job_id": job["id"]}


def ids_of(started):
    job, run_id = started
    return {"job_id": job["id"], "run_id": run_id}


with DAG(
    dag_id="reconcile_all_jobs",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
):
    list_jobs = ListJobsOperator(task_id="list_jobs", workspace_id=WORKSPACE_ID)

    # Each operator returns its main value, so that the next can be mapped over it.
    trigger = TriggerJobRunOperator.partial(
        task_id="trigger",
        default_args=BY_NAME,
        workspace_id=WORKSPACE_ID,
    ).expand_kwargs(list_jobs.output.map(job_id_of))

    JobRunSensor.partial(
        task_id="wait",
        default_args=BY_NAME,
        workspace_id=WORKSPACE_ID,
        poke_interval=30,
        timeout=7200,
    ).expand_kwargs(list_jobs.output.zip(trigger.output).map(ids_of))
