"""
200 waits through an Airflow of several triggerers and workers, of which one each is killed.

CeleryExecutor on PostgreSQL and Redis, with two workers and two triggerers, against a simulated DataRecs that
allows the API key 100 requests a minute. It prints the table that ``docs/scale.md`` shows.
"""

from __future__ import annotations

import json
import secrets
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from airflow import __version__ as airflow_version
from support.airflow import COMPONENTS, Airflow
from support.debian import Services

from airflow_provider_datarecs import __version__
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import ApiKey, Plan, RateLimit, Simulator, default_world

if TYPE_CHECKING:
    from airflow_provider_datarecs.simulator.app import SeenRequest
    from airflow_provider_datarecs.simulator.world import World

WAITS, JOBS, FAILING = 200, 50, 10  # every tenth job fails
SHORTEST, LONGEST = 60.0, 300.0  # seconds that the runs take
STARTED_BEFORE_WORKER_DIES, DEFERRED_BEFORE_TRIGGERER_DIES = 40, 80
PATIENCE = 2400.0  # seconds
DAG_ID = "many_waits"
DAG = f"""
from datetime import datetime, timedelta
from airflow.models.dag import DAG
from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

again = {{"retries": 3, "retry_delay": timedelta(seconds=5)}}
with DAG("{DAG_ID}", schedule=None, start_date=datetime(2024, 1, 1), default_args=again):
    for number in range({WAITS}):
        ids = {{"job_id": f"job_{{number % {JOBS}}}", "workspace_id": "ws_production"}}
        trigger = TriggerJobRunOperator(task_id=f"trigger_{{number}}", **ids)
        JobRunSensor(
            task_id=f"wait_{{number}}", run_id=trigger.output, poke_interval=30, timeout=3600, **ids
        )
"""
PROCESSES = ("worker.1", "worker.2", "triggerer.1", "triggerer.2")
SETTINGS = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__PARALLELISM": "32",
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "32",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": "4",
    # How soon a dead worker's tasks are missed, by the names of 2.x and 3.x; the default is 5 to 10 minutes.
    "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "60",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "90",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "30",
}


class Deployment(Airflow):
    """An Airflow in which each process reaches the same DataRecs at an address of its own."""

    def environ_of(self, component: str) -> dict[str, str]:
        """Give the environment variables of a component, with its own address of DataRecs."""
        if component not in PROCESSES:
            return self.environ
        host = self.host.replace("127.0.0.1", address_of(component))
        connection = {"conn_type": "datarecs", "host": host, "password": self.api_key}
        return {**self.environ, "AIRFLOW_CONN_DATARECS_DEFAULT": json.dumps(connection)}

    def kill(self, component: str) -> None:
        """Kill a component and every process that it has started, as if its machine had gone."""
        family = psutil.Process(self.processes[component].pid).children(recursive=True)
        self.stop(component, signal.SIGKILL)
        for process in family:
            if process.is_running():
                process.kill()

    def states(self) -> dict[str, str]:
        """Give the state of each task."""
        return {task_id: str(task["state"]) for task_id, task in self.tasks(DAG_ID, "run").items()}


@pytest.mark.timeout(3600)
@pytest.mark.distributed
def test_every_wait_ends_right_and_every_run_is_started_once(tmp_path, capsys):
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / f"{DAG_ID}.py").write_text(DAG)
    world = make_world()
    with capsys.disabled(), Services(broker=True) as services, Simulator(world, host="0.0.0.0") as simulator:
        settings = {
            **SETTINGS,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": services.database,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{services.database}",
            "AIRFLOW__CELERY__BROKER_URL": services.broker,
        }
        with Deployment(
            tmp_path / "airflow", dags, host=simulator.url.replace("0.0.0.0", "127.0.0.1"),
            api_key=world.api_keys[0].key, environ=settings, say=print,
            components=(*(one for one in COMPONENTS if one != "triggerer"), *PROCESSES),
        ) as airflow:  # fmt: skip
            run(airflow, world)
            states = airflow.states()
        requests = list(simulator.requests)
        print_requests(requests)
    check_states(states)
    assert len(world.runs[TargetKind.JOB]) == WAITS
    assert [seen for seen in requests if seen.status == 401] == []


def make_world() -> World:
    world = default_world()
    world.api_keys = [ApiKey(secrets.token_hex(16))]
    world.rate_limit = RateLimit(sliding=True)  # so that no minute, whenever it begins, has more
    for number in range(JOBS):
        seconds = SHORTEST + (LONGEST - SHORTEST) * number / JOBS
        status = "FAILED" if number % FAILING == 0 else "COMPLETED"
        plan = Plan(queued=0.0, running=seconds, status=status)
        world.add_job(f"job_{number}", f"job {number}", "ws_production", plan)
    return world


def run(airflow: Deployment, world: World) -> None:
    """Run the DAG to its end, and kill a worker and a triggerer on the way."""
    airflow.trigger_dag(DAG_ID, "run")
    print(f"{DAG_ID} is triggered: {WAITS} runs of {JOBS} jobs, and a wait for each")

    def has_ended() -> bool:
        return airflow.run_state(DAG_ID, "run") in ("success", "failed")

    airflow.wait_until(
        lambda: len(world.runs[TargetKind.JOB]) >= STARTED_BEFORE_WORKER_DIES or has_ended(),
        "some runs are started", PATIENCE,
    )  # fmt: skip
    print("killing worker.1 with all its tasks; it is started again")
    airflow.kill("worker.1")
    airflow.start("worker.1")

    def deferred() -> int:
        return Counter(airflow.states().values())["deferred"]

    airflow.wait_until(
        lambda: deferred() >= DEFERRED_BEFORE_TRIGGERER_DIES or has_ended(),
        "many waits are deferred", PATIENCE,
    )  # fmt: skip
    print(f"killing triggerer.1 while {deferred()} waits are deferred; it is started again")
    airflow.kill("triggerer.1")
    airflow.start("triggerer.1")
    airflow.wait_until(has_ended, "the DAG run has ended", PATIENCE)
    print("the DAG run has ended")


def check_states(states: dict[str, str]) -> None:
    for number in range(WAITS):
        wanted = "failed" if number % JOBS % FAILING == 0 else "success"
        assert (states[f"trigger_{number}"], states[f"wait_{number}"]) == ("success", wanted), number


def print_requests(requests: list[SeenRequest]) -> None:
    """Print what each process asked for."""
    named = {address_of(name): name for name in PROCESSES}
    by_process: dict[str, list[SeenRequest]] = {name: [] for name in (*PROCESSES, "others")}
    for seen in requests:
        host = seen.headers.get("Host", "").partition(":")[0]
        by_process[named.get(host, "others")].append(seen)
    titles = ("process", "requests", "starts", "polls", "refused (429)", "most in a minute")
    lines = [titles, *(line_of(name, seen) for name, seen in (*by_process.items(), ("all", requests)))]
    print(f"\nAirflow {airflow_version}, provider {__version__}, limit 100 requests a minute")
    for line in lines:
        print(" | ".join(f"{part!s:>16}" for part in line))
    print(flush=True)


def line_of(name: str, seen: list[SeenRequest]) -> tuple[Any, ...]:
    starts = sum(one.method == "POST" for one in seen)
    refused = sum(one.status == 429 for one in seen)
    times = sorted(one.at for one in seen if one.status != 429)
    most = max((sum(at <= other < at + 60.0 for other in times) for at in times), default=0)
    return name, len(seen), starts, len(seen) - starts, refused, most


def address_of(component: str) -> str:
    return f"127.0.0.{PROCESSES.index(component) + 2}"
