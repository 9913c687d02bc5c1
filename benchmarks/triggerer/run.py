"""
Watch thousands of deferred waits on Airflow's own triggerer, with PostgreSQL, and kill it.

``make triggerer`` runs all cases on Airflow 3.3 and 2.11, which takes hours, and writes
``docs/triggerer.md``. One case takes some minutes:
``.venv/bin/tox -e triggerer3.3 -- --waits 1000 --minutes 2 --kinds datarecs --out dist``.
No scheduler runs meanwhile, since it would start a worker for each wait that is over: what is measured ends
where Airflow has noted that a task is to go on.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

from airflow import __version__ as airflow_version
from answering import end_of
from certificates import make_certificates
from figures import page
from processes import Service, Usage
from rows import Rows, say
from support.airflow import Airflow
from support.airflow_settings import IS_AIRFLOW_3
from support.debian import Services
from support.noted_states import note_states

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent.parent / "docs"
KEY = "benchmark-key"
INTERVAL = 60.0  # seconds from one poll of a wait to the next
HUGE = 10.0**6  # seconds: no wait reaches its deadline
MEASURE = 60.0  # seconds in which nothing ends, once all have begun
SETTLE = 70.0  # seconds from when all have begun until then, in which each has been polled
PATIENCE = 900.0  # seconds after the last end, for what Airflow has yet to note
WATCHED = 300.0  # seconds after a kill in which requests are counted
BLOCKED = re.compile(r"blocked for ([\d.]+) seconds")
DAG = """
from datetime import datetime
{imports}

with DAG("{name}", schedule=None, start_date=datetime(2024, 1, 1)):
    JobRunSensor.partial(task_id="wait", job_id="j", workspace_id="w").expand(
        run_id=[str(number) for number in range({waits})]
    )
