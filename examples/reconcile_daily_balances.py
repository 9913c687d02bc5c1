from __future__ import annotations

from datetime import datetime

from airflow.models.dag import DAG
from airflow.models.param import Param
from airflow.providers.datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow.providers.datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

with DAG(
    dag_id="reconcile_daily_balances",
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    catchup=False,
    tags=["datarecs"],
    params={
        "workspace_name": Param("Production", type="string"),
        "job_name": Param("daily-balance-check", type="string"),
    },
) as dag:
    trigger = TriggerJobRunByNameOperator(
        task_id="trigger",
        workspace_name="{{ params.workspace_name }}",
        job_name="{{ params.job_name }}",
    )

    wait = JobRunSensor(
        task_id="wait",
        job_id="{{ ti.xcom_pull(task_ids='trigger', key='job_id') }}",
        workspace_id="{{ ti.xcom_pull(task_ids='trigger', key='workspace_id') }}",
        run_id="{{ ti.xcom_pull(task_ids='trigger', key='run_id') }}",
        poke_interval=30,
        timeout=7200,
    )

    result = GetJobRunResultOperator(
        task_id="result",
        job_id="{{ ti.xcom_pull(task_ids='trigger', key='job_id') }}",
        workspace_id="{{ ti.xcom_pull(task_ids='trigger', key='workspace_id') }}",
        run_id="{{ ti.xcom_pull(task_ids='trigger', key='run_id') }}",
    )

    trigger >> wait >> result
