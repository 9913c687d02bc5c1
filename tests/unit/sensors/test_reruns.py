"""Reruns: a run that FAILED is started anew, each rerun once, whatever becomes of the task's processes."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from support.fakes import FakeTaskInstance
from support.logs import Log

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import (
    AIRFLOW_VERSION,
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow_provider_datarecs.exceptions import DataRecsRunUncertain
from airflow_provider_datarecs.polling.reruns import due_at, run_ids_of
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Fault, Plan
from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

pytestmark = pytest.mark.compat

if AIRFLOW_VERSION >= (3, 2):
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
else:
    from airflow.exceptions import AirflowRescheduleException, TaskDeferred

FAILS = Plan(queued=0, running=0, status="FAILED", error="disk full")
COMPLETES = Plan(queued=0, running=0)
CANCELS = Plan(queued=0, running=0, status="CANCELLED")
GOES_ON = Plan(queued=0, running=3600)
DEFERRABLE, POKE = {}, {"deferrable": False, "mode": "poke"}
RESCHEDULE = {"deferrable": False, "mode": "reschedule"}
RUN_PATH = "/jobs/job_ledger/run"


@pytest.fixture(autouse=True)
def hurried(monkeypatch, polling_config):
    polling_config(min_poke_interval=0.01)
    monkeypatch.setattr("airflow_provider_datarecs.api.retry._backoff", lambda _state: 0.0)
    monkeypatch.setattr(contract, "NOT_VISIBLE_GRACE", 0.0)


class Rescheduled(FakeTaskInstance):
    """Knows of its first poll, as Airflow does."""

    first = None

    def note_reschedule(self):
        self.first = self.first or datetime.now(timezone.utc)

    def get_first_reschedule_date(self, context):
        return self.first


class Task:
    """Run the task as Airflow does, each of its processes with a sensor of its own; its runs go by plans."""

    cls = JobRunSensor
    kind = TargetKind.JOB
    target = "job_ledger"

    def __init__(self, simulator, plans, **arguments):
        self.world = simulator.world
        self.arguments = {"poke_interval": 0.02, "timeout": 60, **arguments}
        self.ti = Rescheduled(start_date=datetime.now(timezone.utc))
        self.log = Log()
        self.plans = list(plans)
        self.plan_next()
        self.first = self.world.start_run(self.kind, self.world.owners[self.kind][self.target]).id
        self.plan_next()
        self.deferrals = []

    def plan_next(self):
        if self.plans:
            plan = self.plans.pop(0)
            for job in self.world.owners[TargetKind.JOB].values():
                job.plan = plan

    @property
    def runs(self):
        return [run.id for run in self.world.runs[self.kind]]

    def sensor(self):
        log = self.log

        class Logged(self.cls):
            @property
            def log(self):
                return log

        ids = {self.kind.id_field: self.target, "workspace_id": "ws_production"}
        return Logged(task_id="t", **ids, run_id=self.first, **self.arguments)

    @property
    def context(self):
        return {"ti": self.ti}

    def begin(self):
        """Run the task's first process, and give what it defers to."""
        with pytest.raises(TaskDeferred) as deferred:
            self.sensor().execute(self.context)
        return self.defer(deferred.value)

    def defer(self, deferred):
        _, arguments = deferred.trigger.serialize()
        self.deferrals.append(json.loads(json.dumps(arguments)))
        return type(deferred.trigger)(**self.deferrals[-1])

    def event_of(self, trigger):
        async def events():
            return [event.payload async for event in trigger.run()]

        (event,) = asyncio.run(asyncio.wait_for(events(), 30))
        return json.loads(json.dumps(event))

    def resume(self, event):
        return self.sensor().resume_execution("execute_complete", {"event": event}, self.context)

    def finish(self, trigger):
        """Let a deferred task go on to its end."""
        while True:
            event = self.event_of(trigger)
            try:
                return self.resume(event)
            except TaskDeferred as deferred:
                trigger = self.defer(deferred)
                self.plan_next()

    def run(self):
        """Run all processes of the task in its mode, and give what it returns."""
        if self.arguments.get("deferrable", True):
            return self.finish(self.begin())
        while True:
            try:
                return self.sensor().execute(self.context)
            except AirflowRescheduleException as until:  # noqa: PERF203 - as often as it is rescheduled
                self.ti.note_reschedule()
                time.sleep(max(0.0, until.reschedule_date.timestamp() - time.time()))

    def retry(self):
        self.ti.try_number += 1


