"""Reconcile a job group in one call, and start its run anew where it fails."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.datarecs.task_groups.reconcile import reconcile

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models.dag import DAG

with DAG(
    dag_id="reconcile_nightly_group",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
):
    reconcile(
        "nightly",
        job_group_id="grp_nightly",
        workspace_id="ws_production",
        max_unmatched_ratio=0.001,
        poke_interval=30,
        timeout=7200,
        reruns=2,
        rerun_delay=timedelta(minutes=5),
    )
