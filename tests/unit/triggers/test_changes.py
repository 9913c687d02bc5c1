"""A connection that is changed while waits are there, and one that is slow to read."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from support.fakes import FakeTaskInstance

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import Unforeseen
from airflow_provider_datarecs.compat import AirflowException
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.polling import poller
from airflow_provider_datarecs.simulator import ApiKey, Fault, Plan, Simulator
from airflow_provider_datarecs.triggers.job_next_run import JobNextRunTrigger

DONE = Plan(queued=0, running=0)
GOES_ON = Plan(queued=0, running=36_000)


@pytest.fixture
def other():
    """Another DataRecs, whose runs have ids of its own."""
    with Simulator() as other:
        other.world.rate_limit.requests = 10**6
        job = other.world.owners[TargetKind.JOB]["job_ledger"]
        other.start = lambda plan: (
            setattr(job, "plan", plan),
            other.world.start_run(TargetKind.JOB, job).id,
        )[1]
        for _ in range(100):
            other.start(DONE)
        yield other


@pytest.fixture
def often(polling_config):
    """Read the connection again whenever somebody may know of a change, however soon."""
    polling_config(reread_pause=0.0)


async def test_a_wait_that_joins_after_a_change_finds_its_run(
    simulator, other, connect, often, started, trigger_for, event_of, requests
):
    old = asyncio.ensure_future(event_of(trigger_for(started(GOES_ON), poke_interval=3600)))
    await requests(simulator, 1)
    connect(other.url)
    assert (await event_of(trigger_for(other.start(DONE))))["outcome"] == "finished"
    assert not old.done()
    old.cancel()
    await asyncio.wait([old])


@pytest.mark.parametrize("is_refused", [False, True], ids=["unknown there", "key refused there"])
async def test_a_run_that_the_connection_of_before_does_not_know_is_asked_for_on_that_of_now(
    simulator, other, connect, started, trigger_for, event_of, requests, monkeypatch, is_refused
):
    # Within the seconds in which nobody reads it again because somebody joins.
    monkeypatch.setattr("airflow_provider_datarecs.api.contract.NOT_VISIBLE_GRACE", 0.0)
    held = asyncio.ensure_future(event_of(trigger_for(started(GOES_ON), poke_interval=3600)))
    await requests(simulator, 1)
    connect(other.url)
    if is_refused:
        simulator.world.api_keys.clear()
    assert (await event_of(trigger_for(other.start(DONE))))["outcome"] == "finished"
    held.cancel()
    await asyncio.wait([held])


def test_the_limit_of_another_service_is_not_waited_for(
    simulator, other, connect, hasty, often, started, trigger_for, event_of
):
    simulator.faults.append(Fault(status=429, headers={"Retry-After": "600"}))

    async def joined_after_a_change():
        old = asyncio.ensure_future(event_of(trigger_for(started(GOES_ON), seconds=36_000), timeout=36_000))
        await asyncio.sleep(60.0)
        connect(other.url)
        began = time.monotonic()
        assert (await event_of(trigger_for(other.start(DONE)), timeout=3600))["outcome"] == "finished"
        old.cancel()
        await asyncio.wait([old])
        return time.monotonic() - began

    assert hasty.run(joined_after_a_change()) < 60


async def test_the_next_run_of_a_job_that_is_gone_is_looked_for_on_the_connection_of_now(
    simulator, other, connect, trigger_for, event_of, requests
):
    began = time.time() - 3600.0
    waiting = asyncio.ensure_future(event_of(trigger_for("", cls=JobNextRunTrigger, after=began)))
    await requests(simulator, 1)
    connect(other.url)
    simulator.faults.append(Fault(status=404, times=None))
    assert (await waiting)["outcome"] == "finished"


@pytest.mark.parametrize("fault", [{"drop": "before"}, {"status": 503}, {"status": 200, "body": "<html>"}])
async def test_a_host_that_is_gone_is_looked_up_anew(
    simulator, other, connect, often, started, trigger_for, event_of, requests, fault
):
    waiting = asyncio.ensure_future(event_of(trigger_for(other.start(Plan(queued=0, running=0.1)))))
    simulator.faults.append(Fault(times=None, **fault))
    await requests(simulator, 1)
    connect(other.url)
    assert (await waiting)["outcome"] == "finished"


@pytest.mark.parametrize("paging", ["cursor", "url"])
@pytest.mark.parametrize("path", ["", "/v1"], ids=["another host", "another path on the host"])
async def test_no_page_of_the_old_service_is_asked_of_the_new_one(
    simulator, other, connect, often, started, trigger_for, event_of, requests, paging, path
):
    behaviour = simulator.world.behaviour
    behaviour.paging, behaviour.page_size = paging, 20
    runs = [started(GOES_ON) for _ in range(60)]
    waits = [asyncio.ensure_future(event_of(trigger_for(run_id))) for run_id in runs]
    await requests(simulator, 20)
    assert [seen for seen in simulator.requests if seen.query.get("cursor")]
    new = simulator if path else other
    before = len(new.requests)
    new.faults.append(Fault(times=None, status=503))
    simulator.world.api_keys.append(ApiKey("new-key"))
    new.world.api_keys.append(ApiKey("new-key"))
    connect(new.url + path, password="new-key")
    for run_id in ("no-such-run", "no-such-run"):  # whose wait has the connection read
        joining = asyncio.ensure_future(event_of(trigger_for(run_id)))
        await requests(new, before + 30)
        joining.cancel()
        await asyncio.wait([joining])
        before = len(new.requests)
    asked = [seen for seen in new.requests if seen.headers.get("Authorization") == "Bearer new-key"]
    assert len(asked) > 10
    assert [seen for seen in asked if "cursor" in seen.query] == []
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)


async def test_no_page_of_a_service_that_refuses_the_key_is_asked_of_the_new_one(
    simulator, connect, started, trigger_for, event_of, requests
):
    simulator.world.behaviour.page_size = 20
    runs = [started(GOES_ON) for _ in range(60)]
    waits = [asyncio.ensure_future(event_of(trigger_for(run_id))) for run_id in runs]
    await requests(simulator, 20)
    simulator.world.api_keys.append(ApiKey("new-key"))
    simulator.faults.append(Fault(path="/v1/*", times=None, status=503))  # which gives no cursors of its own
    connect(simulator.url + "/v1", password="new-key")
    simulator.faults.append(Fault(query="*cursor=*", times=None, status=401))
    await requests(simulator, len(simulator.requests) + 30)
    asked = [seen for seen in simulator.requests if seen.headers.get("Authorization") == "Bearer new-key"]
    assert asked
    assert [seen for seen in asked if "cursor" in seen.query] == []
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)


async def test_a_wait_that_joins_after_the_key_was_refused_has_that_confirmed_anew(
    simulator, started, trigger_for, event_of
):
    simulator.world.api_keys.clear()
    asked = []
    async with poller.poller_of("datarecs_default"):  # as one that still pauses
        for _ in range(2):
            assert (await event_of(trigger_for(started(GOES_ON))))["outcome"] == "refused"
            asked.append(len(simulator.requests))
    assert asked == [3, 6]


@pytest.fixture
def slow_reading(monkeypatch):
    """Let the reading of the connection begin, and end only when it is released."""
    begun, release, read = threading.Event(), threading.Event(), DataRecsHook.read_settings

    def slowly(hook):
        begun.set()
        release.wait(60)
        return read(hook)

    monkeypatch.setattr(DataRecsHook, "read_settings", slowly)
    yield begun, release
    release.set()


async def test_a_request_in_turn_that_goes_wrong_is_answered_all_the_same(simulator):
    async def surprise(client):
        raise AirflowException("Task received SIGTERM signal")

    async with poller.poller_of("datarecs_default") as its_poller:
        answer = await asyncio.wait_for(its_poller.send_in_turn(surprise, 30.0), 30.0)
    assert isinstance(answer, Unforeseen)


async def test_the_connection_is_read_while_the_first_pause_runs(
    simulator, started, trigger_for, event_of, slow_reading, polling_config
):
    polling_config(first_poll=(1.0, 1.0))
    begun, release = slow_reading
    trigger = trigger_for(started(DONE))
    trigger.task_instance = FakeTaskInstance()
    waiting = asyncio.ensure_future(event_of(trigger))
    await asyncio.get_running_loop().run_in_executor(None, begun.wait, 60)
    ((one,),) = (pollers.values() for pollers in poller._by_loop.values() if pollers)
    assert one.waits.size == 0  # still pausing
    release.set()
    assert (await waiting)["outcome"] == "finished"
    assert len(simulator.requests) == 1


async def test_a_wait_that_is_cancelled_while_it_pauses_leaves_nothing_open(
    started, trigger_for, event_of, slow_reading, polling_config
):
    polling_config(first_poll=(60.0, 60.0))
    trigger = trigger_for(started(DONE), seconds=600)
    trigger.task_instance = FakeTaskInstance()
    waiting = asyncio.ensure_future(event_of(trigger))
    begun = slow_reading[0]
    await asyncio.get_running_loop().run_in_executor(None, begun.wait, 60)
    waiting.cancel()
    slow_reading[1].set()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_a_run_that_ended_before_the_deadline_is_seen_behind_a_503(
    simulator, started, trigger_for, event_of, polling_config
):
    polling_config(last_poll_within=30.0)
    trigger = trigger_for(started(Plan(queued=0, running=0.1)), seconds=0.3, poke_interval=3600)
    waiting = asyncio.ensure_future(event_of(trigger))
    await asyncio.get_running_loop().run_in_executor(None, simulator.wait_for_requests, 1)
    simulator.faults.append(Fault(times=3, status=503))
    assert (await waiting)["outcome"] == "finished"
    assert [seen.status for seen in simulator.requests].count(503) == 3