class GroupTask(Task):
    cls, kind, target = JobGroupRunSensor, TargetKind.JOB_GROUP, "grp_nightly"


@pytest.fixture
def task(request, simulator, airflow_db):
    def task(*plans, cls=Task, **arguments):
        return cls(simulator, plans, **{"reruns": 1, **arguments})

    return task


def starts(simulator):
    return [seen for seen in simulator.requests if seen.method == "POST"]


# On 2.x a sensor in reschedule mode asks Airflow's database, which knows nothing of this task instance.
MODES = pytest.mark.parametrize(
    "mode",
    [DEFERRABLE, POKE, *([RESCHEDULE] if AIRFLOW_VERSION >= (3, 0) else [])],
    ids=lambda mode: mode.get("mode", "deferrable"),
)


@MODES
@pytest.mark.parametrize("cls", [Task, GroupTask])
def test_a_run_that_failed_is_started_anew(simulator, task, mode, cls):
    one = task(FAILS, COMPLETES, cls=cls, **mode)
    result = one.run()
    assert result["status"] == "COMPLETED"
    assert len(one.runs) == 2
    (start,) = starts(simulator)
    assert start.headers["Idempotency-Key"]
    assert one.world.runs[one.kind][-1].label == f"rerun 1 of {one.first}"
    assert {key: one.ti.xcoms[key] for key in ("run_id", "run_ids", "workspace_id", one.kind.id_field)} == {
        "run_id": one.runs[-1],
        "run_ids": one.runs,
        "workspace_id": "ws_production",
        one.kind.id_field: one.target,
    }
    assert one.ti.xcoms["run_result"] == result


@MODES
def test_a_rerun_that_is_cancelled_is_not_told_as_failed(simulator, task, mode):
    one = task(FAILS, CANCELS, **mode)
    with pytest.raises(AirflowException) as failed:
        one.run()
    first, second = one.runs
    assert str(failed.value).startswith(f"CANCELLED: run {second!r}")
    assert f", a rerun after {first!r}, which FAILED. Error: none given" in str(failed.value)


@MODES
def test_after_the_last_rerun_the_task_fails_and_names_all_runs(simulator, task, mode):
    one = task(FAILS, reruns=2, **mode)
    with pytest.raises(AirflowException) as failed:
        one.run()
    first, second, third = one.runs
    assert str(failed.value).startswith(f"FAILED: run {third!r}")
    assert f", a rerun after {first!r}, {second!r}, FAILED as well. Error: disk full" in str(failed.value)
    assert one.ti.xcoms["run_ids"] == one.runs
    labels = [run.label for run in one.world.runs[TargetKind.JOB]]
    assert labels == [None, f"rerun 1 of {first}", f"rerun 2 of {first}"]
    assert len({seen.headers["Idempotency-Key"] for seen in starts(simulator)}) == 2


@MODES
@pytest.mark.parametrize("plan", [CANCELS, COMPLETES], ids=["cancelled", "completed"])
def test_only_a_run_that_failed_is_started_anew(simulator, task, mode, plan):
    one = task(plan, **mode)
    if plan is CANCELS:
        with pytest.raises(AirflowException, match="CANCELLED"):
            one.run()
    else:
        one.run()
    assert starts(simulator) == []
    assert one.ti.xcoms["run_ids"] == one.runs == [one.first]


@MODES
def test_without_reruns_nothing_is_started_and_nothing_more_is_pushed(simulator, task, mode):
    one = task(FAILS, reruns=0, **mode)
    with pytest.raises(AirflowException, match="FAILED"):
        one.run()
    assert starts(simulator) == []
    assert {"run_id", "run_ids"}.isdisjoint(one.ti.xcoms)


@MODES
def test_soft_fail_skips_only_what_the_last_rerun_leaves(simulator, task, mode):
    one = task(FAILS, COMPLETES, soft_fail=True, **mode)
    assert one.run()["status"] == "COMPLETED"
    with pytest.raises(AirflowSkipException):
        task(FAILS, soft_fail=True, **mode).run()


def test_the_log_tells_each_runs_story(task):
    one = task(FAILS, COMPLETES)
    one.run()
    first, second = one.runs
    text = "\n".join(one.log)
    told = [
        f"for run {first!r}",
        f"FAILED: run {first!r}",
        "disk full",
        f"Rerun 1 of 1, after {first!r}: run {second!r}",
        f"for run {second!r}",
        f"COMPLETED, 0 of 1,000 rows unmatched: run {second!r}",
    ]
    positions = [text.index(words) for words in told]
    assert positions == sorted(positions)


