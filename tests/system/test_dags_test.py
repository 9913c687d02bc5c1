"""``airflow dags test``, which runs triggers in the command's own process from Airflow 2.9 on."""

from __future__ import annotations

import shutil

import pytest
from support import EXAMPLES
from support.airflow import Airflow

from airflow_provider_datarecs.compat import AIRFLOW_VERSION

pytestmark = pytest.mark.airflow

EXAMPLE = EXAMPLES / "reconcile_by_ids.py"

if AIRFLOW_VERSION >= (2, 9):

    def test_dags_test_runs_the_wait_without_a_triggerer(live_simulator, tmp_path):
        dags = tmp_path / "dags"
        dags.mkdir()
        shutil.copy(EXAMPLE, dags)
        key = live_simulator.world.api_keys[0].key
        # No scheduler beside it, which would take the tasks of the same run.
        with Airflow(
            tmp_path / "airflow", dags, host=live_simulator.url, api_key=key, components=()
        ) as airflow:
            airflow.cli("dags", "test", "reconcile_by_ids", "2024-01-02")
            (row,) = airflow.rows("select run_id, state from dag_run where dag_id = 'reconcile_by_ids'")
            assert row["state"] == "success"
            result = airflow.xcom("reconcile_by_ids", row["run_id"], "wait", "run_result")
        assert result["status"] == "COMPLETED"
