"""Waits that begin on the triggerer, on a real Airflow: without a worker, and with nothing lost."""

from __future__ import annotations

import re
import secrets
import signal

import pytest
from airflow.provider.datarecs.links.run import DataRecsRunLink
from support.airflow import Airflow
from support.users import User

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat.task_starts import TRIGGERS_CAN_START_TASKS
from airflow_provider_datarecs.simulator import ApiKey, Plan, Simulator, World

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(not TRIGGERS_CAN_START_TASKS, reason="no trigger starts a task on this Airflow"),
]

DAG = """
from datetime import datetime, timedelta
from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow.providers.datarecs.sensors.job_run import JobRunSensor
from airflow.providers.datarecs.task_groups.reconcile import reconcile
from airflow.sdk import DAG, Param, task

WAITS = {
    "neither": {"run_id": "{{ ti.xcom_pull(task_ids='trigger', key='run_id') }}", "end_from_trigger": True},
    "first": {"run_id": "{{ ti.xcom_pull(task_ids='trigger', key='run_id') }}"},
    "failed": {"run_id": "{{ dag_run.conf['failed'] }}", "end_from_trigger": True},
    "limited": {"run_id": "{{ dag_run.conf['long'] }}", "execution_timeout": timedelta(hours=2)},
    "mistaken": {"run_id": "{{ ti.xcom_pull(task_ids='ids')[0] }}"},
    "nothing": {"run_id": "{{ ti.xcom_pull(task_ids='trigger', key='no_such_key') }}"},
    "long": {"run_id": "{{ dag_run.conf['long'] }}", "end_from_trigger": True},
}

@task
def ids(dag_run):
    return [dag_run.conf["one"], dag_run.conf["two"]]

with DAG(
    dag_id="beginning",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    default_args={"start_from_trigger": True, "poke_interval": 2},
):
    of_job = {"job_id": "ledger", "workspace_id": "ws_production"}
    trigger = TriggerJobRunOperator(task_id="trigger", **of_job)
    both = ids()
    for name, more in WAITS.items():
        [trigger, both] >> JobRunSensor(task_id=name, **of_job, **more)
    output = JobRunSensor(task_id="output", **of_job, run_id=trigger.output)
    mapped = JobRunSensor.partial(task_id="mapped", **of_job, end_from_trigger=True).expand(run_id=both)
    reconcile(group_id="group", **of_job, end_from_trigger=True)

with DAG(
    dag_id="needing",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    params={"needed": Param(type="string"), "one": Param(""), "two": Param("")},
):
    more = {**of_job, "start_from_trigger": True, "end_from_trigger": True, "poke_interval": 2}
    JobRunSensor(task_id="plain", run_id="{{ params.one }}", **more)
    JobRunSensor.partial(task_id="mapped", **more).expand(run_id=["{{ params.one }}", "{{ params.two }}"])
"""
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
def story(database_of, tmp_path_factory):
    # Not the Airflow of the other tests, where OpenLineage listens to what workers do.
    key = ApiKey(secrets.token_hex(16))
    world = World(api_keys=[key])
    world.add_workspace("ws_production", "Production")
    owner = world.add_job("ledger", "ledger", "ws_production", Plan(queued=0, running=0, rows_unmatched=7))
    owner = world.owners[TargetKind.JOB]["ledger"]
    conf = {name: world.start_run(TargetKind.JOB, owner).id for name in ("one", "two")}
    for name, plan in {
        "failed": Plan(queued=0, running=0, status="FAILED", error="disk full"),
        "long": Plan(queued=0, running=3600),
        "then": Plan(queued=0, running=0, rows_unmatched=7),
    }.items():
        world.plan_runs("ledger", plan)
        conf[name] = world.start_run(TargetKind.JOB, owner).id
    folder = tmp_path_factory.mktemp("beginning")
    dags = folder / "dags"
    dags.mkdir()
    (dags / "beginning.py").write_text(DAG)
    with Simulator(world) as simulator, Airflow(
        folder / "airflow", dags, host=simulator.url, api_key=key.key, environ=database_of("beginning")
    ) as airflow:
        console = "https://app.datarecs.example"
        airflow.set_connection("datarecs_default", simulator.url, key.key, console_url=console)
        airflow.trigger_dag("beginning", "run", conf)
        airflow.trigger_dag("needing", "run", {"needed": "x", "one": conf["one"], "two": conf["two"]})
        yield Story(airflow, world)


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
