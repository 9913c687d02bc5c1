"""Wait for the run that DataRecs starts by its own schedule, and publish when the data agree."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.datarecs.sensors.job_next_run import JobNextRunSensor

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models.dag import DAG

with DAG(
    dag_id="publish_after_the_next_run",
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    catchup=False,
):
    wait = JobNextRunSensor(
        task_id="wait",
        job_id="job_daily_balance",
        workspace_id="ws_production",
        after="{{ dag_run.start_date }}",
        max_unmatched_ratio=0.001,
        timeout=12 * 3600,
    )

    @task
    def publish(reconciled):
        """Use the tables that were compared."""
        print(f"run {reconciled} says that the data agree")

    publish(wait.output["run_id"])
