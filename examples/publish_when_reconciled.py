"""Publish each time that another DAG, here reconcile_then_publish, has found that the data agree."""

from __future__ import annotations

from datetime import datetime

try:
    from airflow.sdk import DAG, Asset, task
except ImportError:  # Airflow 2
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import task
    from airflow.models.dag import DAG

RECONCILED_BALANCES = Asset("datarecs://production/daily-balance-check")

with DAG(
    dag_id="publish_when_reconciled",
    schedule=[RECONCILED_BALANCES],
    start_date=datetime(2024, 1, 1),
    catchup=False,
):

    @task
    def publish():
        """Use the tables that were compared."""
        print("publishing what was reconciled")

    publish()
