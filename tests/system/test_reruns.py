"""Reruns on a real Airflow: in each mode, mapped, over a lost triggerer, and none after a kill."""

from __future__ import annotations

import signal

import pytest
from support.users import User

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import Plan

pytestmark = pytest.mark.airflow

DAG = """
from datetime import datetime
from airflow.models.dag import DAG
from airflow.decorators import task_group
from airflow.providers.datarecs.task_groups.reconcile import reconcile

MODES = {
    "poke": {"deferrable": False, "mode": "poke"},
    "reschedule": {"deferrable": False, "mode": "reschedule"},
}

@task_group
def each(job_id, workspace_id):
    reconcile("job", job_id=job_id, workspace_id=workspace_id, poke_interval=2, reruns=1)

with DAG(dag_id="reruns", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    for name, delay in {"flaky": 3, "broken": 0, "killed_waiting": 0, "killed_in_delay": 3600}.items():
        reconcile(
            name, job_id=name, workspace_id="ws_production", poke_interval=2, reruns=2, rerun_delay=delay
        )
    for mode, default_args in MODES.items():
        reconcile(
            mode,
            job_id=mode,
            workspace_id="ws_production",
            poke_interval=10 if mode == "reschedule" else 2,
            reruns=2,
            default_args=default_args,
        )
    jobs = [{"job_id": job_id, "workspace_id": "ws_production"} for job_id in ("first", "second")]
    each.expand_kwargs(jobs)
"""
FAILS = Plan(queued=0, running=3, status="FAILED", error="disk full")
GOES_ON = Plan(queued=0, running=36_000)
COMPLETES = Plan(queued=0, running=5, rows_unmatched=7)
JOBS = {
    "flaky": (FAILS, GOES_ON),
    "broken": (FAILS, FAILS),
    "killed_waiting": (GOES_ON, COMPLETES),
    "killed_in_delay": (FAILS, COMPLETES),
    "poke": (FAILS, COMPLETES),
    "reschedule": (FAILS, COMPLETES),
    "first": (FAILS, COMPLETES),
    "second": (COMPLETES, COMPLETES),
}


class Story:
    """What becomes of the DAG run, here and at DataRecs."""

    def __init__(self, airflow, world):
        self.airflow = airflow
        self.world = world

    def runs(self, job_id):
        return [run.id for run in self.world.runs[TargetKind.JOB] if run.owner.id == job_id]

    def state(self, task_id):
        return self.airflow.tasks("reruns", "run").get(task_id, {}).get("state")

    def wait_for_state(self, task_id, state):
        try:
            self.airflow.wait_until(lambda: self.state(task_id) == state, f"{task_id} is {state}")
        except Exception as error:
            raise AssertionError(f"{error}: {self.state(task_id)}\n{self.log(task_id)[-6000:]}") from error

    def wait_for_log(self, task_id, words):
        self.airflow.wait_until(lambda: words in self.log(task_id), f"{task_id} logs {words!r}", 120)

    def log(self, task_id):
        return self.airflow.task_log("reruns", task_id)

    def xcom(self, task_id, key):
        return self.airflow.xcom("reruns", "run", task_id, key)


@pytest.fixture(scope="module")
def story(airflow, live_simulator):
    world = live_simulator.world
    for job_id, (plan, _) in JOBS.items():
        world.add_job(job_id, job_id, "ws_production", plan)
    (airflow.dags / "reruns.py").write_text(DAG)
    story = Story(airflow, world)
    airflow.trigger_dag("reruns", "run")
    for job_id, (_, next_plan) in JOBS.items():
        airflow.wait_until(lambda job_id=job_id: story.runs(job_id), f"{job_id} runs")
        world.plan_runs(job_id, next_plan)
    return story


def test_a_user_who_ends_the_wait_for_a_run_or_for_a_delay_ends_all_of_it(story):
    user = User(story.airflow, "reruns")
    story.wait_for_log("killed_in_delay.wait", "FAILED, started anew in")
    for name in ("killed_waiting", "killed_in_delay"):
        story.wait_for_state(f"{name}.wait", "deferred")
        user.mark(f"{name}.wait", "failed")
    story.world.finish_runs("killed_waiting")


def test_a_rerun_goes_on_where_the_triggerer_dies(story):
    story.airflow.wait_until(lambda: len(story.runs("flaky")) == 2, "the rerun is started")
    story.wait_for_state("flaky.wait", "deferred")
    first, second = story.runs("flaky")
    story.wait_for_log("flaky.wait", f"A triggerer has taken up the wait for run {second!r}")
    story.airflow.stop("triggerer", signal.SIGKILL)
    story.airflow.start("triggerer")
    story.world.plan_runs("flaky", COMPLETES)
    story.world.finish_runs("flaky")
    story.wait_for_state("flaky.result", "success")
    assert story.runs("flaky") == story.xcom("flaky.wait", "run_ids") == [first, second]
    assert (story.xcom("flaky.trigger", "run_id"), story.xcom("flaky.wait", "run_id")) == (first, second)
    assert story.xcom("flaky.result", "run_result")["status"] == "COMPLETED"


def test_all_runs_that_failed_are_named(story):
    story.wait_for_state("broken.wait", "failed")
    first, second, third = story.runs("broken")
    assert f", a rerun after {first!r}, {second!r}, FAILED as well" in story.log("broken.wait")
    assert story.xcom("broken.wait", "run_ids") == [first, second, third]
    story.wait_for_state("broken.result", "upstream_failed")


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_other_modes_start_runs_anew_as_well(story, mode):
    story.wait_for_state(f"{mode}.result", "success")
    first, second = story.runs(mode)
    assert story.xcom(f"{mode}.wait", "run_ids") == [first, second]
    assert story.xcom(f"{mode}.result", "run_result")["rows_unmatched"] == 7


def test_mapped_groups_have_each_their_own_reruns(story):
    for index in (0, 1):
        story.wait_for_state(f"each.job.result[{index}]", "success")
    assert (len(story.runs("first")), len(story.runs("second"))) == (2, 1)


def test_nothing_was_started_after_a_kill(story):
    # Last, so that there was time for it.
    for name in ("killed_waiting", "killed_in_delay"):
        assert story.state(f"{name}.wait") == "failed"
        assert len(story.runs(name)) == 1
