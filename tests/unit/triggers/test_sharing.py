"""Many waits on one connection: one session, one reading of the connection, and none disturbs another."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest
from support.logs import Log

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import ApiKey, Fault, Plan, Simulator
from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

DONE = Plan(queued=0, running=0)
GOES_ON = Plan(queued=0, running=3600)

_connects = []
sys.addaudithook(lambda event, arguments: event == "socket.connect" and _connects.append(arguments[1]))


@pytest.fixture
def connects(simulator):
    """Note each TCP connection that is made to the simulator."""
    _connects.clear()
    port = int(simulator.url.rsplit(":", 1)[1])
    return lambda: [address for address in _connects if address[1:2] == (port,)]


def open_sessions():
    return [one for one in gc.get_objects() if isinstance(one, aiohttp.ClientSession) and not one.closed]


async def test_all_waits_on_a_connection_share_one_session(
    simulator, started, trigger_for, event_of, requests
):
    runs = [started(GOES_ON) for _ in range(50)]
    waits = [asyncio.ensure_future(event_of(trigger_for(run_id))) for run_id in runs]
    await requests(simulator, 100)
    assert len(open_sessions()) == 1
    simulator.world.finish_runs("job_ledger")
    assert [event["run_id"] for event in await asyncio.gather(*waits)] == runs
    assert open_sessions() == []


async def test_a_wait_reuses_the_sockets_of_the_others(
    simulator, started, trigger_for, event_of, requests, connects
):
    long = asyncio.ensure_future(event_of(trigger_for(started(GOES_ON), poke_interval=3600)))
    await requests(simulator, 1)
    for _ in range(20):
        await event_of(trigger_for(started(DONE)))
    assert len(simulator.requests) == 21
    assert len(connects()) <= 2  # the second, where a wait begins before the other's answer is read
    long.cancel()
    await asyncio.wait([long])


async def test_a_rotated_key_is_taken_up_by_all_waits(
    simulator, connect, started, trigger_for, event_of, requests
):
    runs = [started(GOES_ON) for _ in range(20)]
    waits = [asyncio.ensure_future(event_of(trigger_for(run_id))) for run_id in runs]
    await requests(simulator, 20)
    connect(simulator.url, password="new-key")
    simulator.world.api_keys[:] = [ApiKey("new-key")]
    simulator.world.finish_runs("job_ledger")
    events = await asyncio.gather(*waits)
    assert [event["outcome"] for event in events] == ["finished"] * 20
    refused = [seen for seen in simulator.requests if seen.status == 401]
    assert {seen.headers["Authorization"] for seen in refused} <= {"Bearer demo-key"}
    assert len(refused) <= 20  # at most one for each


async def test_a_connection_that_was_edited_wrongly_ends_the_wait(
    simulator, connect, started, trigger_for, event_of, requests
):
    waiting = asyncio.ensure_future(event_of(trigger_for(started(GOES_ON))))
    await requests(simulator, 1)
    connect(simulator.url, password="")
    simulator.world.api_keys.clear()
    event = await waiting
    assert (event["outcome"], event["meaning"]) == ("refused", "DataRecsConfigException")
    assert "API Key" in event["message"]


async def test_a_wait_that_is_cancelled_leaves_the_others(
    simulator, started, trigger_for, event_of, requests
):
    runs = [started(GOES_ON) for _ in range(5)]
    waits = [asyncio.ensure_future(event_of(trigger_for(run_id))) for run_id in runs]
    await requests(simulator, 5)
    waits[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits[0]
    simulator.world.finish_runs("job_ledger")
    assert [event["run_id"] for event in await asyncio.gather(*waits[1:])] == runs[1:]
    assert not [seen for seen in simulator.requests if seen.method == "POST"]


async def test_the_last_wait_to_be_cancelled_closes_the_session(
    simulator, started, trigger_for, event_of, requests
):
    waits = [asyncio.ensure_future(event_of(trigger_for(started(GOES_ON)))) for _ in range(3)]
    await requests(simulator, 3)
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)
    assert open_sessions() == []
    assert (await event_of(trigger_for(started(DONE))))["outcome"] == "finished"


def test_event_loops_one_after_the_other_have_clients_of_their_own(started, trigger_for, event_of):
    for _ in range(2):
        assert asyncio.run(event_of(trigger_for(started(DONE))))["outcome"] == "finished"


def test_event_loops_side_by_side_have_clients_of_their_own(
    simulator, started, trigger_for, event_of, requests
):
    runs = [started(GOES_ON) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        waits = [threads.submit(asyncio.run, event_of(trigger_for(run_id))) for run_id in runs]
        simulator.wait_for_requests(10)
        sessions = open_sessions()
        simulator.world.finish_runs("job_ledger")
        assert [wait.result()["run_id"] for wait in waits] == runs
    assert len(sessions) == 2


async def test_a_connection_that_is_slow_does_not_hold_up_another(
    simulator, connect, started, trigger_for, event_of, requests
):
    with Simulator() as slow:
        connect(slow.url, conn_id="slow")
        job = slow.world.owners[TargetKind.JOB]["job_ledger"]
        there = slow.world.start_run(TargetKind.JOB, job).id
        slow.world.owners[TargetKind.JOB]["job_ledger"].plan.running = 3600
        held_up = asyncio.ensure_future(event_of(trigger_for(there, conn_id="slow")))
        await requests(slow, 1)
        slow.faults.append(Fault(delay=3600))
        assert (await event_of(trigger_for(started(DONE))))["outcome"] == "finished"
        assert not held_up.done()
        held_up.cancel()
        await asyncio.wait([held_up])


TASK = contextvars.ContextVar("task", default="nobody's")


class LogByTask(Log):
    def append(self, line):
        super().append((TASK.get(), line))


class LoggedTrigger(JobRunTrigger):
    """Keeps its log lines, each with the task whose context it is logged in."""

    log = LogByTask()


async def test_what_a_wait_logs_is_in_its_own_tasks_log(simulator, started, trigger_for, event_of):
    # Airflow tells by the context of a log call whose log a line belongs to.
    async def wait_as(name, run_id):
        TASK.set(name)
        return await event_of(trigger_for(run_id, cls=LoggedTrigger))

    runs = {name: started(DONE) for name in ("a", "b", "c")}
    simulator.faults.append(Fault(times=2, status=503))
    await asyncio.gather(*(wait_as(name, run_id) for name, run_id in runs.items()))
    for name, run_id in runs.items():
        assert {who for who, line in LoggedTrigger.log if run_id in line} == {name}
