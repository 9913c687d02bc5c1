"""Waits that begin on the triggerer, on a real Airflow: without a worker, and with nothing lost."""

from __future__ import annotations

import re
import signal

import pytest
from airflow.provider.datarecs.links.run import DataRecsRunLink
from support.users import User

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat.task_starts import TRIGGERS_CAN_START_TASKS
from airflow_provider_datarecs.simulator import Plan

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(not TRIGGERS_CAN_START_TASKS, reason="no trigger starts a task on this Airflow"),
]

HERE = "Waiting on the triggerer, without a worker"
ON_WORKER = "Waiting on the triggerer for"


class Story:
    """What has become of the DAG run."""

    def __init__(self, airflow, world):
        self.airflow = airflow
        self.world = world

    def task(self, name):
        return self.airflow.tasks("beginning", "run").get(name, {"state": None, "hostname": None})

    def log(self, name):
        return self.airflow.task_log("beginning", name)

    def wait_for(self, state, *names):
        self.airflow.wait_until(
            lambda: {self.task(name)["state"] for name in names} == {state}, f"{names} are {state}"
        )

    def result(self, name):
        return self.airflow.xcom("beginning", "run", name, "run_result")

    def saw_a_worker(self, name):
        return bool(self.task(name)["hostname"])


@pytest.fixture(scope="module")
def story(airflow, world):
    world.add_job("ledger", "ledger", "ws_production", Plan(queued=0, running=0, rows_unmatched=7))
    owner = world.owners[TargetKind.JOB]["ledger"]
    conf = {name: world.start_run(TargetKind.JOB, owner).id for name in ("one", "two")}
    for name, plan in {
        "failed": Plan(queued=0, running=0, status="FAILED", error="disk full"),
        "long": Plan(queued=0, running=3600),
        "then": Plan(queued=0, running=0, rows_unmatched=7),
    }.items():
        world.plan_runs("ledger", plan)
        conf[name] = world.start_run(TargetKind.JOB, owner).id
    airflow.trigger_dag("beginning", "run", conf)
    airflow.trigger_dag("needing", "run", {"needed": "x", "one": conf["one"], "two": conf["two"]})
    return Story(airflow, world)


def test_a_wait_begins_and_ends_without_a_worker(story):
    story.wait_for("success", "neither", "group.wait", "group.result")
    assert [story.saw_a_worker(name) for name in ("neither", "group.wait")] == [False, False]
    assert story.log("neither").count(HERE) == 1
    assert (story.result("neither")["status"], story.result("neither")["rows_unmatched"]) == ("COMPLETED", 7)


def test_a_wait_may_begin_without_a_worker_and_end_on_one(story):
    story.wait_for("success", "first", "output")
    for name in ("first", "output"):
        assert story.saw_a_worker(name)
        assert (story.log(name).count(HERE), story.log(name).count(ON_WORKER)) == (1, 0)
        assert story.result(name)["status"] == "COMPLETED"


def test_a_run_that_failed_fails_the_task_on_a_worker(story):
    story.wait_for("failed", "failed")
    assert story.saw_a_worker("failed")
    assert "disk full" in story.log("failed")


def test_mapped_waits_begin_on_workers_and_say_nothing_wrong(story):
    story.wait_for("success", "mapped[0]", "mapped[1]")
    assert story.log("mapped").count(ON_WORKER) == 2
    assert story.log("mapped").count(HERE) == 0


def test_what_takes_a_worker_begins_on_one_and_the_log_says_why(story):
    story.wait_for("deferred", "limited")
    why = "The wait begins on a worker in spite of start_from_trigger, since the task has execution_timeout"
    assert story.log("limited").count(why) == 1


def test_a_template_that_finds_nothing_goes_to_a_worker_and_hangs_nowhere(story):
    story.wait_for("failed", "nothing")
    why = "begins on a worker, since the triggerer could not begin it (task 'trigger' has no XCom"
    assert why in story.log("nothing")
    story.wait_for("success", "mistaken")
    assert story.result("mistaken")["status"] == "COMPLETED"


def test_a_killed_triggerer_begins_it_anew_with_the_same_deadline(story):
    story.airflow.wait_until(lambda: story.log("long").count("RUNNING: run '") == 1, "the run was seen")
    story.airflow.stop("triggerer", signal.SIGKILL)
    story.airflow.start("triggerer")
    story.airflow.wait_until(lambda: story.log("long").count("RUNNING: run '") == 2, "it was seen again")
    told = re.findall(f"{HERE}.* until (.*) at the latest", story.log("long"))
    assert len(told) == 2
    assert len(set(told)) == 1
    story.world.finish_runs("ledger")
    story.wait_for("success", "long", "limited")
    assert not story.saw_a_worker("long")


def test_its_link_leads_to_the_run(story):
    link = story.airflow.xcom("beginning", "run", "neither", DataRecsRunLink().xcom_key)
    assert story.result("neither")["run_id"] in link


def test_what_a_triggerer_cannot_have_begins_on_workers_and_stops_no_triggerer(story):
    waits = ("plain", "mapped[0]", "mapped[1]")
    tasks = lambda: story.airflow.tasks("needing", "run")  # noqa: E731
    story.airflow.wait_until(
        lambda: [tasks().get(name, {}).get("state") for name in waits] == ["success"] * 3, "all have ended"
    )
    why = "since the param 'needed' has no default, for which Airflow would stop the triggerer"
    assert story.airflow.task_log("needing", "plain").count(why) == 1
    assert story.airflow.task_log("needing", "mapped").count(ON_WORKER) == 2


def test_a_cleared_wait_begins_on_a_worker_with_nothing_left_of_before(story):
    # What is cleared just as its DAG run ends stays cleared.
    story.airflow.wait_until(lambda: story.airflow.run_state("beginning", "run") == "failed", "all has ended")
    User(story.airflow, "beginning").clear("neither")
    story.airflow.wait_until(lambda: story.log("neither").count(ON_WORKER) == 1, "the wait has begun again")
    story.wait_for("success", "neither")
    assert "it is a retry, or was cleared, which takes a worker" in story.log("neither")
    assert story.task("neither")["duration"] > 0
    assert story.result("neither")["status"] == "COMPLETED"
