"""What a deferred wait and a start survive: nothing is lost, nothing is started twice."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest
from support.cells import Board, Cell
from support.rows import DISRUPTED

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import Fault, Plan

pytestmark = pytest.mark.semantics

OLD_ROW = """
import sys
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session

with create_session() as session:
    trigger = session.get(Trigger, int(sys.argv[1]))
    trigger.kwargs = {name: value for name, value in trigger.kwargs.items() if name not in sys.argv[2:]}
"""
NEWER_ARGUMENTS = ("limit", "cancel_run_on_kill")
START = """
from datetime import datetime, timedelta
from airflow.models.dag import DAG
from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator

with DAG(dag_id="starts", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    for task_id, arguments in {tasks!r}.items():
        TriggerJobRunOperator(
            task_id=task_id,
            job_id=task_id,
            workspace_id="ws_production",
            conn_id="semantics",
            retries=1,
            retry_delay=timedelta(seconds=1),
            **arguments,
        )
"""


@pytest.fixture(scope="module")
def board(airflow, services):
    board = Board(airflow, "disruptions", services)
    board.start([CELL])
    board.wait_for_state(CELL, "deferred")
    board.wait_for_looks(CELL)
    return board


CELL = Cell(DISRUPTED, "disrupted", DISRUPTED.sensor)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "in order"])
def test_a_triggerer_ends_and_another_starts(board, how):
    board.airflow.stop("triggerer", how)
    board.airflow.start("triggerer")
    board.wait_for_looks(CELL)


def test_one_of_two_triggerers_dies(board):
    board.airflow.start("triggerer.2")
    board.wait_for_looks(CELL)
    board.airflow.stop("triggerer", signal.SIGKILL)
    board.wait_for_looks(CELL, 3)
    board.airflow.start("triggerer")
    board.airflow.stop("triggerer.2", signal.SIGKILL)
    board.wait_for_looks(CELL, 3)


def test_the_scheduler_is_started_anew(board):
    board.airflow.stop("scheduler")
    board.airflow.start("scheduler")
    board.wait_for_looks(CELL)


def test_a_trigger_row_of_an_older_release_waits_on(board):
    board.airflow.stop("triggerer")
    trigger_id = str(board.task(CELL)["trigger_id"])
    subprocess.run(
        [sys.executable, "-c", OLD_ROW, trigger_id, *NEWER_ARGUMENTS], env=board.airflow.environ, check=True
    )
    board.airflow.start("triggerer")
    board.wait_for_looks(CELL)


def test_after_all_of_it_the_wait_ends_well_and_its_run_was_left_alone(board):
    board.services["semantics"].world.finish_runs("disrupted")
    board.wait_for_state(CELL, "success", tries=1)
    assert board.result(CELL)["status"] == "COMPLETED"
    assert board.runs["disrupted"].cancelled_at is None


STARTS = {
    "by_key": {},  # the service honours the Idempotency-Key
    "by_label": {"unique_label": True},
}


@pytest.mark.parametrize("how", STARTS)
def test_a_worker_that_dies_between_start_and_xcom_starts_no_second_run(airflow, services, how):
    simulator, task_id = services["semantics"], f"start_{how}"
    world = simulator.world
    world.behaviour.honours_idempotency_key = how == "by_key"
    world.add_job(task_id, task_id, "ws_production", Plan())
    simulator.faults.append(Fault(method="POST", path=f"/jobs/{task_id}/run", slow=25.0))
    arguments = {**STARTS[how], "on_uncertain": "retry" if how == "by_key" else "fail"}
    path = airflow.dags / f"starts_{how}.py"
    path.write_text(START.format(tasks={task_id: arguments}).replace('"starts"', f'"starts_{how}"'))
    airflow.trigger_dag(f"starts_{how}", "run")
    airflow.wait_until(lambda: runs_of(world, task_id), "the run is started")
    kill_worker(airflow.tasks(f"starts_{how}", "run")[task_id]["pid"])
    airflow.wait_until(
        lambda: airflow.tasks(f"starts_{how}", "run")[task_id]["state"] in ("success", "failed"),
        "the task has ended",
    )
    task = airflow.tasks(f"starts_{how}", "run")[task_id]
    assert (task["state"], task["try_number"]) == ("success", 2), airflow.task_log(f"starts_{how}", task_id)
    (run,) = runs_of(world, task_id)
    assert airflow.xcom(f"starts_{how}", "run", task_id, "run_id") == run.id


def runs_of(world, job_id):
    return [run for run in world.runs[TargetKind.JOB] if run.owner.id == job_id]


def kill_worker(pid):
    process = psutil.Process(pid)
    for one in (*process.children(recursive=True), process):
        one.kill()
