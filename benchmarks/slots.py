"""
Count what deferred waits take of workers, in each way that they can begin and end, into ``docs/slots.md``.

Runs a real Airflow with PostgreSQL and the LocalExecutor with four slots; ``.venv/bin/tox -e slots3.3`` gives
it Airflow 3.3 and dbt Cloud's provider, whose sensor waits beside. It takes about 40 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Iterator

import psutil
from airflow import __version__ as airflow_version
from certificates import make_certificates
from support.airflow import Airflow, RigError
from support.debian import Services
from support.noted_states import note_states

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "slots.md"
MARKS = "<!-- measured -->\n", "<!-- end -->\n"
KEY = "benchmark-key"
SLOTS = 4
SETTINGS = {
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__PARALLELISM": str(SLOTS),
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "1000",
    # Else most of what the DAG processor uses has nothing to do with it.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
}
DAG = """
from datetime import datetime
from airflow.sdk import DAG, task
{imports}

@task
def after(known):
    pass

with DAG("{case}", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    for number, (run_id, job_id) in enumerate({runs}):
        wait = {wait}
        wait >> after.override(task_id=f"after_{{number}}")(run_id)
"""
OURS = """JobRunSensor(
            task_id=f"wait_{{number}}", job_id=job_id, workspace_id="w", conn_id="{case}", poke_interval=10,
            run_id="{{{{ dag_run.conf['prefix'] }}}}" + run_id, **{more}
        )"""
DBT = """DbtCloudJobRunSensor(
            task_id=f"wait_{{number}}", run_id=number, dbt_cloud_conn_id="{case}", poke_interval=10,
            deferrable=True
        )"""
BLOCKERS = """
import time
from datetime import datetime
from airflow.sdk import DAG, task

@task
def sleep(seconds):
    time.sleep(seconds)

with DAG("blockers", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    sleep.expand(seconds=[{seconds}] * {slots})
"""


@dataclass(frozen=True)
class Case:
    """
    A way to wait.

    :param title: as the table has it
    :param provider: whose sensor it is, as ``service.py`` names it
    :param more: further arguments of the sensor
    :param is_blocked: whether all slots are taken all the time
    """

    title: str
    provider: str = "datarecs"
    more: dict[str, Any] = field(default_factory=dict)
    is_blocked: bool = False


BOTH = {"start_from_trigger": True, "end_from_trigger": True}
CASES = {
    "plain": Case("deferred"),
    "ends": Case("`end_from_trigger`", more={"end_from_trigger": True}),
    "both": Case("both", more=BOTH),
    "dbt": Case("dbt Cloud's, deferred", provider="dbt"),
    "blocked": Case("both, all slots taken", more=BOTH, is_blocked=True),
}


class Service:
    """The service that the waits of a case ask, in a process of its own, and how its runs end."""

    def __init__(self, case: Case, options: argparse.Namespace, folder: Path) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable, str(HERE / "service.py"), "--provider", case.provider,
                "--certificate", str(folder / "service.pem"), "--waits", str(options.waits),
                "--jobs", str(options.waits), "--begin", str(options.begin), "--ends", str(options.ends),
                "--failing", "0",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        self.port: int = told["port"]
        self.runs: list[list[Any]] = told["runs"]

    def stop(self) -> None:
        """Stop the service."""
        self._process.communicate("")


class Bench:
    """
    Measure one case after the other on an Airflow.

    :param airflow: the Airflow
    :param folder: where the certificate is
    :param options: ``waits``, ``begin`` and ``ends``
    """

    def __init__(self, airflow: Airflow, folder: Path, options: argparse.Namespace) -> None:
        self._airflow = airflow
        self._folder = folder
        self._options = options

    def measure(self, name: str) -> dict[str, Any]:
        """Run a case, and give its figures."""
        case = CASES[name]
        print(time.strftime("%H:%M:%S"), case.title, file=sys.stderr, flush=True)
        with self._blocked(case), self._service(case) as service:
            self._connect(name, case, service)
            runs = [(run[0], run[1]) for run in service.runs]
            wait = (DBT if case.provider == "dbt" else OURS).format(case=name, more=case.more)
            (self._airflow.dags / f"{name}.py").write_text(
                DAG.format(case=name, runs=runs, wait=wait, imports=IMPORTS[case.provider])
            )
            began = self._cpu()
            self._airflow.trigger_dag(name, "run", {"prefix": ""})
            self._wait_for(name, "deferred", 900.0)
            self._wait_for(name, "success", 1800.0)
            if not case.is_blocked:
                is_over = lambda: self._airflow.run_state(name, "run") in ("success", "failed")  # noqa: E731
                self._airflow.wait_until(is_over, "all tasks have ended", 1800)
                if self._airflow.run_state(name, "run") == "failed":
                    raise RigError(self._airflow.task_log(name, "after_0"))
            used = self._cpu()
            return self._figures(name, case, service.runs, {key: used[key] - began[key] for key in used})

    def _figures(
        self, name: str, case: Case, runs: list[list[Any]], used: dict[str, float]
    ) -> dict[str, Any]:
        waits = self._options.waits
        noted: dict[tuple[str, str], list[float]] = {}
        query = "select task_id, state, at from noted_states where dag_id = :dag_id order by at"
        for row in self._airflow.rows(query, dag_id=name):
            noted.setdefault((row["task_id"], row["state"]), []).append(row["at"])
        starts = sum(len(noted.get((f"wait_{number}", "running"), ())) for number in range(waits))
        ends = [noted[f"wait_{number}", "success"][-1] - runs[number][3] for number in range(waits)]
        follow = [
            noted[f"after_{number}", "running"][0] - runs[number][3]
            for number in range(waits)
            if (f"after_{number}", "running") in noted
        ]
        return {
            **asdict(case), "case": name, "waits": waits, "starts": starts / waits,
            "ended": spread(ends), "followed": [] if case.is_blocked else spread(follow),
            "cpu": {key: seconds / waits for key, seconds in used.items()},
        }  # fmt: skip

    def _wait_for(self, name: str, state: str, seconds: float) -> None:
        """Wait until all waits have been in a state, or one has failed."""
        waits = self._options.waits
        self._airflow.wait_until(
            lambda: self._count(name, state) >= waits or self._count(name, "failed"),
            f"{state}: {waits}",
            seconds,
        )
        if self._count(name, "failed"):
            raise RigError(self._airflow.task_log(name, "wait_0"))

    def _count(self, name: str, state: str) -> int:
        query = (
            "select count(distinct task_id) as number from noted_states"
            " where dag_id = :dag_id and state = :state and task_id like 'wait%'"
        )
        return int(self._airflow.rows(query, dag_id=name, state=state)[0]["number"])

    def _connect(self, name: str, case: Case, service: Service) -> None:
        if case.provider == "dbt":
            host = f"127.0.0.1:{service.port}"
            self._airflow.add_connection(name, conn_type="dbt_cloud", host=host, login="1", password=KEY)
            return
        self._airflow.set_connection(
            name, f"https://127.0.0.1:{service.port}", KEY, requests_per_minute=10**6
        )

    def _cpu(self) -> dict[str, float]:
        """Give the seconds of CPU that the workers, and each component without them, have used."""
        used = {"workers": 0.0}
        for name, process in self._airflow.processes.items():
            parent = psutil.Process(process.pid)
            own, children = parent.cpu_times(), parent.children(recursive=True)
            others = sum(
                sum((one.user, one.system, one.children_user, one.children_system))
                for one in (child.cpu_times() for child in children)
            )
            others += own.children_user + own.children_system
            used[name] = own.user + own.system
            used["workers" if name == "scheduler" else name] += others
        return used

    @contextmanager
    def _service(self, case: Case) -> Iterator[Service]:
        service = Service(case, self._options, self._folder)
        try:
            yield service
        finally:
            service.stop()

    @contextmanager
    def _blocked(self, case: Case) -> Iterator[None]:
        if not case.is_blocked:
            yield
            return
        seconds = self._options.begin + self._options.ends + 600.0
        (self._airflow.dags / "blockers.py").write_text(BLOCKERS.format(seconds=seconds, slots=SLOTS))
        self._airflow.trigger_dag("blockers", "run")
        query = "select count(*) as number from task_instance where dag_id = 'blockers' and state = 'running'"
        taken = lambda: self._airflow.rows(query)[0]["number"]  # noqa: E731
        self._airflow.wait_until(lambda: taken() == SLOTS, "all slots are taken")
        yield


IMPORTS = {
    "datarecs": "from airflow.providers.datarecs.sensors.job_run import JobRunSensor",
    "dbt": "from airflow.providers.dbt.cloud.sensors.dbt import DbtCloudJobRunSensor",
}


def spread(seconds: list[float]) -> list[float]:
    """Give the median, what 95 % are within, and the longest."""
    return [statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1], max(seconds)]


def main() -> None:
    """Measure the cases, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waits", type=int, default=100)
    parser.add_argument("--begin", type=float, default=300.0, help="seconds until the first run may end")
    parser.add_argument("--ends", type=float, default=200.0, help="seconds in which all end")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that Airflow is stopped, too
    with tempfile.TemporaryDirectory() as name, Services() as services:
        folder = Path(name)
        make_certificates(folder)
        dags = folder / "dags"
        dags.mkdir()
        database = services.new_database("slots")
        environ = {
            **SETTINGS,
            "SSL_CERT_FILE": str(folder / "ca.pem"),
            "REQUESTS_CA_BUNDLE": str(folder / "ca.pem"),  # for dbt Cloud's, which asks with requests first
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        }
        with Airflow(
            folder / "airflow", dags, host="https://127.0.0.1", api_key=KEY, environ=environ, say=print
        ) as airflow:
            note_states(database)
            bench = Bench(airflow, folder, options)
            rows = [bench.measure(one) for one in options.cases]
    print(json.dumps(rows))
    write(rows)


def write(rows: list[dict[str, Any]]) -> None:
    """Put the table into the page."""
    times = lambda some: " / ".join(f"{one:.1f}" for one in some) or "-"  # noqa: E731
    lines = [
        f"| {rows[0]['waits']} waits, Airflow {airflow_version}, {os.cpu_count()} cores, {SLOTS} slots | "
        + " | ".join(row["title"] for row in rows)
        + " |",
        "| --- |" + " --- |" * len(rows),
        "| workers started for each wait | " + " | ".join(f"{row['starts']:g}" for row in rows) + " |",
        "| run's end to the wait's, s: median / 95 % / longest | "
        + " | ".join(times(row["ended"]) for row in rows)
        + " |",
        "| run's end to the start of the next task, the same | "
        + " | ".join(times(row["followed"]) for row in rows)
        + " |",
    ]
    lines += [
        f"| CPU for each wait and the task after it, s: {part} | "
        + " | ".join(f"{row['cpu'][part]:.2f}" for row in rows)
        + " |"
        for part in rows[0]["cpu"]
    ]
    before, after = PAGE.read_text().split(MARKS[0])
    table = "\n".join(lines)
    PAGE.write_text(f"{before}{MARKS[0]}\n{table}\n\n{MARKS[1]}{after.partition(MARKS[1])[2]}")
    print(table)


if __name__ == "__main__":
    main()
