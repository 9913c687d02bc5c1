"""An Airflow of two servers and two triggerers on PostgreSQL, which notes when tasks change their state."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from support.airflow import Airflow, free_port
from support.airflow_settings import IS_AIRFLOW_3
from support.noted_states import note_states

HERE = Path(__file__).resolve().parent
SERVER = "api-server" if IS_AIRFLOW_3 else "webserver"
COMPONENTS = (
    f"{SERVER}.1", f"{SERVER}.2", *(["dag-processor"] if IS_AIRFLOW_3 else []),
    "triggerer.1", "triggerer.2", "scheduler",
)  # fmt: skip
TRIGGER = "airflow_provider_datarecs.triggers.job_run.JobRunTrigger"
PATH = "/datarecs/events"
HEALTH = "/api/v2/monitor/health" if IS_AIRFLOW_3 else "/health"
STARTING = 60.0  # seconds that servers get
DAG = """
from datetime import datetime
from airflow.models.dag import DAG
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

runs = [{{"job_id": f"{name}_job_{{n}}", "run_id": f"{name}_run_{{n}}"}} for n in range({waits})]
with DAG("{name}", schedule=None, start_date=datetime(2024, 1, 1)):
    JobRunSensor.partial(
        task_id="wait", conn_id="{name}", workspace_id="ws_production", timeout=7200
    ).expand_kwargs(runs)
"""


def settings(database: str, waits: int, conn_ids: list[str]) -> dict[str, str]:
    """
    Give the environment variables that make it what it is.

    :param database: the URL of PostgreSQL
    :param waits: how many waits there are at a time, which both triggerers share
    :param conn_ids: the connections that may have events
    """
    capacity = str(waits * 6 // 10 + 1)
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__CORE__MAX_MAP_LENGTH": str(max(1024, waits)),
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "600",
        "AIRFLOW__TRIGGERER__CAPACITY": capacity,
        "AIRFLOW__TRIGGERER__DEFAULT_CAPACITY": capacity,
        "AIRFLOW__DATARECS__WEBHOOKS": ",".join(conn_ids),
    }


class Deployment(Airflow):
    """The Airflow; the second server has a port of its own."""

    second_port: int

    def __enter__(self) -> Deployment:
        self.second_port = free_port()
        super().__enter__()
        note_states(self.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
        self.wait_until(lambda: all(answers(port) for port in self.ports), "both servers answer", STARTING)
        return self

    @property
    def ports(self) -> tuple[int, int]:
        """The ports of both servers."""
        return self.port, self.second_port

    def environ_of(self, component: str) -> dict[str, str]:
        """Give the environment variables of a component."""
        if component != f"{SERVER}.2":
            return self.environ
        port = str(self.second_port)
        return {**self.environ, "AIRFLOW__API__PORT": port, "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": port}

    def add_waits(self, name: str, waits: int) -> None:
        """Have so many tasks wait that are deferred, each for the run of its number."""
        query = "select 1 from serialized_dag where dag_id = :dag_id"
        self.wait_until(lambda: self.rows(query, dag_id=name), f"DAG {name} is parsed")
        self.cli("dags", "trigger", name, "--run-id", "run")
        now = time.time()
        arguments = [
            {
                "job_id": f"{name}_job_{number}", "workspace_id": "ws_production",
                "run_id": f"{name}_run_{number}", "conn_id": name,
                "poke_interval": 60.0, "since": now, "deadline": now + 7200.0,
            }
            for number in range(waits)
        ]  # fmt: skip
        subprocess.run(
            [sys.executable, str(HERE.parent / "defer.py"), name, "run", TRIGGER],
            input=json.dumps(arguments), text=True, env=self.environ, check=True, capture_output=True,
        )  # fmt: skip
        self.cli("dags", "unpause", name)
        query = "select 1 from trigger where triggerer_id is null"
        self.wait_until(lambda: not self.rows(query), "triggerers have taken up all waits")

    def states(self, name: str) -> dict[int, dict[str, float]]:
        """Give when each task of a DAG came to each of its states first."""
        found: dict[int, dict[str, float]] = {}
        query = "select map_index, state, at from noted_states where dag_id = :dag_id order by at"
        for row in self.rows(query, dag_id=name):
            found.setdefault(row["map_index"], {}).setdefault(row["state"], row["at"])
        return found


@dataclass
class Receivers:
    """
    Two receivers as processes of their own, as a context manager.

    :param environ: Airflow's environment variables
    """

    environ: dict[str, str]
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Receivers:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start both."""
        for port in self.ports:
            command = [sys.executable, "-m", "airflow_provider_datarecs.webhooks", "--port", str(port)]
            self._running.append(
                subprocess.Popen(
                    command, env=self.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )

    def kill(self) -> None:
        """Kill both."""
        while self._running:
            process = self._running.pop()
            process.kill()
            process.wait()


def answers(port: int, path: str = HEALTH, seconds: float = 10.0) -> bool:
    """Say whether a server answers a question in time, and rightly."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return answer.status == 200
    finally:
        connection.close()


class HealthWatch:
    """
    Ask Airflow's own API each second how Airflow is, at each server, as a context manager.

    ``seconds`` is how long each answer took, ``failed`` how many did not come.
    """

    def __init__(self, ports: tuple[int, ...]) -> None:
        self.seconds: list[float] = []
        self.failed = 0
        self._ports = ports
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> HealthWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            for port in self._ports:
                began = time.monotonic()
                is_right = answers(port)
                self.seconds.append(time.monotonic() - began)
                self.failed += not is_right