"""
IMPORTS = (
    f"from {'airflow.sdk' if IS_AIRFLOW_3 else 'airflow.models.dag'} import DAG\n"
    "from airflow_provider_datarecs.sensors.job_run import JobRunSensor"
)


@dataclass(frozen=True)
class Kind:
    """
    Who waits.

    :param title: as the table has it
    :param trigger: the path of the class
    :param arguments: gives a trigger's, from the number of its wait and the time when its run ends
    """

    title: str
    trigger: str
    arguments: Callable[[int, float], dict[str, Any]]


KINDS = {
    "sleeping": Kind("a trigger that sleeps", "sleeping.SleepingTrigger", lambda _, end: {"end": end}),
    "datarecs": Kind(
        "DataRecs",
        "airflow_provider_datarecs.triggers.job_run.JobRunTrigger",
        lambda number, _: {
            "job_id": f"j{number}", "workspace_id": "w", "run_id": f"j{number}-0", "conn_id": "datarecs",
            "poke_interval": INTERVAL, "since": time.time(), "deadline": time.time() + HUGE,
        },
    ),
    "dbt": Kind(
        "dbt Cloud",
        "airflow.providers.dbt.cloud.triggers.dbt.DbtCloudRunJobTrigger",
        lambda number, _: {
            "conn_id": "dbt", "run_id": number, "end_time": time.time() + HUGE, "poll_interval": INTERVAL,
            "account_id": 1,
        },
    ),
}  # fmt: skip


class Bench:
    """
    Measure one case after the other.

    :param airflow: the Airflow, of which nothing runs yet
    :param folder: where the certificates are
    :param minutes: in which the runs of a case end
    """

    def __init__(self, airflow: Airflow, folder: Path, minutes: float) -> None:
        self._airflow = airflow
        self._folder = folder
        self._within = minutes * 60.0

    def measure(self, name: str, waits: int, *, kill: bool) -> dict[str, Any]:
        """Run a case, and give its figures."""
        kind, dag_id = KINDS[name], f"{name}_{waits}{'_killed' if kill else ''}"
        say(f"{dag_id}: making {waits} waits")
        # Until Airflow has started all: it takes up some at a time.
        begin = time.time() + 180.0 + waits / 35.0 + (WATCHED + 60.0 if kill else 0.0)
        ends = [end_of(number, begin, self._within) for number in range(waits)]
        service = Service(self._folder, begin, self._within)
        try:
            self._connect(service)
            self._add(dag_id, kind, ends)
            with self._triggerer("triggerer.1"):
                figures = self._taken_up(dag_id, waits, self._usage())
                if kill:
                    figures.update(self._killed(waits, service))
                say(f"{dag_id}: {figures}; {begin - time.time():.0f} s until the first end")
                figures.update(self._ended(dag_id, ends, self._usage()))
                figures["blocked"] = self._blocked()
                figures["event"] = self._events(dag_id, ends)
        finally:
            service.stop()
        return {"kind": name, "title": kind.title, "waits": waits, "killed": kill, **figures}

    def _connect(self, service: Service) -> None:
        host = f"127.0.0.1:{service.port}"
        extra = {"requests_per_minute": 10**6}
        self._airflow.set_connection("datarecs", f"https://{host}", KEY, **extra)
        self._airflow.add_connection("dbt", conn_type="dbt_cloud", host=host, login="1", password=KEY)

    def _add(self, dag_id: str, kind: Kind, ends: list[float]) -> None:
        """Have as many tasks wait, deferred by Airflow's own code."""
        text = DAG.format(imports=IMPORTS, name=dag_id, waits=len(ends))
        (self._airflow.dags / f"{dag_id}.py").write_text(text)
        self._airflow.cli("dags", "reserialize")
        self._airflow.cli("dags", "trigger", dag_id, "--run-id", "run")
        arguments = [kind.arguments(number, end) for number, end in enumerate(ends)]
        subprocess.run(
            [sys.executable, str(HERE.parent / "defer.py"), dag_id, "run", kind.trigger],
            input=json.dumps(arguments), text=True, env=self._airflow.environ, check=True,
        )  # fmt: skip

    @contextmanager
    def _triggerer(self, name: str) -> Iterator[None]:
        self._airflow.start(name)
        try:
            yield
        finally:
            for one in list(self._airflow.processes):
                self._airflow.stop(one, signal.SIGKILL)
                (self._airflow.home / f"{one}.log").rename(self._airflow.home / f"{one}.{time.time()}.log")

    def _usage(self) -> Usage:
        (process,) = self._airflow.processes.values()
        return Usage(process.pid)

    def _taken_up(self, dag_id: str, waits: int, usage: Usage) -> dict[str, float]:
        began = time.monotonic()
        query = "select count(*) as number from trigger where triggerer_id is not null"
        self._airflow.wait_until(lambda: self._number(query) == waits, "all are taken up", 1800)
        taken_up = time.monotonic() - began
        while self._begun(dag_id) < waits:
            time.sleep(5.0)  # to look takes a moment of the CPU
        begun, blocked = time.monotonic() - began, len(self._blocked())
        time.sleep(SETTLE)
        used, since = usage.cpu(), time.monotonic()
        time.sleep(MEASURE)
        return {
            "taken_up": taken_up,
            "begun": begun,
            "blocked_at_first": blocked,
            "memory": usage.memory(),
            "cpu": (usage.cpu() - used) / (time.monotonic() - since),
        }

    def _begun(self, dag_id: str) -> int:
        """Give how many triggers have written their first line, each to a file of its own."""
        logs = self._airflow.home / "logs" / f"dag_id={dag_id}"
        return sum(1 for _ in logs.rglob("*.trigger.*.log"))

    def _killed(self, waits: int, service: Service) -> dict[str, Any]:
        """Kill the triggerer while another is there, and see it take over."""
        self._airflow.start("triggerer.2")
        query = "select count(*) as number from job where job_type = 'TriggererJob' and state = 'running'"
        self._airflow.wait_until(lambda: self._number(query) >= 2, "the other triggerer runs")
        time.sleep(10.0)
        self._airflow.stop("triggerer.1", signal.SIGKILL)
        killed = time.monotonic()
        query = (
            "select count(*) as number from trigger"
            " where triggerer_id = (select max(id) from job where job_type = 'TriggererJob')"
        )
        self._airflow.wait_until(lambda: self._number(query) == waits, "the other has all", 1800)
        taken_over = time.monotonic() - killed
        self._airflow.wait_until(lambda: service.asked(killed)["jobs"] == waits, "all were polled", 1800)
        watched = time.monotonic() - killed
        time.sleep(max(0.0, killed + WATCHED - time.monotonic()))
        times = service.asked(killed)["times"]
        a_second = [sum(second <= at < second + 1 for at in times) for second in range(int(WATCHED))]
        a_minute = [sum(minute <= at < minute + 60 for at in times) for minute in range(0, int(WATCHED), 60)]
        return {
            "taken_over": taken_over, "watched": watched, "minutes": a_minute, "most_a_second": max(a_second)
        }  # fmt: skip

    def _ended(self, dag_id: str, ends: list[float], usage: Usage) -> dict[str, float]:
        """Wait until the last run has ended and all waits are over, or enough time has passed."""
        time.sleep(max(0.0, min(ends) - time.time()))
        used, since = usage.cpu(), time.monotonic()
        time.sleep(max(0.0, max(ends) - time.time()))
        figures = {"cpu_ending": (usage.cpu() - used) / (time.monotonic() - since)}
        query = "select count(*) as number from task_instance where dag_id = :dag_id and state = 'deferred'"
        deadline = time.monotonic() + PATIENCE
        while self._number(query, dag_id=dag_id) and time.monotonic() < deadline:
            time.sleep(1.0)
        return {**figures, "lost": self._number(query, dag_id=dag_id)}

    def _blocked(self) -> list[float]:
        """Give for how many seconds Airflow found its loop blocked, each time."""
        logs = sorted(self._airflow.home.glob("triggerer.?.log"))
        return [float(found) for log in logs for found in BLOCKED.findall(log.read_text(errors="replace"))]

    def _events(self, dag_id: str, ends: list[float]) -> list[float]:
        """Give the seconds from the runs' ends until Airflow noted the waits' ends: median, 95 %, longest."""
        query = (
            "select map_index, min(at) as at from noted_states"
            " where dag_id = :dag_id and state = 'scheduled' group by map_index"
        )
        noted = {row["map_index"]: row["at"] for row in self._airflow.rows(query, dag_id=dag_id)}
        seconds = [at - ends[number] for number, at in noted.items()]
        if len(seconds) < 2:
            return []
        return [statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1], max(seconds)]

    def _number(self, query: str, **values: str) -> int:
        return int(self._airflow.rows(query, **values)[0]["number"])


