from __future__ import annotations

import secrets
import shutil
from pathlib import Path

import pytest
from support.airflow import Airflow

from airflow_provider_datarecs.compat.task_starts import TRIGGERS_CAN_START_TASKS
from airflow_provider_datarecs.simulator import ApiKey, Simulator, World

NOT_HERE = ("__pycache__",) if TRIGGERS_CAN_START_TASKS else ("__pycache__", "beginning.py")
DAGS = Path(__file__).with_name("dags")


@pytest.fixture(scope="package")
def world():
    world = World(api_keys=[ApiKey(secrets.token_hex(16))])
    world.add_workspace("ws_production", "Production")
    return world


@pytest.fixture(scope="package")
def airflow(world, database_of, tmp_path_factory):
    """Run an Airflow of their own: on that of the other tests OpenLineage listens to what workers do."""
    folder = tmp_path_factory.mktemp("slots")
    dags = folder / "dags"
    shutil.copytree(DAGS, dags, ignore=shutil.ignore_patterns(*NOT_HERE))
    key = world.api_keys[0].key
    with Simulator(world) as simulator, Airflow(
        folder / "airflow", dags, host=simulator.url, api_key=key, environ=database_of("slots")
    ) as airflow:
        console = "https://app.datarecs.example"
        airflow.set_connection("with_console", simulator.url, key, console_url=console)
        yield airflow
