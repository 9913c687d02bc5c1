"""A pipe to Airflow that is full does not hold up the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import socket
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest

from airflow_provider_datarecs.polling.trigger_log import TriggerLog, log_written

task = contextvars.ContextVar("task")


class Lines(logging.Formatter):
    """Names the task that a line is of, as Airflow does."""

    def format(self, record):
        return f"{task.get()}: {super().format(record)}"


@pytest.fixture
def pipe():
    """Both ends of what stands between the processes of a triggerer."""
    near, far = socket.socketpair()
    with near, far:
        yield near, far


@pytest.fixture
def log(pipe, monkeypatch):
    """A log that goes into the pipe, in a process that a supervisor has."""
    monkeypatch.setitem(
        sys.modules, "airflow.sdk.execution_time.task_runner", SimpleNamespace(SUPERVISOR_COMMS=object())
    )
    logger = logging.Logger("of a test")
    with pipe[0].makefile("w") as stream:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(Lines())
        logger.addHandler(handler)
        yield TriggerLog(logger)


def fill(near):
    near.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            near.send(b"." * 1024)
    near.setblocking(True)


async def read_until(far, done):
    far.setblocking(False)
    loop, read = asyncio.get_running_loop(), b""
    while not done.done():
        receiving = asyncio.ensure_future(loop.sock_recv(far, 1 << 20))
        await asyncio.wait({receiving, done}, return_when=asyncio.FIRST_COMPLETED)
        if receiving.done():
            read += receiving.result()
        else:
            receiving.cancel()
    with suppress(BlockingIOError):
        read += far.recv(1 << 20)
    return read.decode().lstrip(".").splitlines()


async def test_a_full_pipe_holds_up_nothing_and_loses_nothing(pipe, log):
    near, far = pipe
    fill(near)

    async def tell():
        task.set("wait")
        log.info("%s is %s", "run", "RUNNING")
        log.warning("cannot be seen")
        try:
            int("what is wrong")
        except ValueError:
            log.exception("not foreseen")

    await asyncio.gather(tell())  # a task of its own, whose context ends with it
    done = asyncio.ensure_future(log_written())
    await asyncio.sleep(0.0)
    assert not done.done()
    lines = await asyncio.wait_for(read_until(far, done), 30.0)
    assert lines[:3] == ["wait: run is RUNNING", "wait: cannot be seen", "wait: not foreseen"]
    assert "ValueError" in lines[-1]


async def test_where_no_supervisor_is_lines_are_written_at_once(pipe, log, monkeypatch):
    monkeypatch.delitem(sys.modules, "airflow.sdk.execution_time.task_runner")
    task.set("wait")
    log.error("refused")
    assert pipe[1].recv(1024) == b"wait: refused\n"
    await log_written()
