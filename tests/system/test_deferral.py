"""What a deferred wait costs, and what it survives, on a real Airflow."""

from __future__ import annotations

import signal

import pytest

from airflow_provider_datarecs.simulator import Fault, Plan

pytestmark = [pytest.mark.airflow, pytest.mark.compat]

DAG_ID = "reconcile_first_job_slowly"
DAG = """
from datetime import datetime
from airflow.models.dag import DAG
from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

with DAG(dag_id="{dag_id}", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    trigger = TriggerJobRunOperator(
        task_id="trigger", job_id="job_slow", workspace_id="ws_production"
    )
    wait = JobRunSensor(
        task_id="wait",
        job_id="job_slow",
        workspace_id="ws_production",
        run_id=trigger.output,
        poke_interval=2,
    )
"""


def test_a_deferred_wait_holds_no_process_and_survives_a_killed_triggerer(airflow, live_simulator, statsd):
    world = live_simulator.world
    world.add_job("job_slow", "slow", "ws_production", Plan(queued=0, running=3600))
    live_simulator.faults.append(Fault(method="POST", path="/jobs/job_slow/run", delay=4.0))
    dag_file = airflow.dags / f"{DAG_ID}.py"
    dag_file.write_text(DAG.format(dag_id=DAG_ID))
    airflow.trigger_dag(DAG_ID, "slow")

    def pid_of(task_id, state):
        task = airflow.tasks(DAG_ID, "slow").get(task_id, {})
        return task["pid"] if task.get("state") == state else None

    # A running task is seen by its process, which proves that the look-up below can see one.
    airflow.wait_until(lambda: pid_of("trigger", "running") in airflow.pids(), "trigger runs in a process")
    pid = airflow.wait_until(lambda: pid_of("wait", "deferred"), "wait is deferred")
    airflow.wait_until(lambda: pid not in airflow.pids(), "the process of wait has ended", seconds=15)
    assert airflow.tasks(DAG_ID, "slow")["wait"]["state"] == "deferred"

    polls = lambda: [  # noqa: E731
        seen for seen in live_simulator.requests if seen.path.startswith("/jobs/job_slow/runs")
    ]
    airflow.wait_until(polls, "the trigger has looked")
    (start,) = (seen for seen in live_simulator.requests if seen.path == "/jobs/job_slow/run")
    assert polls()[0].at - start.at > 4.0 + 8.0  # unlike in dag.test(), an executor takes part
    running = "RUNNING: run '"
    told = lambda: airflow.task_log(DAG_ID, "wait").count(running)  # noqa: E731
    airflow.wait_until(told, "the log has what it saw")  # only then is it killed
    metrics = {"airflow.datarecs.requests", "airflow.datarecs.waits", "airflow.datarecs.budget_used"}
    airflow.wait_until(lambda: metrics <= statsd.names(), "the triggerer has sent its metrics")
    airflow.stop("triggerer", signal.SIGKILL)
    airflow.start("triggerer")
    airflow.wait_until(lambda: told() == 2, "the new triggerer has looked")
    world.finish_runs("job_slow")
    airflow.wait_until(lambda: airflow.tasks(DAG_ID, "slow")["wait"]["state"] == "success", "wait has ended")
    assert [seen for seen in live_simulator.requests if seen.path == "/jobs/job_slow/run"] == [start]
    log = airflow.task_log(DAG_ID, "wait")
    counts = {
        "Waiting on the triggerer for run '": 1,
        "A triggerer has taken up the wait for run '": 2,
        running: 2,  # once by each triggerer
        " rows unmatched: run '": 1,
    }
    assert {words: log.count(words) for words in counts} == counts, log
