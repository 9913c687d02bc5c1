from __future__ import annotations

import importlib.util
import json
import secrets
import shutil
import socket
import threading

import pytest
from support import DOCUMENTED_DAG, EXAMPLES
from support.airflow import IS_AIRFLOW_3, Airflow
from support.debian import Services

from airflow_provider_datarecs.simulator import ApiKey, Simulator, default_world

LINEAGE = "lineage.jsonl"


@pytest.fixture(scope="session")
def live_simulator():
    world = default_world()
    world.api_keys = [ApiKey(secrets.token_hex(16))]
    with Simulator(world) as simulator:
        yield simulator


class Statsd:
    """Take in what Airflow's processes send as metrics."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.lines = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            self.lines += self._socket.recv(65536).decode().splitlines()

    def names(self):
        return {line.split(":")[0] for line in list(self.lines)}


@pytest.fixture(scope="session")
def statsd():
    return Statsd()


@pytest.fixture(scope="session")
def postgres():
    """
    Run a PostgreSQL where its driver is installed, so that tasks run side by side; else it is None.

    The others use SQLite, as anybody does at first.
    """
    if importlib.util.find_spec("psycopg2") is None:
        yield None
        return
    with Services() as services:
        yield services


@pytest.fixture(scope="session")
def database_of(postgres):
    """Give the settings for the database of an Airflow, by its name."""

    def database_of(name):
        if postgres is None:
            return {}
        url = postgres.new_database(name)
        return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url, "AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}

    return database_of


@pytest.fixture(scope="session")
def airflow(live_simulator, statsd, database_of, tmp_path_factory):
    """Run an Airflow with all examples, against a simulator with a key that occurs nowhere else."""
    folder = tmp_path_factory.mktemp("live")
    dags = folder / "dags"
    shutil.copytree(EXAMPLES, dags, ignore=shutil.ignore_patterns("tests"))
    if IS_AIRFLOW_3:
        # The documentation's text has no start_date, which 2.x does not accept.
        text = DOCUMENTED_DAG.read_text().replace("reconcile_daily", "documented_daily")
        (dags / "as_documented.py").write_text(text)
    api_key = live_simulator.world.api_keys[0].key
    settings = {
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd.port),
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",  # for a DAG file that is changed
    }
    events = {"type": "file", "log_file_path": str(folder / "airflow" / LINEAGE), "append": True}
    lineage = {"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(events)}  # read where its provider is installed
    environ = {**settings, **lineage, **database_of("live")}
    with Airflow(
        folder / "airflow", dags, host=live_simulator.url, api_key=api_key, environ=environ
    ) as airflow:
        yield airflow
