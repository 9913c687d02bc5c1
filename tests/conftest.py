from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import logging
import os
import re
import socket
import subprocess
import sys
import tempfile

# Before anything imports Airflow, which reads them at once.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"

import aiohttp
import pytest
from support.fakes import FakeTaskInstance

import airflow_provider_datarecs
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AIRFLOW_VERSION
from airflow_provider_datarecs.polling import config

# Its conftest needs what only some environments have.
collect_ignore = [] if importlib.util.find_spec("playwright") else ["system/browser"]


def pytest_addoption(parser):
    parser.addoption("--screenshots", metavar="FOLDER", help="take pictures in the browser, into this folder")
    parser.addoption("--stories", type=int, default=1000, help="how many stories are told (default 1000)")
    parser.addoption("--story", type=int, help="the number of the one story to tell")


def pytest_report_header(config):
    """Say what is tested; under tox, make sure that it is the wheel on the right Airflow."""
    import airflow

    environment = os.environ.get("TOX_ENV_NAME", "")
    wanted = re.match(r"[a-z]+(\d+\.\d+)", environment)
    if wanted and not airflow.__version__.startswith(f"{wanted[1]}."):
        pytest.exit(f"this is Airflow {airflow.__version__}, not that of {environment}", returncode=1)
    if environment and "site-packages" not in airflow_provider_datarecs.__file__:
        pytest.exit(f"{airflow_provider_datarecs.__file__} is not the installed wheel", returncode=1)
    return f"airflow {airflow.__version__}, aiohttp {aiohttp.__version__}, python {sys.version.split()[0]}"


def pytest_collection_finish(session):
    """Keep the garbage collector from walking all of Airflow whenever a test has it look for what is left."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def airflow_db():
    """Make Airflow's database, which sensors in reschedule mode ask on 2.x; on 3.x nothing here does."""
    if AIRFLOW_VERSION < (3, 0):
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)


@pytest.fixture
def parse_dags():
    """Parse a DAG file, or a folder of them, as Airflow does."""
    if AIRFLOW_VERSION >= (3, 2):
        from airflow.dag_processing.dagbag import DagBag
    else:
        from airflow.models.dagbag import DagBag
    return lambda path: DagBag(dag_folder=str(path))


@pytest.fixture
def ipv6():
    """Skip where this machine has no IPv6 loopback, as containers often have not."""
    with socket.socket(socket.AF_INET6) as one:
        try:
            one.bind(("::1", 0))
        except OSError:
            pytest.skip("there is no ::1 here")


@pytest.fixture
def polling_config():
    """Have other numbers tune polling, for one test."""
    with contextlib.ExitStack() as stack:
        yield lambda **changes: stack.enter_context(config.override(**changes))


@pytest.fixture
def lines(caplog):
    """
    Give the lines that the provider has logged.

    Others are left out: what an earlier test left open is told when its garbage is collected, in any test.
    """
    caplog.set_level(logging.INFO, "airflow_provider_datarecs")

    def lines():
        return [
            record.getMessage()
            for record in caplog.records
            if record.name.startswith("airflow_provider_datarecs")
        ]

    return lines


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


@pytest.fixture
def started(simulator):
    """Start a run of the ledger job that goes by a plan, and give its id."""

    def started(plan):
        job = simulator.world.owners[TargetKind.JOB]["job_ledger"]
        job.plan = plan
        return simulator.world.start_run(TargetKind.JOB, job).id

    return started
