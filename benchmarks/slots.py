"""
Count what it takes to end deferred waits, on workers and on the triggerer, into ``docs/slots.md``.

Runs with the Airflow of its Python; ``.venv/bin/tox -e slots3.3`` gives it 3.3. All waits
of a case are deferred before their runs end, all at once, so that what is counted is how they end.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
from airflow import __version__ as airflow_version
from support.airflow import COMPONENTS, Airflow

from airflow_provider_datarecs.simulator import ApiKey, Plan, Simulator, World
from airflow_provider_datarecs.simulator.rate_limit import RateLimit

PAGE = Path(__file__).resolve().parent.parent / "docs" / "slots.md"
MARKS = "<!-- measured -->\n", "<!-- end -->\n"
CASES = {"on_workers": ("on workers", False), "on_triggerer": ("on the triggerer", True)}
IDLE = 30.0  # seconds in which is seen what an Airflow uses that does nothing
SETTINGS = {
    # Else most of what the DAG processor uses has nothing to do with it.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
}
DAG = """
from datetime import datetime
from pathlib import Path
from airflow.providers.datarecs.sensors.job_run import JobRunSensor
from airflow.sdk import DAG

def note(context):
    with (Path(__file__).parent / "{dag_id}.txt").open("a") as starts:
        print(context["ti"].task_id, file=starts)

with DAG(
    dag_id="{dag_id}", schedule=None, start_date=datetime(2024, 1, 1), max_active_tasks={waits}, catchup=False
):
    for number in range({waits}):
        JobRunSensor(
            task_id=f"wait_{{number}}",
            job_id="{dag_id}",
            workspace_id="ws",
            run_id="{{{{ dag_run.conf['run_id'] }}}}",
            poke_interval=2,
            pre_execute=note,
            end_from_trigger={ends},
        )
"""


@dataclass
class Outcome:
    """
    What came out of a case.

    :param starts: processes of workers for each wait
    :param seconds: from the end of the runs to that of each task
    :param cpu: seconds of each component with all its processes, beyond what it uses anyway, while they ended
    """

    starts: float
    seconds: list[float]
    cpu: dict[str, float] = field(default_factory=dict)


def main() -> None:
    """Measure both cases, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waits", type=int, default=100)
    waits = parser.parse_args().waits
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that Airflow is stopped, too
    key = ApiKey(secrets.token_hex(16))
    world = World(api_keys=[key], rate_limit=RateLimit(requests=10**6))
    world.add_workspace("ws", "Benchmark")
    with tempfile.TemporaryDirectory() as name, Simulator(world) as simulator:
        dags = Path(name) / "dags"
        dags.mkdir()
        for dag_id, (_, ends) in CASES.items():
            world.add_job(dag_id, dag_id, "ws", Plan(queued=0, running=36_000))
            (dags / f"{dag_id}.py").write_text(DAG.format(dag_id=dag_id, waits=waits, ends=ends))
        home = Path(name) / "airflow"
        with Airflow(home, dags, host=simulator.url, api_key=key.key, environ=SETTINGS, say=print) as airflow:
            airflow.set_connection("datarecs_default", simulator.url, key.key, requests_per_minute=10**6)
            outcomes = {dag_id: measure(airflow, world, dag_id, waits) for dag_id in CASES}
    write(waits, outcomes)


def measure(airflow: Airflow, world: World, dag_id: str, waits: int) -> Outcome:
    """Let all waits of a DAG defer, let their run end, and see what it takes until all tasks have ended."""
    from airflow_provider_datarecs.api.contract import TargetKind

    print(f"{dag_id}: deferring {waits} waits")
    run_id = world.start_run(TargetKind.JOB, world.owners[TargetKind.JOB][dag_id]).id
    airflow.trigger_dag(dag_id, "run", {"run_id": run_id})
    query = (
        "select count(*) as number from task_instance"
        " where dag_id = :dag_id and state = :state and trigger_id is not null"
    )
    deferred = lambda: airflow.rows(query, dag_id=dag_id, state="deferred")[0]["number"]  # noqa: E731
    airflow.wait_until(lambda: deferred() == waits, "all waits are deferred", 60 + 10.0 * waits)
    time.sleep(IDLE)  # until each has been polled
    before = cpu_of(airflow)
    time.sleep(IDLE)
    began = cpu_of(airflow)
    idle = {name: (began[name] - before[name]) / IDLE for name in began}
    print(f"{dag_id}: the run ends")
    ended_at = time.time()
    world.finish_runs(dag_id)
    over = lambda: airflow.run_state(dag_id, "run") == "success"  # noqa: E731
    airflow.wait_until(over, "all tasks have ended", 60 + 10.0 * waits)
    time.sleep(IDLE)  # for what comes after
    used, span = cpu_of(airflow), time.time() - ended_at
    starts = (airflow.dags / f"{dag_id}.txt").read_text().count("\n") / waits
    ends = [seconds(row["end_date"]) - ended_at for row in airflow.tasks(dag_id, "run").values()]
    return Outcome(starts, ends, {name: used[name] - began[name] - idle[name] * span for name in used})


def cpu_of(airflow: Airflow) -> dict[str, float]:
    """Give the seconds of CPU that each component has used, with all processes that it has started."""
    used = {}
    for name, process in airflow.processes.items():
        parent = psutil.Process(process.pid)
        times = [one.cpu_times() for one in (parent, *parent.children(recursive=True))]
        used[name] = sum(one.user + one.system + one.children_user + one.children_system for one in times)
    return used


def seconds(moment: Any) -> float:
    """Give the epoch seconds of a time as SQLite has it."""
    at = datetime.fromisoformat(str(moment))
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()


def write(waits: int, outcomes: dict[str, Outcome]) -> None:
    """Put the table into the page."""
    rows = {
        "processes of workers for each wait": lambda one: f"{one.starts:.0f}",
        "from the end of the run to that of the task, median": lambda one: (
            f"{statistics.median(one.seconds):.1f} s"
        ),
        "to that of the last task": lambda one: f"{max(one.seconds):.1f} s",
    }
    for name in COMPONENTS:
        what = "scheduler, with its workers" if name == "scheduler" else name
        rows[f"CPU for each end: {what}"] = lambda one, name=name: f"{max(0.0, one.cpu[name]) / waits:.2f} s"
    rows["CPU for each end, in all"] = lambda one: f"{sum(one.cpu.values()) / waits:.2f} s"
    head = " | ".join(title for title, _ in CASES.values())
    lines = [
        f"| {waits} waits, Airflow {airflow_version}, {os.cpu_count()} cores | {head} |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {title} | {' | '.join(show(outcomes[one]) for one in CASES)} |" for title, show in rows.items()
    ]
    before, after = PAGE.read_text().split(MARKS[0])
    table = "\n".join(lines)
    PAGE.write_text(f"{before}{MARKS[0]}\n{table}\n\n{MARKS[1]}{after.partition(MARKS[1])[2]}")
    print(table)


if __name__ == "__main__":
    main()
