"""Which waits end their task on the triggerer, and what a worker would have left that they leave as well."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading

import pytest
from support.fakes import FakeTaskInstance
from support.logs import Log

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import task_ends
from airflow_provider_datarecs.simulator import Fault, Plan
from airflow_provider_datarecs.triggers.base import RunTrigger
from airflow_provider_datarecs.triggers.job_group_run import JobGroupRunTrigger
from airflow_provider_datarecs.triggers.job_next_run import JobNextRunTrigger

pytestmark = pytest.mark.compat

DONE = Plan(queued=0, running=0, rows_unmatched=7)
LIMITLESS = {"max_unmatched_rows": None, "max_unmatched_ratio": None}
ENDING = {"airflow": task_ends.AIRFLOW_RELEASE, **LIMITLESS, "returns": True, "reruns": False}
TI = {"dag_id": "dag", "run_id": "manual", "task_id": "task"}
whose = contextvars.ContextVar("whose")  # as Airflow 3.4 tells whose XComs a trigger writes
can_end = pytest.mark.skipif(
    not task_ends.TRIGGERS_CAN_END_TASKS, reason="no trigger ends a task on this Airflow"
)


class XComs:
    """Takes the XComs that triggers push, in place of Airflow."""

    def __init__(self):
        self.kept = {}
        self.threads = set()
        self.owners = set()
        self.on_push = lambda _: None

    def set(self, *, key, value, map_index, **ids):
        self.on_push(key)
        self.threads.add(threading.get_ident())
        self.owners.add(whose.get(None))
        assert ids == TI
        self.kept[map_index, key] = json.loads(json.dumps(value))


@pytest.fixture
def xcoms(monkeypatch, polling_config):
    xcoms = XComs()
    monkeypatch.setattr(task_ends, "xcom_class", lambda: xcoms)
    polling_config(first_poll=(0.0, 0.0))
    return xcoms


@pytest.fixture
def lines(monkeypatch):
    """What triggers log."""
    lines = Log()
    monkeypatch.setattr(RunTrigger, "log", lines)
    return lines


@pytest.fixture
def event_of(lines):
    """Run a trigger as a triggerer does that tells it of its task, and give its one event."""

    async def run(trigger):
        whose.set(trigger.task_instance.map_index)
        return [event async for event in trigger.run()]

    async def event_of(trigger, map_index=-1):
        trigger.task_instance = FakeTaskInstance(map_index=map_index)
        (event,) = await asyncio.wait_for(asyncio.ensure_future(run(trigger)), 60)
        return event

    return event_of


def is_end(event):
    return type(event).__name__ == "TaskSuccessEvent"


@can_end
async def test_a_completed_wait_ends_its_task_with_what_a_worker_would_push(
    started, xcoms, loop_guard, trigger_for, event_of, lines
):
    run_id, told_before = started(DONE), []
    xcoms.on_push = lambda _: told_before.append([line for line in lines if run_id in line][-2:])
    event = await event_of(trigger_for(run_id, ending=ENDING))
    assert is_end(event)
    assert xcoms.kept[-1, "run_result"] == xcoms.kept[-1, "return_value"]
    result = xcoms.kept[-1, "run_result"]
    assert (result["status"], result["run_id"], result["job_id"]) == ("COMPLETED", run_id, "job_ledger")
    assert "agreed" not in result
    assert len(xcoms.kept) == 2
    assert threading.get_ident() not in xcoms.threads
    assert loop_guard.offences == []
    told = told_before[0]  # what is logged last may go elsewhere
    assert told == [line for line in lines if run_id in line][-2:]
    assert told[0].startswith(f"COMPLETED, 7 of 1,000 rows unmatched: run {run_id!r}")
    assert told[1].startswith(f"Ending the task here, without a worker: run {run_id!r}")


@can_end
async def test_a_completed_group_run_ends_its_task(simulator, xcoms, trigger_for, event_of):
    world = simulator.world
    for job in world.owners[TargetKind.JOB].values():
        job.plan = DONE
    run = world.start_run(TargetKind.JOB_GROUP, world.owners[TargetKind.JOB_GROUP]["grp_nightly"])
    ending = {**ENDING, "max_unmatched_rows": 14}
    assert is_end(await event_of(trigger_for(run.id, cls=JobGroupRunTrigger, ending=ending)))
    assert len(xcoms.kept[-1, "run_result"]["runs"]) == 2
    assert xcoms.kept[-1, "run_result"]["agreed"] is True


@can_end
async def test_nothing_is_returned_where_the_task_returns_nothing(started, xcoms, trigger_for, event_of):
    assert is_end(await event_of(trigger_for(started(DONE), ending={**ENDING, "returns": False})))
    assert list(xcoms.kept) == [(-1, "run_result")]


@can_end
async def test_a_wait_with_reruns_tells_all_of_its_runs(started, xcoms, trigger_for, event_of):
    run_id = started(DONE)
    ending = {**ENDING, "reruns": True}
    assert is_end(await event_of(trigger_for(run_id, ending=ending, earlier_run_ids=["first"])))
    told = {key: value for (_, key), value in xcoms.kept.items() if not isinstance(value, dict)}
    ids = {"job_id": "job_ledger", "workspace_id": "ws_production", "run_id": run_id}
    assert told == {**ids, "run_ids": ["first", run_id]}


@can_end
async def test_each_of_many_waits_pushes_as_its_own_task(started, simulator, xcoms, trigger_for, event_of):
    runs = [started(Plan(queued=0, running=0.2)) for _ in range(10)]
    waits = (event_of(trigger_for(run_id, ending=ENDING), number) for number, run_id in enumerate(runs))
    assert all(map(is_end, await asyncio.gather(*waits)))
    assert [xcoms.kept[number, "run_result"]["run_id"] for number in range(10)] == runs
    assert xcoms.owners == set(range(10))


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
async def test_a_run_that_is_not_completed_is_left_to_a_worker(started, xcoms, trigger_for, event_of, status):
    event = await event_of(trigger_for(started(Plan(queued=0, running=0, status=status)), ending=ENDING))
    assert event.payload["result"]["status"] == status
    assert xcoms.kept == {}


async def test_so_are_a_timeout_and_a_refusal(started, simulator, xcoms, trigger_for, event_of):
    run_id = started(Plan(queued=0, running=3600))
    timed_out = await event_of(trigger_for(run_id, seconds=0.1, ending=ENDING))
    assert timed_out.payload["outcome"] == "timed_out"
    simulator.world.api_keys.clear()
    refused = await event_of(trigger_for(run_id, ending=ENDING))
    assert refused.payload["outcome"] == "refused"
    assert xcoms.kept == {}


@pytest.mark.parametrize(
    "limit", [{"max_unmatched_rows": 6}, {"max_unmatched_ratio": 0.001}], ids=lambda limit: next(iter(limit))
)
async def test_so_are_data_that_do_not_agree(started, xcoms, trigger_for, event_of, limit):
    run_id = started(DONE)
    event = await event_of(trigger_for(run_id, ending={**ENDING, **limit}))
    assert (event.payload["run_id"], event.payload["result"]["rows_unmatched"]) == (run_id, 7)
    assert xcoms.kept == {}


async def test_so_is_a_limit_without_counts(started, simulator, xcoms, trigger_for, event_of):
    run_id = started(DONE)
    shown = {"id": run_id, "job_id": "job_ledger", "status": "COMPLETED"}
    simulator.faults.append(Fault(times=None, path="*/runs", status=200, body={"items": [shown]}))
    simulator.faults.append(Fault(times=None, path=f"*/runs/{run_id}", status=200, body=shown))
    event = await event_of(trigger_for(run_id, ending={**ENDING, "max_unmatched_rows": 9}))
    assert event.payload["outcome"] == "finished"
    assert xcoms.kept == {}


async def test_so_is_all_where_a_task_did_not_ask_for_it_or_no_triggerer_runs(started, xcoms, trigger_for):
    for ending, ti in ((None, FakeTaskInstance()), (ENDING, None)):  # None as in dag.test()
        trigger = trigger_for(started(DONE), ending=ending)
        trigger.task_instance = ti
        assert [event.payload["outcome"] async for event in trigger.run()] == ["finished"]
    assert xcoms.kept == {}


@can_end
@pytest.mark.parametrize("ending", [{**ENDING, "max_unmatched_rows": "7"}, {}], ids=["odd", "empty"])
async def test_so_is_what_this_release_does_not_understand(started, xcoms, trigger_for, event_of, ending):
    event = await event_of(trigger_for(started(DONE), ending=ending))
    assert event.payload["outcome"] == "finished"


@can_end
async def test_a_worker_ends_what_airflow_takes_no_xcoms_of(started, xcoms, trigger_for, event_of, lines):
    def refuse(key):
        raise RuntimeError("secret://backend")

    xcoms.on_push = refuse
    run_id = started(DONE)
    event = await event_of(trigger_for(run_id, ending=ENDING))
    assert (event.payload["outcome"], event.payload["run_id"]) == ("finished", run_id)
    (warning,) = [line for line in lines if "Ends on a worker" in line]
    assert "the triggerer could not end the task (RuntimeError): run 'run_" in warning
    assert "secret" not in warning


@can_end
async def test_a_worker_ends_what_airflow_does_not_take_in_time(
    started, xcoms, polling_config, trigger_for, event_of
):
    polling_config(push_within=0.05)
    answered = threading.Event()
    xcoms.on_push = lambda _: answered.wait(30)
    event = await event_of(trigger_for(started(DONE), ending=ENDING))
    answered.set()
    assert event.payload["outcome"] == "finished"


@can_end
async def test_a_triggerer_that_dies_between_the_xcoms_and_the_end_leaves_both_to_the_next_one(
    started, simulator, xcoms, trigger_for, event_of
):
    run_id = started(DONE)
    dies, is_dead = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def die(key):
        if key == "return_value":
            loop.call_soon_threadsafe(dies.set)
            is_dead.wait(30)

    xcoms.on_push = die
    trigger = trigger_for(run_id, ending=ENDING, cancel_run_on_kill=True)
    waiting = asyncio.ensure_future(event_of(trigger))
    await asyncio.wait_for(dies.wait(), 30)
    assert list(xcoms.kept) == [(-1, "run_result")]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await trigger.on_kill()  # which Airflow may call then, though nobody has killed anything
    is_dead.set()
    xcoms.on_push = lambda _: None
    path, arguments = trigger.serialize()
    assert path.endswith(".JobRunTrigger")
    again = type(trigger)(**json.loads(json.dumps(arguments)))
    assert is_end(await event_of(again))
    assert xcoms.kept[-1, "run_result"] == xcoms.kept[-1, "return_value"]
    assert [seen.path for seen in simulator.requests if seen.path.endswith("/cancel")] == []


async def test_a_worker_ends_what_another_airflow_has_deferred_before_an_upgrade(
    started, xcoms, trigger_for, event_of
):
    event = await event_of(trigger_for(started(DONE), ending={**ENDING, "airflow": "2.10.0"}))
    assert event.payload["outcome"] == "finished"
    assert xcoms.kept == {}


def test_triggers_that_end_no_task_are_stored_as_before(trigger_for):
    assert "ending" not in trigger_for("r").serialize()[1]
    for more in ({}, {"cls": JobNextRunTrigger, "after": 1.0}):
        assert trigger_for("r", ending=ENDING, **more).serialize()[1]["ending"] == ENDING