def test_the_timeout_is_for_all_runs_together(simulator, task):
    one = task(FAILS, GOES_ON, timeout=3)
    trigger = one.begin()
    one.ti.start_date -= timedelta(seconds=2)
    began = time.time()
    with pytest.raises(AirflowSensorTimeout):
        one.finish(trigger)
    assert one.deferrals[1]["deadline"] == pytest.approx(one.ti.start_date.timestamp() + 3)
    assert time.time() - began < 3


def test_no_rerun_is_started_when_the_time_is_over(simulator, task):
    one = task(FAILS, timeout=30)
    trigger = one.begin()
    one.ti.start_date -= timedelta(seconds=31)
    with pytest.raises(AirflowException, match="FAILED"):
        one.finish(trigger)
    assert starts(simulator) == []
    assert any("No rerun, since the time of this wait is over" in line for line in one.log)


@MODES
def test_no_rerun_is_started_whose_delay_ends_after_the_deadline(simulator, task, mode):
    one = task(FAILS, timeout=30, rerun_delay=timedelta(minutes=1), **mode)
    with pytest.raises(AirflowException, match="FAILED"):
        one.run()
    assert starts(simulator) == []


@MODES
def test_a_rerun_waits_for_its_delay(simulator, task, mode):
    one = task(FAILS, COMPLETES, rerun_delay=timedelta(seconds=1), **mode)
    one.run()
    first, second = one.world.runs[TargetKind.JOB]
    assert second.created_at - first.over_at >= 0.99


def test_a_delay_goes_on_where_a_triggerer_is_restarted(simulator, task):
    one = task(FAILS, rerun_delay=3600, timeout=7200)
    begun = one.begin()
    run = one.world.runs[TargetKind.JOB][0]
    run.created_at -= 3599.5
    began = time.time()
    assert one.event_of(begun)["result"]["status"] == "FAILED"
    assert time.time() - began < 30


def test_a_trigger_that_is_killed_during_the_delay_cancels_nothing_and_fires_nothing(simulator, task):
    one = task(FAILS, rerun_delay=3600, timeout=7200, cancel_run_on_kill=True)
    one.begin()

    async def kill():
        held = asyncio.Event()

        class Watched(JobRunTrigger):
            log = SimpleNamespace(info=lambda line, *_: held.set() if "started anew in" in line else None)

        trigger = Watched(**one.deferrals[0])
        work = asyncio.ensure_future(trigger.run().__anext__())
        await asyncio.wait_for(held.wait(), 30)
        trigger.task_instance, trigger.trigger_id = one.ti, 1  # as every triggerer tells it
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await trigger.on_kill()

    asyncio.run(kill())
    assert [seen.path for seen in starts(simulator)] == []


@MODES
@pytest.mark.parametrize("honours_key", [True, False])
def test_a_retry_after_a_lost_worker_finds_the_same_rerun(simulator, task, mode, honours_key):
    simulator.world.behaviour.honours_idempotency_key = honours_key
    one = task(FAILS, COMPLETES, **mode)
    # Started, and nobody has heard of it: neither Airflow nor a later process.
    label = f"rerun 1 of {one.first}"
    job = one.world.owners[TargetKind.JOB]["job_ledger"]
    lost = one.world.start_run(TargetKind.JOB, job, label=label)
    one.retry()
    assert one.run()["status"] == "COMPLETED"
    assert one.ti.xcoms["run_ids"] == one.runs == [one.first, lost.id]
    assert starts(simulator) == []


@pytest.mark.parametrize("honours_key", [True, False])
def test_a_worker_that_dies_between_start_and_deferral_leaves_one_rerun(simulator, task, honours_key):
    simulator.world.behaviour.honours_idempotency_key = honours_key
    one = task(FAILS, COMPLETES)
    event = one.event_of(one.begin())
    with pytest.raises(TaskDeferred):
        one.resume(event)  # of which Airflow never hears
    one.ti.xcoms.clear()
    one.retry()
    assert one.run()["status"] == "COMPLETED"
    assert len(one.runs) == 2
    assert len(starts(simulator)) == 1


