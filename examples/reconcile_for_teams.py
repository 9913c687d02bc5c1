"""Reconcile for several teams, each with a connection and so an API key and a rate limit of its own."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.datarecs.task_groups.reconcile import reconcile

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models.dag import DAG

JOBS = {
    "finance": {"workspace_name": "Production", "job_name": "daily-balance-check"},
    "risk": {"workspace_name": "Staging", "job_name": "daily-balance-check"},
}

with DAG(
    dag_id="reconcile_for_teams",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
):
    for team, job in JOBS.items():
        reconcile(
            team,
            **job,
            conn_id=f"datarecs_{team}",
            max_unmatched_ratio=0.001,
            poke_interval=30,
            timeout=7200,
            default_args={"owner": team},
        )