def main() -> None:
    """Measure the cases, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waits", type=int, nargs="+", default=[1000, 5000, 10_000])
    parser.add_argument("--minutes", type=float, default=10.0, help="in which all runs end")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--kill", action="store_true", help="kill the triggerer in each case")
    parser.add_argument("--set", nargs="*", default=[], help="of Airflow, as AIRFLOW__SECTION__NAME=value")
    parser.add_argument("--out", type=Path, default=DOCS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    rows = Rows(options.out / "triggerer.json", page, ("airflow", "kind", "waits", "killed", "settings"))
    with tempfile.TemporaryDirectory() as name, Services() as services:
        folder = Path(name)
        make_certificates(folder)
        os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = str(folder / "ca.pem")
        (folder / "dags").mkdir()
        database = services.new_database("triggerer")
        environ = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__MAX_MAP_LENGTH": str(max(options.waits)),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__TRIGGERER__CAPACITY": str(max(options.waits)),
            "AIRFLOW__TRIGGERER__DEFAULT_CAPACITY": str(max(options.waits)),
            "PYTHONPATH": f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
            **dict(one.split("=", 1) for one in options.set),
        }
        with Airflow(
            folder / "airflow", folder / "dags", host="https://127.0.0.1", api_key=KEY, environ=environ,
            components=(),
        ) as airflow:  # fmt: skip
            note_states(database)
            bench = Bench(airflow, folder, options.minutes)
            for waits in options.waits:
                for kind in options.kinds:
                    row = {
                        "airflow": airflow_version, "cores": os.cpu_count(), "ends_in": options.minutes,
                        "settings": options.set, **bench.measure(kind, waits, kill=options.kill),
                    }  # fmt: skip
                    say(json.dumps(row))
                    rows.put(row)


if __name__ == "__main__":
    main()
