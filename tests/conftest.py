from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

# Before anything imports Airflow, which reads them at once.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"

import aiohttp
import pytest

pytest_plugins = ["airflow_provider_datarecs.simulator.pytest_plugin"]

AIOHTTP = tuple(int(part) for part in aiohttp.__version__.split(".")[:2])
ROOT = Path(__file__).parent.parent


def pytest_configure(config):
    config.addinivalue_line("markers", "aioresponses: answers that no real server can easily send")
    config.addinivalue_line("markers", "live: needs a real Airflow, which takes its time")


def pytest_report_header(config):
    import airflow

    lines = [f"airflow {airflow.__version__}, aiohttp {aiohttp.__version__}, python {sys.version.split()[0]}"]
    if AIOHTTP >= (3, 14):
        lines.append(
            "deselected: tests marked aioresponses, whose newest release fails with aiohttp 3.14 and later"
        )
    return lines


def pytest_collection_modifyitems(config, items):
    if AIOHTTP >= (3, 14):
        unable = [item for item in items if item.get_closest_marker("aioresponses")]
        config.hook.pytest_deselected(items=unable)
        items[:] = [item for item in items if item not in unable]


class FakeTaskInstance(SimpleNamespace):
    """What an operator asks of its task instance; outside a real Airflow there is no other."""

    def __init__(self, **more):
        super().__init__(
            dag_id="dag",
            run_id="manual",
            task_id="task",
            map_index=-1,
            max_tries=0,
            try_number=1,
            xcoms={},
            **more,
        )

    def xcom_push(self, key, value):
        self.xcoms[key] = json.loads(json.dumps(value))  # as Airflow stores it

    def get_first_reschedule_date(self, context):
        return None


@pytest.fixture(scope="session")
def airflow_db():
    """Make Airflow's database, which sensors in reschedule mode ask on 2.x."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)


@pytest.fixture
def ti():
    return FakeTaskInstance()


@pytest.fixture
def context(ti):
    return {"ti": ti}


@pytest.fixture
def connect(monkeypatch):
    """Set the fields of the connection ``datarecs_default``."""

    def connect(host, password="demo-key", conn_id="datarecs_default", **fields):
        content = {"conn_type": "datarecs", "host": host, "password": password, **fields}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(content))

    return connect


@pytest.fixture
def simulator(datarecs_simulator, connect):
    """A simulated DataRecs that the connection ``datarecs_default`` leads to."""
    connect(datarecs_simulator.url)
    return datarecs_simulator
