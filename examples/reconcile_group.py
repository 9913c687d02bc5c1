"""Start all jobs of a group and wait for all of them."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow.providers.datarecs.sensors.job_group_run import JobGroupRunSensor

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models.dag import DAG

with DAG(
    dag_id="reconcile_group",
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    catchup=False,
    default_args={"unique_label": True, "cancel_run_on_kill": True},
):
    trigger = TriggerJobGroupRunOperator(
        task_id="trigger",
        job_group_id="grp_nightly",
        workspace_id="ws_production",
    )

    wait = JobGroupRunSensor(
        task_id="wait",
        job_group_id="grp_nightly",
        workspace_id="ws_production",
        run_id="{{ ti.xcom_pull(task_ids='trigger', key='run_id') }}",
        poke_interval=30,
        timeout=7200,
    )

    trigger >> wait