def test_an_event_that_comes_twice_means_one_rerun(simulator, task):
    one = task(FAILS, GOES_ON)
    event = one.event_of(one.begin())
    for _ in range(2):
        with pytest.raises(TaskDeferred):
            one.resume(event)
    assert len(one.runs) == 2


def test_a_clear_waits_for_the_same_reruns(simulator, task):
    one = task(FAILS, reruns=2)
    with pytest.raises(AirflowException):
        one.run()
    runs = one.runs
    one.ti.max_tries += 1
    one.retry()
    with pytest.raises(AirflowException, match="a rerun after"):
        one.run()
    assert one.runs == runs == one.ti.xcoms["run_ids"]
    assert len(starts(simulator)) == 2


def test_a_start_whose_answer_is_lost_is_found_by_its_label(simulator, task):
    simulator.faults.append(Fault(method="POST", path=RUN_PATH, drop="after"))
    one = task(FAILS, COMPLETES)
    assert one.run()["status"] == "COMPLETED"
    assert len(one.runs) == 2
    assert len(starts(simulator)) == 1


def test_where_nobody_can_tell_the_task_ends_without_retries(simulator, task):
    simulator.world.behaviour.echoes_label = False
    simulator.faults.append(Fault(method="POST", path=RUN_PATH, drop="after"))
    with pytest.raises(DataRecsRunUncertain, match="rerun 1 of"):
        task(FAILS, COMPLETES).run()
    assert len(starts(simulator)) == 1


def test_a_refused_start_is_an_error_of_the_task_and_a_retry_tries_again(simulator, task):
    simulator.faults.append(Fault(method="POST", path=RUN_PATH, status=422, body={"message": "not now"}))
    one = task(FAILS, COMPLETES)
    with pytest.raises(AirflowException, match="not now"):
        one.run()
    one.retry()
    assert one.run()["status"] == "COMPLETED"
    assert len(one.runs) == 2


def test_an_event_of_another_run_starts_nothing(simulator, task):
    one = task(FAILS)
    event = one.event_of(one.begin())
    for wrong in ({"run_id": "other"}, {"id": "other"}, {"run_id": "other", "earlier_run_ids": ["another"]}):
        with pytest.raises(AirflowException, match="about another run"):
            one.resume({**event, **wrong})
    assert starts(simulator) == []


def test_a_deferred_rerun_goes_on_where_reruns_are_taken_away(simulator, task):
    one = task(FAILS, COMPLETES)
    with pytest.raises(TaskDeferred) as deferred:
        one.resume(one.event_of(one.begin()))
    one.arguments["reruns"] = 0
    assert one.finish(one.defer(deferred.value))["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"reruns": -1}, "reruns is -1"),
        ({"reruns": "2"}, "reruns is '2'"),
        ({"reruns": True}, "reruns is True"),
        ({"reruns": 1.5}, "reruns is 1.5"),
        ({"rerun_delay": -1}, "rerun_delay is -1"),
        ({"rerun_delay": timedelta(seconds=-1)}, "rerun_delay is"),
        ({"rerun_delay": "5"}, "rerun_delay is '5'"),
        ({"rerun_delay": float("nan")}, "rerun_delay is nan"),
    ],
    ids=str,
)
def test_what_cannot_be_right_is_an_error_of_the_dag(arguments, words):
    with pytest.raises(ValueError, match=words):
        JobRunSensor(task_id="t", job_id="j", workspace_id="w", run_id="r", **arguments)


ENDED = datetime(2024, 1, 1, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("completed_at", "seen_at", "due"),
    [
        ("2024-01-01T00:00:00Z", ENDED + 5, ENDED + 60),
        ("2024-01-01T00:00:00Z", ENDED - 500, ENDED - 440),  # DataRecs' clock is ahead
        ("2024-01-01T00:00:00Z", None, ENDED + 60),
        (None, ENDED + 5, ENDED + 65),
        (None, None, 0.0),
    ],
)
def test_the_delay_counts_from_the_runs_end(completed_at, seen_at, due):
    assert due_at({"result": {"completed_at": completed_at}}, 60.0, seen_at) == due


@pytest.mark.parametrize(
    "event", [None, "x", {}, {"earlier_run_ids": "r"}, {"earlier_run_ids": ["s"]}], ids=str
)
def test_an_event_that_tells_of_no_other_runs_is_about_the_first(event):
    assert run_ids_of(event, "r") == ["r"]
