"""Ask DataRecs from a task of your own: the jobs of each workspace, by name."""

from __future__ import annotations

from datetime import datetime

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow.decorators import task
    from airflow.models.dag import DAG

with DAG(
    dag_id="reconcile_with_the_hook",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
):

    @task
    def jobs_by_workspace():
        from airflow.providers.datarecs.hooks.datarecs import DataRecsHook

        hook = DataRecsHook(conn_id="datarecs_default")
        return {
            workspace["name"]: [job["name"] for job in hook.list_jobs(workspace["id"])]
            for workspace in hook.list_workspaces()
        }

    jobs_by_workspace()
