"""Find workspaces and jobs at run time: run the first job of the first workspace."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.datarecs.operators.list_jobs import ListJobsOperator
from airflow.providers.datarecs.operators.list_workspaces import ListWorkspacesOperator
from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models.dag import DAG

with DAG(
    dag_id="reconcile_first_job",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
):
    list_workspaces = ListWorkspacesOperator(task_id="list_workspaces")

    list_jobs = ListJobsOperator(
        task_id="list_jobs",
        workspace_id="{{ ti.xcom_pull(task_ids='list_workspaces', key='workspaces')[0]['id'] }}",
    )

    trigger = TriggerJobRunOperator(
        task_id="trigger",
        job_id="{{ ti.xcom_pull(task_ids='list_jobs', key='jobs')[0]['id'] }}",
        workspace_id="{{ ti.xcom_pull(task_ids='list_workspaces', key='workspaces')[0]['id'] }}",
    )

    list_workspaces >> list_jobs >> trigger
