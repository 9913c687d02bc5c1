"""DAGs that go on, or start, by runs that somebody else has started, on a real Airflow."""

from __future__ import annotations

import signal

import pytest
from support.airflow import IS_AIRFLOW_3, RigError

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AIRFLOW_VERSION
from airflow_provider_datarecs.simulator import Plan

pytestmark = pytest.mark.airflow

NEXT, EACH = "publish_after_the_next_run", "publish_each_run_that_agrees"


@pytest.fixture
def start(live_simulator):
    """Start a run of the daily balance, as DataRecs's own schedule does, and give its id."""
    world = live_simulator.world
    job = world.owners[TargetKind.JOB]["job_daily_balance"]
    plan = job.plan

    def start(unmatched=0):
        job.plan = Plan(
            queued=0, running=2, rows_processed=1000, rows_matched=1000 - unmatched, rows_unmatched=unmatched
        )
        return world.start_run(TargetKind.JOB, job).id

    yield start
    job.plan = plan


def test_the_next_run_is_waited_for(airflow, live_simulator, start):
    before = {run.id for run in live_simulator.world.runs[TargetKind.JOB]}
    airflow.trigger_dag(NEXT, "next")
    tasks = lambda: airflow.tasks(NEXT, "next")  # noqa: E731
    airflow.wait_until(lambda: tasks()["wait"]["state"] == "deferred", "the task waits")
    start()
    airflow.wait_until(lambda: airflow.run_state(NEXT, "next") == "success", "it goes on")
    result = airflow.xcom(NEXT, "next", "wait", "run_result")
    # It is the first of those that anybody starts; other DAGs start some as well.
    assert (result["status"], result["agreed"], result["run_id"] in before) == ("COMPLETED", True, False)
    assert f"run {result['run_id']} says that the data agree" in airflow.task_log(NEXT, "publish")


if IS_AIRFLOW_3:

    def test_each_run_that_agrees_starts_the_dag_once(airflow, start):
        told = lambda: airflow.task_log(EACH, "publish")  # noqa: E731
        # What had ended before the asset was first watched is not told, so that one run comes after another.
        first = start()
        for _ in range(10):
            try:
                airflow.wait_until(lambda run_id=first: f"run {run_id}:" in told(), "told", seconds=75)
                break
            except RigError:
                first = start()
        differs, second = start(unmatched=500), start()
        airflow.wait_until(lambda: f"run {second}:" in told(), "the next one is told", seconds=150)
        if AIRFLOW_VERSION >= (3, 3):
            # Within seconds of telling, a kill would have it told again.
            kept = lambda: airflow.rows("select value from asset_state_store")  # noqa: E731
            airflow.wait_until(lambda: any(second in row["value"] for row in kept()), "it is kept", 60)
            airflow.stop("triggerer", signal.SIGKILL)
            away = start()
            airflow.start("triggerer")
            airflow.wait_until(lambda: f"run {away}:" in told(), "the run in between is told")
        text = told()
        assert differs not in text
        assert text.count(f"run {second}:") == 1
