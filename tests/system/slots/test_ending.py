"""Waits that end on the triggerer, on a real Airflow: without a worker, and with nothing lost."""

from __future__ import annotations

import pytest
from support.airflow import IS_AIRFLOW_3
from support.users import User

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat.task_ends import TRIGGERS_CAN_END_TASKS
from airflow_provider_datarecs.simulator import Plan

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(not TRIGGERS_CAN_END_TASKS, reason="no trigger ends a task on this Airflow"),
]

COMPLETES = Plan(queued=0, running=0, rows_unmatched=7)
ENDED_HERE = "Ending the task here, without a worker"
AS_BEFORE = ("as_before", "over", "failed", "callback")


class Story:
    """What has become of the DAG run."""

    def __init__(self, airflow, conf):
        self.airflow = airflow
        self.conf = conf

    def states(self):
        return {name: row["state"] for name, row in self.airflow.tasks("ending", "run").items()}

    def starts(self, task_id, map_index=-1):
        started = (self.airflow.dags / "starts.txt").read_text().splitlines()
        return started.count(f"{task_id} {map_index}")

    def ends_here(self, task_id):
        return self.airflow.task_log("ending", task_id).count(ENDED_HERE)

    def xcom(self, task_id, key="return_value"):
        return self.airflow.xcom("ending", "run", task_id, key)

    def keys(self, task_id):
        query = "select key from xcom where dag_id = 'ending' and task_id = :task_id order by key"
        return [row["key"] for row in self.airflow.rows(query, task_id=task_id)]


@pytest.fixture(scope="module")
def story(airflow, world):
    world.add_job("stock", "stock", "ws_production", COMPLETES)
    world.add_job_group("nightly", "nightly", "ws_production", ["stock"])
    owner = world.owners[TargetKind.JOB]["stock"]
    names = ("here", "as_before", "over", "reruns", "callback", "first", "second")
    conf = {name: world.start_run(TargetKind.JOB, owner).id for name in names}
    group = world.owners[TargetKind.JOB_GROUP]["nightly"]
    conf["group"] = world.start_run(TargetKind.JOB_GROUP, group).id
    world.plan_runs("stock", Plan(queued=0, running=0, status="FAILED", error="disk full"))
    conf["failed"] = world.start_run(TargetKind.JOB, owner).id
    airflow.trigger_dag("ending", "run", conf)
    state = lambda: airflow.run_state("ending", "run")  # noqa: E731
    airflow.wait_until(lambda: state() in ("failed", "success"), "the DAG run is over", 420)
    return Story(airflow, conf)


def test_all_that_follows_a_completed_wait_has_run(story):
    states = story.states()
    assert {name for name, state in states.items() if state != "success"} == {"failed", "after_failed"}
    assert (states["failed"], states["after_failed"]) == ("failed", "upstream_failed")


@pytest.mark.parametrize("task_id", ["here", "reruns", "group"])
def test_a_completed_wait_ends_on_the_triggerer(story, task_id):
    assert (story.starts(task_id), story.ends_here(task_id)) == (1, 1)
    assert story.xcom(f"after_{task_id}") == ["COMPLETED", 7]


@pytest.mark.parametrize("task_id", AS_BEFORE)
def test_others_end_on_a_worker(story, task_id):
    assert (story.starts(task_id), story.ends_here(task_id)) == (2, 0)


def test_the_xcoms_are_those_that_a_worker_pushes(story):
    own = ("run_id", "started_at", "completed_at")
    here, before = (
        {key: story.xcom(task_id, key) for key in story.keys(task_id)} for task_id in ("here", "as_before")
    )
    assert here["run_result"] == here["return_value"]
    assert (here["run_result"]["run_id"], here["run_result"]["agreed"]) == (story.conf["here"], True)
    for xcoms in (here, before):
        for value in xcoms.values():
            if isinstance(value, dict):
                assert all(value.pop(name) for name in own)
    assert here == before
    assert (story.xcom("reruns", "run_id"), story.xcom("reruns", "run_ids")) == (
        story.conf["reruns"],
        [story.conf["reruns"]],
    )


def test_mapped_waits_end_on_the_triggerer_each_with_its_result(story):
    assert [story.starts("mapped", index) for index in (0, 1)] == [1, 1]
    assert story.xcom("all_of") == sorted((story.conf["first"], story.conf["second"]))


def test_a_callback_runs_and_the_log_says_why_on_a_worker(story):
    assert (story.airflow.dags / "callbacks.txt").read_text() == "callback -1\n"
    said = (
        "The task will end on a worker in spite of end_from_trigger, since the task has on_success_callback"
    )
    assert story.airflow.task_log("ending", "callback").count(said) == 1


@pytest.mark.skipif(IS_AIRFLOW_3, reason="Airflow 3 takes them from there")
def test_no_request_for_callbacks_is_left_in_the_database(story):
    assert story.airflow.rows("select * from callback_request") == []


def test_a_cleared_task_waits_anew_and_ends_on_the_triggerer_again(story):
    User(story.airflow, "ending").clear("here")
    story.airflow.wait_until(lambda: story.ends_here("here") == 2, "the wait has ended again", 180)
    story.airflow.wait_until(lambda: story.states()["here"] == "success", "the task is a success again")
    assert story.starts("here") == 2
    assert story.xcom("here")["run_id"] == story.conf["here"]
