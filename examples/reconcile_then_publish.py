"""Publish balances only if the data agree, and wake the DAGs that wait for that."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.datarecs.task_groups.reconcile import reconcile

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models.dag import DAG

try:
    from airflow.sdk import Asset
except ImportError:  # Airflow 2
    from airflow.datasets import Dataset as Asset

RECONCILED_BALANCES = Asset("datarecs://production/daily-balance-check")

with DAG(
    dag_id="reconcile_then_publish",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
):
    balances = reconcile(
        "balances",
        workspace_name="Production",
        job_name="daily-balance-check",
        max_unmatched_ratio=0.001,
        outlets=[RECONCILED_BALANCES],
        poke_interval=30,
        timeout=7200,
    )

    @task
    def publish(ti=None):
        result = ti.xcom_pull(task_ids="balances.result", key="run_result")
        print(f"publishing {result['rows_matched']} balances")

    balances >> publish()
