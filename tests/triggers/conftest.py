from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time

import pytest

MAX_CPU = 0.05  # seconds that one callback may use of its thread
BLOCKING = {
    "open",
    "sqlite3.connect",
    "time.sleep",
    "subprocess.Popen",
    "socket.getaddrinfo",
}


class LoopGuard:
    """Notes every callback on an event loop that blocks, or that uses too much of the thread's CPU time."""

    def __init__(self):
        self.offences = []
        self._inside = threading.local()

    def audit(self, event, arguments):
        blocks = event in BLOCKING or (event == "socket.connect" and arguments[0].gettimeout() != 0)
        if blocks and getattr(self._inside, "callback", None):
            self.offences.append(f"{event}{arguments[:1]} in {self._inside.callback}")

    @contextlib.contextmanager
    def watching(self):
        run = asyncio.Handle._run

        def guarded(handle):
            self._inside.callback = repr(handle)
            before = time.thread_time()
            try:
                return run(handle)
            finally:
                self._inside.callback = None
                used = time.thread_time() - before
                if used > MAX_CPU:
                    self.offences.append(f"{used:.3f} s of CPU in {handle!r}")

        asyncio.Handle._run = guarded
        try:
            yield self
        finally:
            asyncio.Handle._run = run


_guards = set()
sys.addaudithook(lambda event, arguments: [guard.audit(event, arguments) for guard in _guards])


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
def first_look_at_once(monkeypatch):
    monkeypatch.setattr("airflow_provider_datarecs.triggers.base.FIRST_LOOK", (0.0, 0.0))
    monkeypatch.setattr("airflow_provider_datarecs.waits.watch.MIN_POKE_INTERVAL", 0.01)
    monkeypatch.setattr("airflow_provider_datarecs.api.retry.MIN_LIMIT_WAIT", 0.01)


@pytest.fixture(autouse=True)
def nothing_stays_open(recwarn):
    yield
    import gc

    gc.collect()
    unclosed = [str(warning.message) for warning in recwarn if "nclosed" in str(warning.message)]
    assert [one for one in unclosed if "event loop" not in one] == []  # those are pytest-asyncio's
    from airflow_provider_datarecs.waits import shared_client

    assert [clients for clients in shared_client._by_loop.values() if clients] == []
