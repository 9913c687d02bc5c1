"""Load a day, then reconcile it; and by a backfill the days that have passed, one after another."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.datarecs.task_groups.reconcile import reconcile

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models.dag import DAG

with DAG(
    dag_id="reconcile_past_days",
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,  # so that a day's data stay in place until they are compared
):

    @task
    def load(ds=None):
        """Put the day's data where the job at DataRecs compares them."""
        print(f"loading the balances of {ds}")

    load() >> reconcile(
        "balances",
        workspace_name="Production",
        job_name="daily-balance-check",
        run_label="balances of {{ ds }}",
        max_unmatched_ratio=0.001,
        poke_interval=30,
        timeout=7200,
    )
