"""Start a job by its ids, with a label that tells the nights apart at DataRecs, and no other run has."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models.dag import DAG

with DAG(
    dag_id="reconcile_by_ids",
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    catchup=False,
):
    trigger = TriggerJobRunOperator(
        task_id="trigger",
        job_id="job_daily_balance",
        workspace_id="ws_production",
        run_label="nightly {{ run_id }} {{ dag_run.start_date }} {{ ti.max_tries - task.retries }}",
        unique_label=True,  # no other run has this label, so that one whose answer is lost is found by it
    )

    wait = JobRunSensor(
        task_id="wait",
        job_id="job_daily_balance",
        workspace_id="ws_production",
        run_id="{{ ti.xcom_pull(task_ids='trigger', key='run_id') }}",
        poke_interval=30,
        timeout=7200,
        end_from_trigger=True,  # without a second worker, where Airflow can
    )

    trigger >> wait
