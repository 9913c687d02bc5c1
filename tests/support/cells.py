"""The DAGs that the cells are tasks of, and what became of each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_datarecs.api.contract import TargetKind

if TYPE_CHECKING:
    from airflow_provider_datarecs.simulator import Simulator
    from airflow_provider_datarecs.simulator.runs import Run
    from support.airflow import Airflow
    from support.rows import Row

DAG = """
from datetime import datetime, timedelta
from airflow.models.dag import DAG
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

with DAG(
    dag_id={dag_id!r}, schedule=None, start_date=datetime(2024, 1, 1), catchup=False, max_active_tasks=200
):
    for task_id, conn_id, arguments in {tasks!r}:
        for name in ("retry_delay", "execution_timeout"):
            if name in arguments:
                arguments[name] = timedelta(seconds=arguments[name])
        JobRunSensor(
            task_id=task_id,
            job_id=task_id,
            workspace_id="ws_production",
            run_id="{{{{ dag_run.conf['" + task_id + "'] }}}}",
            conn_id=conn_id,
            **arguments,
        )
"""


@dataclass(frozen=True)
class Cell:
    """
    A row in a column: one task, and one run of a job of its own.

    :param row: what happens
    :param task_id: the task, and the job
    :param arguments: what its sensor is made with
    """

    row: Row
    task_id: str
    arguments: dict[str, Any]


class Board:
    """
    Run cells as the tasks of one DAG, once.

    :param airflow: the Airflow
    :param dag_id: the DAG
    :param services: the simulator behind each connection
    """

    def __init__(self, airflow: Airflow, dag_id: str, services: dict[str, Simulator]) -> None:
        self.airflow = airflow
        self.dag_id = dag_id
        self.services = services
        self.runs: dict[str, Run] = {}

    def start(self, cells: list[Cell]) -> None:
        """Start the runs at DataRecs, and the DAG that waits for them."""
        tasks = [(cell.task_id, cell.row.conn_id, cell.arguments) for cell in cells]
        (self.airflow.dags / f"{self.dag_id}.py").write_text(DAG.format(dag_id=self.dag_id, tasks=tasks))
        for cell in cells:
            world = self.services[cell.row.conn_id].world
            world.add_job(cell.task_id, cell.task_id, "ws_production", cell.row.plan)
            job = world.owners[TargetKind.JOB][cell.task_id]
            self.runs[cell.task_id] = world.start_run(TargetKind.JOB, job)
            world.plan_runs(cell.task_id, cell.row.next_plan or cell.row.plan)
        conf = {task_id: run.id for task_id, run in self.runs.items()}
        self.airflow.trigger_dag(self.dag_id, "run", conf)

    def task(self, cell: Cell) -> dict[str, Any]:
        """Give the row of the task in Airflow's database."""
        return self.airflow.tasks(self.dag_id, "run").get(cell.task_id, {})

    def log(self, cell: Cell) -> str:
        """Give all that the task and its trigger have logged."""
        return self.airflow.task_log(self.dag_id, cell.task_id)

    def wait_for_state(
        self, cell: Cell, state: str, *, tries: int | None = None, seconds: float = 600
    ) -> None:
        """Wait until the task is in a state, in a certain try if one is given."""

        def reached() -> bool:
            task = self.task(cell)
            return task.get("state") == state and (tries is None or task["try_number"] == tries)

        what = f"{cell.task_id} is {state}"
        try:
            self.airflow.wait_until(reached, what, seconds=seconds)
        except Exception as error:
            raise AssertionError(f"{error}\n{self.task(cell)}\n{self.log(cell)[-6000:]}") from error

    def wait_for_looks(self, cell: Cell, count: int = 1) -> None:
        """Wait until the cell's run was asked for so many times more."""
        seen = len(self.polls(cell))
        self.airflow.wait_until(lambda: len(self.polls(cell)) >= seen + count, f"{cell.task_id} is looked at")

    def polls(self, cell: Cell) -> list[Any]:
        """Give the requests about the cell's run so far."""
        requests = self.services[cell.row.conn_id].requests
        return [seen for seen in requests if seen.path.startswith(f"/jobs/{cell.task_id}/runs")]

    def result(self, cell: Cell) -> Any:
        """Give the XCom ``run_result``."""
        return self.airflow.xcom(self.dag_id, "run", cell.task_id, "run_result")


def raised(log: str) -> tuple[str, str]:
    """Give the class and the message of the last exception in a log, with empty ones for none."""
    told = [json.loads(line) for line in log.splitlines() if '"error_detail"' in line]  # 3.x logs in JSON
    if told:
        error = told[-1]["error_detail"][0]  # its causes follow
        return error["exc_type"], error["exc_value"]
    found = re.findall(r"^(?:\w+\.)+(\w+): (.*)$", log, re.MULTILINE)
    return found[-1] if found else ("", "")


def words_of(message: str) -> str:
    """Give a message without what differs from run to run, and without the request that it names."""
    without_ids = re.sub(r"run_\d+|'\w+__(deferrable|begun|triggerer|poke|reschedule)'", "ID", message)
    return re.sub(r"\d+:\d\d:\d\d", "T", re.sub(r" \(GET [^)]*\)", "", without_ids))
