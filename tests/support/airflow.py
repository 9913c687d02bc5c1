"""
A real Airflow in a folder of its own, as the demo and the live tests use it.

It runs the Airflow of the Python that imports this: scheduler and triggerer on 2.x, which can have its web
server as well, and API server and DAG processor beside them on 3.x. What happens in it is read from its
database, where every Airflow from 2.7 to 3.3 keeps it alike, and 3.4 nearly so.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import closing, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Callable

from airflow import __version__ as airflow_version

from support.airflow_settings import IS_AIRFLOW_3, MAP_INDEX, XCOMS, environ_for

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

COMPONENTS = (
    ("api-server", "dag-processor", "triggerer", "scheduler") if IS_AIRFLOW_3 else ("triggerer", "scheduler")
)
SKIP = "--skip-serve-logs"  # which are read from the disk here
COMMANDS = {  # {0} is the component's name
    "scheduler": ("scheduler", SKIP),
    "triggerer": ("triggerer", SKIP),
    "webserver": ("webserver", "--pid", "{0}.pid"),
    "worker": ("celery", "worker", SKIP, "--celery-hostname", "{0}", "--pid", "{0}.pid"),
}
# Who looks at the pages of 2.x; those of 3.x ask for nobody.
USER = {
    "username": "admin",
    "password": "admin",
    "role": "Admin",
    "firstname": "Ada",
    "lastname": "Admin",
    "email": "admin@example.com",
}
GRACE = 20.0  # seconds that a component gets to stop before it is killed


class RigError(Exception):
    """The Airflow did not do what was waited for."""


def free_port() -> int:
    """Give a port that nothing listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """Say whether something listens on a port of this machine."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Airflow:
    """
    Run an Airflow, as a context manager.

    :param home: its folder; if there is one of an earlier Airflow, its database is migrated
    :param dags: the folder of its DAGs
    :param host: the URL of the DataRecs API, for the connection ``datarecs_default``
    :param api_key: the API key, for the same
    :param environ: further environment variables
    :param components: what runs in it; of one kind there can be several, as ``triggerer.1``, ``triggerer.2``
    :param serve_logs: whether triggerers serve the logs of waiting tasks, which the pages ask for
    :param say: told what is being done
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        *,
        host: str,
        api_key: str,
        environ: dict[str, str] | None = None,
        components: tuple[str, ...] = COMPONENTS,
        serve_logs: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.home = home
        self.dags = dags
        self.host = host
        self.api_key = api_key
        self.components = components
        self.say = say
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.port = free_port()
        self.serve_logs = serve_logs
        self.environ = {**environ_for(home, dags, self.port, free_port()), **(environ or {})}

    def __enter__(self) -> Airflow:
        is_new = not self.home.exists()
        self.home.mkdir(parents=True, exist_ok=True)
        self.say(f"{'making' if is_new else 'migrating'} the database of Airflow {airflow_version}")
        self.cli("db", "migrate")
        if is_new:
            self.say("adding the connection datarecs_default")
            # Not --conn-json: Airflow 2 audits the whole command, and masks --conn-password alone.
            connection = ("--conn-host", self.host, "--conn-password", self.api_key)
            self.cli("connections", "add", "datarecs_default", "--conn-type", "datarecs", *connection)
            if any(name.startswith("webserver") for name in self.components):
                self.cli("users", "create", *(f"--{name}={value}" for name, value in USER.items()))
        self.say(f"starting Airflow {airflow_version}: {', '.join(self.components)}")
        for component in self.components:
            if component == "scheduler" and any(name.startswith("api-server") for name in self.processes):
                # A task that cannot reach it fails.
                self.wait_until(lambda: is_open(self.port), "the API server answers")
            self.start(component)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.say("stopping Airflow")
        for process in self.processes.values():
            _signal(process, signal.SIGTERM)
        for component in list(self.processes):
            self.stop(component)

    def environ_of(self, component: str) -> dict[str, str]:
        """Give the environment variables of a component."""
        return self.environ

    def start(self, component: str) -> None:
        """Start one of the components."""
        kind = component.partition(".")[0]
        command = [part.format(component) for part in COMMANDS.get(kind, (kind,))]
        if kind == "triggerer" and self.serve_logs:
            command.remove(SKIP)
        with (self.home / f"{component}.log").open("ab") as log:
            self.processes[component] = subprocess.Popen(
                [*_airflow(), *command],
                env=self.environ_of(component),
                cwd=self.home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, component: str, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop one of the components and all its children, and wait until it is gone."""
        process = self.processes.pop(component)
        _signal(process, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        _signal(process, signal.SIGKILL)
        process.wait()

    def cli(self, *arguments: str) -> str:
        """Run an ``airflow`` command and give what it prints."""
        done = subprocess.run(
            [*_airflow(), *arguments],
            env=self.environ,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RigError(f"airflow {arguments[0]} {arguments[1]} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def trigger_dag(self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None) -> None:
        """Start a run of a DAG, once Airflow has parsed it."""
        query = "select 1 from serialized_dag where dag_id = :dag_id"
        self.wait_until(lambda: self.rows(query, dag_id=dag_id), f"DAG {dag_id} is parsed")
        if IS_AIRFLOW_3:  # whose command takes five seconds
            run = {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}}
            self._post(f"/api/v2/dags/{dag_id}/dagRuns", run)
        else:
            self.cli("dags", "trigger", dag_id, "--run-id", run_id, "--conf", json.dumps(conf or {}))

    def set_connection(self, conn_id: str, host: str, api_key: str, **extra: Any) -> None:
        """Add a connection to DataRecs, or replace one in one go."""
        self.add_connection(
            conn_id, conn_type="datarecs", host=host, password=api_key, extra=json.dumps(extra)
        )

    def add_connection(self, conn_id: str, **content: Any) -> None:
        """Add a connection of any kind, or replace one in one go."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({conn_id: content}, file)
            file.flush()
            self.cli("connections", "import", "--overwrite", file.name)

    def scheduled_run(self, dag_id: str) -> str:
        """Wait for the run that Airflow starts of its own, for the last interval of a DAG with a schedule."""
        query = "select run_id from dag_run where dag_id = :dag_id order by id"
        return str(
            self.wait_until(lambda: self.rows(query, dag_id=dag_id), f"DAG {dag_id} runs")[0]["run_id"]
        )

    def pids(self) -> set[int]:
        """Give the ids of all processes that run now: the components' and the tasks'."""
        import psutil

        parents = [psutil.Process(process.pid) for process in self.processes.values()]
        return {child.pid for parent in parents for child in (parent, *parent.children(recursive=True))}

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Give the state of a DAG run."""
        query = "select state from dag_run where dag_id = :dag_id and run_id = :run_id"
        rows = self.rows(query, dag_id=dag_id, run_id=run_id)
        return str(rows[0]["state"]) if rows else "none"

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Give the task instances of a DAG run, by task id, and map index if there is one."""
        query = "select * from task_instance where dag_id = :dag_id and run_id = :run_id"
        tasks = {}
        for row in self.rows(query, dag_id=dag_id, run_id=run_id):
            index = row[MAP_INDEX]
            tasks[row["task_id"] if index < 0 else f"{row['task_id']}[{index}]"] = row
        return tasks

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        """Give the value of an XCom, None if there is none."""
        rows = self.rows(
            f"select value from {XCOMS}"
            " where dag_id = :dag_id and run_id = :run_id and task_id = :task_id and key = :key",
            dag_id=dag_id, run_id=run_id, task_id=task_id, key=key,
        )  # fmt: skip
        value = rows[0]["value"] if rows else None
        if value is None or (IS_AIRFLOW_3 and self._database.dialect.name == "postgresql"):
            return value  # as it came out of a JSON column
        return json.loads(value if isinstance(value, str) else bytes(value))

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Give what a query finds in Airflow's database."""
        from sqlalchemy import text

        with self._database.connect() as connection:
            found = connection.execute(text(query), values)
            return [dict(zip(found.keys(), row)) for row in found]

    @property
    def url(self) -> str:
        """The URL of its pages."""
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def _token(self) -> str:
        with urllib.request.urlopen(f"{self.url}/auth/token") as answer:  # as everybody is an admin here
            return str(json.load(answer)["access_token"])

    def _post(self, path: str, body: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode(), headers)
        try:
            urllib.request.urlopen(request).close()
        except urllib.error.HTTPError as error:
            raise RigError(f"{path} answers {error.code}: {error.read().decode()}") from error

    @cached_property
    def _database(self) -> Any:
        from sqlalchemy import create_engine

        url = self.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        return create_engine(url, connect_args={"timeout": 30} if url.startswith("sqlite") else {})

    def wait_until(self, reached: Callable[[], Any], what: str, seconds: float = 300.0) -> Any:
        """Give what ``reached`` gives once that is true; fail if it takes too long or a component dies."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = reached()
            if value:
                return value
            for component, process in self.processes.items():
                if process.poll() is not None:
                    raise RigError(f"{component} ended with {process.returncode}:\n{self.log_of(component)}")
            time.sleep(0.25)
        last = "scheduler" if "scheduler" in self.processes else next(iter(self.processes))
        raise RigError(f"not reached in {seconds:.0f} s: {what}\n{self.log_of(last)}")

    def log_of(self, component: str, lines: int = 40) -> str:
        """Give the end of a component's log."""
        return "\n".join((self.home / f"{component}.log").read_text(errors="replace").splitlines()[-lines:])

    def task_log(self, dag_id: str, task_id: str) -> str:
        """Give all that a task and its trigger have logged."""
        logs = sorted(self.home.glob(f"logs/dag_id={dag_id}/**/task_id={task_id}/**/*.log*"))
        return "\n".join(log.read_text(errors="replace") for log in logs)


def _airflow() -> list[str]:
    return [sys.executable, "-m", "airflow"]


def _signal(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
