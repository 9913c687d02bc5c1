from __future__ import annotations

import secrets
import shutil
from pathlib import Path

import pytest
from rig import IS_AIRFLOW_3, Airflow

from airflow_provider_datarecs.simulator import ApiKey, Simulator, default_world

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture(scope="session")
def live_simulator():
    world = default_world()
    world.api_keys = [ApiKey(secrets.token_hex(16))]
    with Simulator(world) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def airflow(live_simulator, tmp_path_factory):
    """Run an Airflow with all examples, against a simulator with a key that occurs nowhere else."""
    folder = tmp_path_factory.mktemp("live")
    dags = folder / "dags"
    shutil.copytree(EXAMPLES, dags)
    if IS_AIRFLOW_3:
        # The documentation's text has no start_date, which 2.x does not accept.
        text = (EXAMPLES / "reconcile_daily_balances.py").read_text()
        text = text.replace("    start_date=datetime(2024, 1, 1),\n", "").replace(
            "reconcile_daily", "documented_daily"
        )
        (dags / "as_documented.py").write_text(text)
    api_key = live_simulator.world.api_keys[0].key
    with Airflow(folder / "airflow", dags, host=live_simulator.url, api_key=api_key) as airflow:
        yield airflow
