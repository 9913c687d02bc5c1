"""No wait blocks the triggerer's event loop, not even the first; and the guard that says so works."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import Fault, Plan


async def spin():
    end = time.thread_time() + 0.1
    while time.thread_time() < end:
        pass


async def nap():
    time.sleep(0.001)  # noqa: ASYNC251


async def read_a_file():
    with open(__file__):  # noqa: ASYNC230
        pass


async def connect():
    with socket.socket() as server, socket.socket() as blocking:
        server.bind(("127.0.0.1", 0))
        server.listen()
        blocking.connect(server.getsockname())


async def look_up_a_host():
    socket.getaddrinfo("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("offence", "told"),
    [
        (spin, "s of CPU in"),
        (nap, "time.sleep(0.001,)"),
        (read_a_file, f"open({__file__!r},)"),
        (connect, "socket.connect("),
        (look_up_a_host, "socket.getaddrinfo("),
    ],
)
async def test_the_guard_notices_a_callback_that_blocks(loop_guard, offence, told):
    await asyncio.ensure_future(offence())
    assert told in "\n".join(loop_guard.offences)


async def test_the_guard_lets_other_threads_block(loop_guard):
    await asyncio.get_running_loop().run_in_executor(
        None, lambda: (time.sleep(0.001), open(__file__).close())
    )
    assert loop_guard.offences == []


async def test_many_waits_at_once_do_not_block_the_loop(
    simulator, started, trigger_for, event_of, requests, loop_guard
):
    simulator.world.rate_limit.requests = 10**6
    runs = [started(Plan(queued=0, running=3600)) for _ in range(100)]
    waits = [asyncio.ensure_future(event_of(trigger_for(run_id))) for run_id in runs]
    await requests(simulator, 300)
    simulator.world.finish_runs("job_ledger")
    assert {event["outcome"] for event in await asyncio.gather(*waits)} == {"finished"}
    assert loop_guard.offences == []


@pytest.fixture
def long_history(simulator, started):
    """Let the history show two runs among thousands, the first time that it is asked for; give their ids."""
    runs = [started(Plan(queued=0, running=0)) for _ in range(2)]
    counts = ("rows_processed", "rows_matched", "rows_unmatched")
    times = {"started_at": "2026-01-01T00:00:00.1234567Z", "completed_at": "2026-01-01T00:01:00.1234567Z"}
    whole = {
        "job_id": "job_ledger",
        "status": "COMPLETED",
        **dict.fromkeys(counts, 7),
        **times,
        "error": None,
    }
    others = [f"other_{number}" for number in range(20_000)]
    history = json.dumps({"items": [{"id": run_id, **whole} for run_id in (*others, *runs)]})
    simulator.faults.append(Fault(path="*/runs", status=200, body=history))
    return runs


async def test_a_history_of_thousands_of_runs_does_not_block_the_loop(
    simulator, long_history, trigger_for, event_of, loop_guard
):
    events = await asyncio.gather(*(event_of(trigger_for(run_id)) for run_id in long_history))
    assert [event["run_id"] for event in events] == long_history
    assert 7 in [event["result"]["rows_matched"] for event in events]  # as the long history has it
    assert simulator.faults[0].times == 0
    assert loop_guard.offences == []


FRESH = """
import asyncio, importlib.util, json, sys

spec = importlib.util.spec_from_file_location("guard", sys.argv[1])
guard = importlib.util.module_from_spec(spec)
spec.loader.exec_module(guard)

from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

assert "airflow_provider_datarecs.api.client" not in sys.modules
triggers = [JobRunTrigger(**arguments) for arguments in json.loads(sys.argv[2])]


async def wait(trigger):
    return [event.payload async for event in trigger.run()]


async def wait_for_all():
    return await asyncio.gather(*map(wait, triggers))


watched = guard.LoopGuard()
guard._guards.add(watched)
with watched.watching():
    events = asyncio.run(wait_for_all())
print(json.dumps([events, watched.offences]))
"""


def test_the_first_waits_of_a_triggerer_are_overdue_and_do_not_block_the_loop(
    simulator, started, trigger_for
):
    runs = [started(Plan(queued=0, running=0)) for _ in range(20)]
    guard = Path(__file__).with_name("conftest.py")
    arguments = [trigger_for(run_id, seconds=-60.0).serialize()[1] for run_id in runs]
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(guard), json.dumps(arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    events, offences = json.loads(done.stdout.splitlines()[-1])
    assert [[(event["run_id"], event["outcome"]) for event in of_one] for of_one in events] == [
        [(run_id, "finished")] for run_id in runs
    ]
    assert offences == []
    assert len(simulator.world.runs[TargetKind.JOB]) == 20
