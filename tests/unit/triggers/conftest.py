from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import sys
import threading
import time

import pytest

from airflow_provider_datarecs.api.contract import TargetKind

MAX_CPU = 0.05  # seconds that one callback may use of its thread
BLOCKING = {
    "open",
    "sqlite3.connect",
    "time.sleep",
    "subprocess.Popen",
    "socket.getaddrinfo",
}


class LoopGuard:
    """Notes every callback on this thread's event loop that blocks, or that uses too much of its CPU time."""

    def __init__(self):
        self.offences = []
        self._thread = threading.get_ident()
        self._callback = None

    def audit(self, event, arguments):
        if self._callback is None or threading.get_ident() != self._thread:
            return
        if event in BLOCKING or (event == "socket.connect" and arguments[0].gettimeout() != 0):
            self.offences.append(f"{event}{arguments[:1]} in {self._callback}")

    @contextlib.contextmanager
    def watching(self):
        run = asyncio.Handle._run

        def guarded(handle):
            if threading.get_ident() != self._thread:  # the simulator's
                return run(handle)
            self._callback = repr(handle)
            before = time.thread_time()
            try:
                return run(handle)
            finally:
                self._callback = None
                used = time.thread_time() - before
                if used > MAX_CPU:
                    self.offences.append(f"{used:.3f} s of CPU in {handle!r}")

        # As every triggerer has by then: on 2.x the first line of all reads the time zone's file.
        logging.getLogger("airflow.task").warning("something")
        forget_garbage()
        asyncio.Handle._run = guarded
        try:
            yield self
        finally:
            asyncio.Handle._run = run


def forget_garbage():
    """Keep the garbage collector from walking all of Airflow, which would use up a callback's time."""
    gc.collect()
    gc.freeze()


_guards = set()
sys.addaudithook(lambda event, arguments: [guard.audit(event, arguments) for guard in list(_guards)])


@pytest.fixture
def loop_guard(monkeypatch):
    """Note all offences of the test's callbacks."""
    guard = LoopGuard()
    sleep = time.sleep
    # Before Python 3.11 sleeping is no audit event.
    monkeypatch.setattr("time.sleep", lambda seconds: (guard.audit("time.sleep", (seconds,)), sleep(seconds)))
    _guards.add(guard)
    with guard.watching():
        yield guard
    _guards.discard(guard)


@pytest.fixture(autouse=True)
def impatient(monkeypatch, polling_config):
    polling_config(min_poke_interval=0.01)
    monkeypatch.setattr("airflow_provider_datarecs.api.retry.MIN_LIMIT_WAIT", 0.01)
    polling_config(confirm_after=0.02)
    polling_config(last_poll_again=0.02)
    polling_config(last_poll_within=0.1)


@pytest.fixture(autouse=True)
def nothing_stays_open(recwarn):
    gc.collect()
    recwarn.clear()  # what other tests left
    yield
    gc.collect()
    unclosed = [str(warning.message) for warning in recwarn if "nclosed" in str(warning.message)]
    assert [one for one in unclosed if "event loop" not in one] == []  # those are pytest-asyncio's
    from airflow_provider_datarecs.polling import poller

    assert [pollers for pollers in poller._by_loop.values() if pollers] == []


@pytest.fixture
def connect(connect):
    """Set the fields of the connection ``datarecs_default``, with a limit that no test meets."""

    def connect_without_limit(host, extra=None, **fields):
        connect(host, extra={"requests_per_minute": 10**6, **(extra or {})}, **fields)

    return connect_without_limit


@pytest.fixture
def simulator(simulator):
    simulator.world.rate_limit.requests = 10**6
    return simulator


@pytest.fixture
def hasty(simulator, connect, monkeypatch, polling_config):
    """Let time pass at once while nothing is asked, with the rate limit as it is documented."""
    from support.clock import HastyClock

    from airflow_provider_datarecs.polling import kill, poller
    from airflow_provider_datarecs.triggers.base import RunTrigger

    monkeypatch.setattr(RunTrigger, "_wait_for", poller.wait_for)  # importing it takes real time
    polling_config(confirm_after=7.0, last_poll_again=5.0, last_poll_within=300.0)

    def busy():
        pollers = [one for pollers in list(poller._by_loop.values()) for one in pollers.values()]
        return kill._at_work or any(one._sender.in_flight for one in pollers)

    clock = HastyClock(monkeypatch, busy)
    monkeypatch.setattr(simulator.world, "clock", time.time)  # the one that jumps
    simulator.world.rate_limit.requests = 100
    connect(simulator.url, extra={"requests_per_minute": 100})
    return clock


@pytest.fixture
def trigger_for():
    """Make a trigger that looks often, at first at once, since no triggerer tells it of a task."""
    from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

    def trigger_for(run_id, *, seconds=30.0, cls=JobRunTrigger, **more):
        ids = {cls.kind.id_field: "job_ledger" if cls.kind is TargetKind.JOB else "grp_nightly"}
        now = time.time()
        where = {"workspace_id": "ws_production", "conn_id": "datarecs_default", "poke_interval": 0.02}
        return cls(**{**where, **ids, "run_id": run_id, "since": now, "deadline": now + seconds, **more})

    return trigger_for


@pytest.fixture
def event_of():
    """Run a trigger, and give the one event that it fires."""

    async def all_of(trigger):
        return [event.payload async for event in trigger.run()]

    async def event_of(trigger, timeout=60):
        events = await asyncio.wait_for(all_of(trigger), timeout)
        assert len(events) == 1
        assert json.loads(json.dumps(events[0])) == events[0]
        return events[0]

    return event_of


@pytest.fixture
def requests():
    """Wait until a simulator has seen so many requests."""

    async def requests(simulator, count):
        await asyncio.get_running_loop().run_in_executor(None, simulator.wait_for_requests, count)

    return requests
