"""A run is cancelled when a user has ended its task, and never in doubt."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from datetime import datetime, timezone
from types import SimpleNamespace

import pytest
from asgiref.sync import sync_to_async
from support.fakes import run_until_cancelled

from airflow_provider_datarecs import compat
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.compat import AirflowTaskTimeout, task_states
from airflow_provider_datarecs.compat.task_states import TaskState
from airflow_provider_datarecs.polling import kill
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import ApiKey, Fault, Plan
from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

IDS = {"job_id": "job_ledger", "workspace_id": "ws_production"}
MINE, ANOTHER = 7, 8  # ids of triggers
GONE = "gone"


@pytest.fixture
def run(simulator):
    job = simulator.world.owners[TargetKind.JOB]["job_ledger"]
    job.plan = Plan(queued=0, running=3600)
    return simulator.world.start_run(TargetKind.JOB, job)


@pytest.fixture
def airflow_says(monkeypatch):
    """Let Airflow say what state the task is in, and which trigger it waits for."""

    def airflow_says(state, awaited=None):
        def answer(tis):
            if isinstance(state, Exception):
                raise state
            return [None if state == GONE else TaskState(state, awaited) for _ in tis]

        monkeypatch.setattr(task_states, "_states_of", answer)

    return airflow_says


class Log(list):
    def __init__(self):
        for level in ("info", "warning", "error"):
            setattr(
                self, level, lambda line, *more, level=level: self.append(f"{level.upper()} {line % more}")
            )


@pytest.fixture
def log():
    return Log()


async def cancel_run(run, ti, log, **more):
    """Cancel a run as a trigger does whose task may have been killed."""
    job = Target(TargetKind.JOB, "job_ledger", "ws_production")
    where = {"conn_id": "datarecs_default", "ti": ti, "trigger_id": MINE, "log": log}
    await kill.cancel_if_killed(job, run.id, **where, **more)


@pytest.fixture
def cancel(polling_config, ti, run):
    """Cancel a deferred wait as Airflow does when its trigger is wanted no more: twice."""
    polling_config(first_poll=(0.0, 0.0))

    async def go_through(trigger, simulator):
        waiting = asyncio.get_running_loop().create_task(run_until_cancelled(trigger))
        await asyncio.get_running_loop().run_in_executor(None, simulator.wait_for_requests, 1)
        waiting.cancel()
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        # What Airflow does not await goes on in the loop: cancelling the run, and closing the client.
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    def cancel(simulator, *, deadline=3600.0, **more):
        now = time.time()
        trigger = JobRunTrigger(
            **IDS,
            run_id=run.id,
            conn_id="datarecs_default",
            poke_interval=60.0,
            since=now,
            deadline=now + deadline,
            **{"cancel_run_on_kill": True, **more},
        )
        trigger.task_instance, trigger.trigger_id = ti, MINE
        asyncio.run(go_through(trigger, simulator))

    return cancel


@pytest.mark.parametrize("state", ["failed", "success", "removed", None, "scheduled", "queued", "running"])
def test_a_deferred_task_that_a_user_ended_cancels_its_run(simulator, run, cancel, airflow_says, state):
    airflow_says(state)
    cancel(simulator)
    assert run.cancelled_at
    assert "Task 'task' of DAG 'dag', DAG run 'manual" in simulator.requests[-1].body


def test_a_task_that_was_cleared_and_waits_again_cancels_its_run(simulator, run, cancel, airflow_says):
    airflow_says("deferred", ANOTHER)
    cancel(simulator)
    assert run.cancelled_at


@pytest.mark.parametrize(
    ("state", "awaited"),
    [("deferred", MINE), ("deferred", None), ("skipped", None), (GONE, None), (OSError("no database"), None)],
    ids=str,
)
def test_a_restart_and_doubt_leave_the_run_alone(simulator, run, cancel, airflow_says, state, awaited):
    airflow_says(state, awaited)
    cancel(simulator)
    assert run.cancelled_at is None


def test_airflow_that_says_nothing_leaves_the_run_alone(simulator, run, cancel, monkeypatch, polling_config):
    polling_config(ask_airflow_within=0.05)
    monkeypatch.setattr(task_states, "_states_of", lambda _tis: (time.sleep(0.5), [TaskState("failed")])[1])
    cancel(simulator)
    assert run.cancelled_at is None


def test_the_time_for_airflows_answer_counts_from_when_it_is_asked(
    simulator, run, airflow_says, ti, polling_config, log
):
    airflow_says("failed")
    polling_config(ask_airflow_within=0.2)

    async def after_another_question():
        # Whatever asks Airflow something does so in one thread.
        other = asyncio.ensure_future(sync_to_async(time.sleep)(0.5))
        await asyncio.sleep(0)
        await cancel_run(run, ti, log)
        await other

    asyncio.run(after_another_question())
    assert run.cancelled_at


@pytest.fixture
def asked(monkeypatch):
    """Note about how many tasks Airflow is asked at a time, all of which a user has ended."""
    asked = []
    monkeypatch.setattr(
        task_states, "_states_of", lambda tis: asked.append(len(tis)) or [TaskState("failed") for _ in tis]
    )
    return asked


@pytest.fixture
def unlimited(simulator, connect):
    """Leave no pace to keep."""
    simulator.world.rate_limit.requests = 10**6
    connect(simulator.url, extra={"requests_per_minute": 10**6})


def test_airflow_is_asked_about_many_tasks_at_once(simulator, unlimited, asked, ti, log):
    job = simulator.world.owners[TargetKind.JOB]["job_ledger"]
    job.plan = Plan(queued=0, running=3600)
    runs = [simulator.world.start_run(TargetKind.JOB, job) for _ in range(120)]

    async def all_at_once():
        await asyncio.gather(*(cancel_run(run, ti, log) for run in runs))

    asyncio.run(all_at_once())
    assert asked == [50, 50, 20]
    assert all(run.cancelled_at for run in runs)


def test_a_process_that_stops_names_what_it_leaves(simulator, run, ti, asked, log):
    simulator.faults.append(Fault(method="POST", times=None, status=429, headers={"Retry-After": "3600"}))

    async def stopped():
        cancelling = asyncio.ensure_future(cancel_run(run, ti, log))
        await asyncio.get_running_loop().run_in_executor(None, simulator.wait_for_requests, 1)
        cancelling.cancel()
        await asyncio.wait([cancelling])

    asyncio.run(stopped())
    (line,) = log
    assert line.startswith(
        f"ERROR Cancelling failed, so that it may go on: run {run.id!r} of job 'job_ledger' in"
    )
    assert "this process stops before DataRecs has answered. Cancel it at DataRecs." in line


def test_what_the_rate_limit_leaves_no_time_for_is_named(simulator, run, ti, asked, log):
    simulator.faults.append(Fault(method="POST", times=None, status=429, headers={"Retry-After": "3600"}))
    asyncio.run(cancel_run(run, ti, log, within=0.5))
    (line,) = log
    assert line.startswith(
        f"ERROR Cancelling failed, so that it may go on: run {run.id!r} of job 'job_ledger' in"
    )
    assert "its turn within the rate limit has not come" in line
    assert len(simulator.requests) == 1


def test_a_429_is_waited_out(simulator, run, ti, asked, log, unlimited, monkeypatch):
    monkeypatch.setattr("airflow_provider_datarecs.api.retry.MIN_LIMIT_WAIT", 0.01)
    simulator.faults.append(Fault(method="POST", times=2, status=429, headers={"Retry-After": "0"}))
    asyncio.run(cancel_run(run, ti, log))
    assert run.cancelled_at
    assert [seen.status for seen in simulator.requests] == [429, 429, 202]


def test_the_run_is_left_alone_unless_it_is_asked_for(simulator, run, cancel, airflow_says):
    airflow_says("failed")
    cancel(simulator, cancel_run_on_kill=False)
    assert run.cancelled_at is None


def test_a_timeout_leaves_the_run_alone(simulator, run, airflow_says, ti):
    airflow_says("scheduled")
    trigger = JobRunTrigger(
        **IDS, run_id=run.id, conn_id="datarecs_default", poke_interval=60.0, since=0, deadline=1,
        cancel_run_on_kill=True,
    )  # fmt: skip
    trigger.task_instance, trigger.trigger_id = ti, MINE
    asyncio.run(trigger.on_kill())
    assert (run.cancelled_at, simulator.requests) == (None, [])


@pytest.fixture
def poking(ti, run, polling_config):
    """Make a sensor that waits in its process."""
    polling_config(min_poke_interval=0.01)
    sensor = JobRunSensor(
        task_id="wait",
        **IDS,
        run_id=run.id,
        deferrable=False,
        cancel_run_on_kill=True,
        poke_interval=0.1,
        timeout=0.1,
    )
    with contextlib.suppress(compat.AirflowSensorTimeout):
        sensor.execute({"ti": ti})
    return sensor


def kill_task(sensor):
    """Kill a task as Airflow does, and wait for what it does about that."""
    sensor.on_kill()
    for thread in threading.enumerate():
        if thread.name == "cancel-run":
            thread.join()


@pytest.mark.parametrize("state", ["failed", "success", "restarting"])
def test_a_task_in_its_process_cancels_its_run(simulator, run, poking, airflow_says, state):
    airflow_says(state)
    kill_task(poking)
    assert run.cancelled_at


@pytest.mark.parametrize("state", ["running", "queued", None, "up_for_retry", "skipped"])
def test_a_worker_that_stops_leaves_the_run_alone(simulator, run, poking, airflow_says, state):
    airflow_says(state)
    kill_task(poking)
    assert run.cancelled_at is None


def test_an_execution_timeout_in_a_process_leaves_the_run_alone(simulator, run, poking, airflow_says):
    airflow_says("failed")
    try:
        raise AirflowTaskTimeout  # noqa: TRY301 - as Airflow does
    except AirflowTaskTimeout:
        kill_task(poking)
    assert run.cancelled_at is None


@pytest.fixture
def told(poking, airflow_says, capfd, caplog):
    """End a task that waits in its process, and give what its log says."""

    def told():
        airflow_says("failed")
        kill_task(poking)
        sys.stdout.flush()
        return caplog.text + "".join(capfd.readouterr())

    return told


def test_a_service_that_does_not_offer_it_is_told(simulator, run, told):
    simulator.world.behaviour.offers_cancel = False
    assert f"does not offer that: run {run.id!r} of job 'job_ledger' in workspace 'ws_production'" in told()


@pytest.mark.parametrize(
    ("fault", "times"), [({"status": 503}, 3), ({"drop": "before"}, 3), ({"status": 409}, 1)], ids=str
)
def test_a_cancellation_that_fails_is_tried_again_where_that_helps_and_told(
    simulator, run, told, fault, times, unlimited, polling_config
):
    polling_config(cancel_pause=0.0)
    simulator.faults.append(Fault(method="POST", times=None, **fault))
    assert "Cancelling failed, so that it may go on" in told()
    assert [seen.method for seen in simulator.requests].count("POST") == times


def test_a_cancellation_that_works_after_all_is_one(simulator, run, told, unlimited, polling_config):
    polling_config(cancel_pause=0.0)
    simulator.faults.append(Fault(method="POST", times=2, status=503))
    assert f"Asked DataRecs to cancel, since a user has ended the task: run {run.id!r}" in told()
    assert run.cancelled_at


def test_a_key_that_was_replaced_is_read_anew(simulator, run, told, connect):
    connect(simulator.url, password="the-new-one")
    simulator.world.api_keys = [ApiKey("the-new-one")]
    assert f"Asked DataRecs to cancel, since a user has ended the task: run {run.id!r}" in told()


def task(task_id, map_index=-1):
    return SimpleNamespace(dag_id="d", task_id=task_id, run_id="r", map_index=map_index, try_number=1)


if compat.AIRFLOW_VERSION >= (3, 0):

    @pytest.fixture
    def states(monkeypatch):
        """Set the states that Airflow gives, and the try that each task has noted; give what it is asked."""
        from airflow.sdk.bases.xcom import BaseXCom
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        def states(states, noted=None):
            asked = []
            monkeypatch.setattr(
                RuntimeTaskInstance, "get_task_states", lambda **more: asked.append(more) or {"r": states}
            )
            monkeypatch.setattr(BaseXCom, "get_one", lambda **_: noted)
            return asked

        return states

    @pytest.mark.parametrize(
        ("state", "noted", "killed"),
        [("failed", 1, True), ("deferred", 1, False), ("deferred", None, False), ("deferred", 2, True)],
    )
    def test_a_mapped_task_is_known_by_its_index_and_its_try(states, state, noted, killed):
        states({"t_3": state, "t": "running"}, noted)
        assert task_states.are_killed([(task("t", 3), MINE)]) == [killed]

    def test_the_tasks_of_a_dag_run_are_asked_about_by_one_question(states):
        asked = states({"t_0": "failed", "t_1": "skipped", "u": "success"})
        tasks = [(one, MINE) for one in (task("u"), task("t", 1), task("t", 0), task("t", 2), task("v"))]
        assert task_states.are_killed(tasks) == [True, False, True, None, None]
        assert asked == [{"dag_id": "d", "task_ids": ["t", "u", "v"], "run_ids": ["r"]}]

else:

    def test_the_tasks_of_a_dag_run_are_asked_about_by_one_query(airflow_db, monkeypatch):
        from airflow.models.dag import DAG
        from airflow.utils import session as sessions
        from airflow.utils.state import DagRunState, TaskInstanceState

        start = datetime(2024, 1, 1, tzinfo=timezone.utc)
        with DAG(dag_id="d", schedule=None, start_date=start) as dag:
            for task_id in ("failed", "deferred"):
                JobRunSensor(task_id=task_id, **IDS, run_id="r")
        dag.sync_to_db()
        dag_run = dag.create_dagrun(
            run_id="r", execution_date=start, state=DagRunState.RUNNING, data_interval=(start, start)
        )
        with sessions.create_session() as session:
            for ti in dag_run.get_task_instances(session=session):
                ti.state = TaskInstanceState(ti.task_id)
        used = []
        create = sessions.create_session
        monkeypatch.setattr(sessions, "create_session", lambda: used.append(1) or create())
        tasks = [(task(task_id), MINE) for task_id in ("deferred", "gone", "failed")]
        assert task_states.are_killed(tasks) == [False, None, True]
        assert len(used) == 1
