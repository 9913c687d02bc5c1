"""The way from a clone to a green DAG, word for word as ``docs/start.md`` has it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support import ROOT
from support.airflow import free_port, is_open

from airflow_provider_datarecs.compat import AIRFLOW_VERSION

pytestmark = pytest.mark.wheel

SECTION = (ROOT / "docs" / "start.md").read_text().partition("## From a clone")[2].partition("\n## ")[0]
INSTALL, SIMULATOR, AIRFLOW, SWITCH_ON, LOOK = re.findall(
    r"^```sh\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE
)
# What this project's own environment has installed for pip's lines is faster, and takes the same arguments.
FASTER = 'pip() { .venv/bin/uv pip "$@"; }\n'
NOT_OF_A_CLONE = (
    ".*_cache",
    ".demo",
    ".git",
    ".tox",
    ".venv",
    "__pycache__",
    "_build",
    "dist",
    "node_modules",
)
SIMULATOR_PORT = 8790  # as the page says


@pytest.fixture
def clone(tmp_path):
    return Path(shutil.copytree(ROOT, tmp_path / "clone", ignore=shutil.ignore_patterns(*NOT_OF_A_CLONE)))


@pytest.fixture
def environ():
    """That of a new terminal, but for the ports that Airflow serves on, and its patience."""
    port = free_port()
    ours = ("AIRFLOW", "PYTEST", "PYTHON", "TOX", "VIRTUAL_ENV", "MAKE", "MFLAGS", "COV")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "PATH": os.pathsep.join([str(Path(sys.base_prefix) / "bin"), os.environ["PATH"]]),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
    }


@pytest.fixture
def typed(clone, environ):
    """Type commands into a terminal of their own, and give what they print."""

    def typed(commands):
        done = subprocess.run(
            ["bash", "-ec", commands], cwd=clone, env=environ, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return typed


@pytest.fixture
def running(clone, environ):
    """Leave commands running in a terminal of their own; gives the file with what they print."""

    @contextmanager
    def running(commands, name):
        output = clone / f"{name}.log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-ec", commands],
                cwd=clone,
                env=environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                yield output
            finally:
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    return running


def wait_until(reached, output, seconds):
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, output.read_text()[-6000:]
        time.sleep(0.5)


def column(database, query):
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return {value for (value,) in connection.execute(query)}
    except sqlite3.OperationalError:  # before it is there
        return set()


if AIRFLOW_VERSION >= (3, 3):  # it brings the Airflow that it names, so that once is enough

    def test_it_leads_to_a_green_dag(clone, typed, running, environ):
        assert not is_open(SIMULATOR_PORT), "something else listens where the page has the simulator"
        typed(FASTER + INSTALL)
        with running(SIMULATOR, "simulator") as simulator:
            wait_until(lambda: is_open(SIMULATOR_PORT), simulator, seconds=60)
            with running(AIRFLOW, "airflow") as airflow:
                database = clone / "try" / "airflow" / "airflow.db"
                page_is_there = lambda: is_open(int(environ["AIRFLOW__API__PORT"]))  # noqa: E731
                shows_dag = lambda: column(database, "select dag_id from dag") and page_is_there()  # noqa: E731
                wait_until(shows_dag, airflow, seconds=180)
                typed(SWITCH_ON)
                ended = lambda: column(database, "select state from dag_run") & {"success", "failed"}  # noqa: E731
                wait_until(ended, airflow, seconds=240)
                told = typed(SWITCH_ON.partition("airflow dags")[0] + LOOK)  # the same terminal
        assert "success" in told
        assert re.search(r"COMPLETED.*\b12\b", told)
        assert re.search(
            r"POST /jobs/job_daily_balance/run 201: started run run_000001", simulator.read_text()
        )
