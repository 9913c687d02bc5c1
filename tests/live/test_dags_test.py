"""``airflow dags test``, which runs triggers in the command's own process from Airflow 2.9 on."""

from __future__ import annotations

from airflow_provider_datarecs.compat import AIRFLOW_VERSION

if AIRFLOW_VERSION >= (2, 9):

    def test_dags_test_runs_the_wait_without_a_triggerer(airflow):
        run_ids = {row["run_id"] for row in airflow.rows("select run_id from dag_run")}
        airflow.cli("dags", "test", "reconcile_by_ids", "2024-01-02")
        (row,) = airflow.rows(
            "select run_id, state from dag_run where dag_id = 'reconcile_by_ids' and run_type = 'manual'"
        )
        assert row["state"] == "success"
        assert row["run_id"] not in run_ids
        result = airflow.xcom("reconcile_by_ids", row["run_id"], "wait", "run_result")
        assert result["status"] == "COMPLETED"
