"""Publish each time that a run has ended and its data agree, whoever has started it. Airflow 3 only."""

from __future__ import annotations

try:
    from airflow.sdk import DAG, Asset, AssetWatcher, task
except ImportError:  # Airflow 2, where publish_after_the_next_run.py does nearly the same
    DAG = None

if DAG is not None:
    from airflow.providers.datarecs.triggers.run_ended import DataRecsRunTrigger

    agreed = DataRecsRunTrigger(
        job_id="job_daily_balance",
        workspace_id="ws_production",
        max_unmatched_ratio=0.001,
    )
    balances = Asset(
        "datarecs://ws_production/job_daily_balance",
        watchers=[AssetWatcher(name="daily_balance_agrees", trigger=agreed)],
    )

    with DAG(dag_id="publish_each_run_that_agrees", schedule=balances, catchup=False):

        @task
        def publish(triggering_asset_events=None):
            """Tell which runs have made this DAG start; there may be several."""
            for event in triggering_asset_events[balances]:
                run = event.extra["payload"]
                print(f"run {run['run_id']}: {run['result']['rows_unmatched']} rows unmatched")

        publish()
