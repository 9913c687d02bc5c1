"""The hook where an event loop runs already: in an async task, a notebook, an async test."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.blocking import run_to_end
from airflow_provider_datarecs.compat import AirflowException
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.polling.client import BlockingPoller
from airflow_provider_datarecs.simulator import Fault

LEDGER = Target(TargetKind.JOB, "job_ledger", "ws_production")


async def test_calls_work_and_block(simulator):
    hook = DataRecsHook()
    assert len(hook.list_workspaces()) == 2
    run_id = hook.start_job_run(LEDGER.id, LEDGER.workspace_id, idempotency_key="start-1")
    assert hook.get_job_run(LEDGER.id, LEDGER.workspace_id, run_id)["status"] in ("QUEUED", "RUNNING")
    assert BlockingPoller(hook).send(lambda client: client.get_run(LEDGER, run_id)).id == run_id
    assert hook.test_connection()[0]


async def test_an_operator_works(simulator, context, ti):
    operator = TriggerJobRunOperator(task_id="t", job_id="job_ledger", workspace_id="ws_production")
    assert operator.execute(context) == ti.xcoms["run_id"]


async def test_errors_are_the_same(simulator):
    simulator.faults.append(Fault(status=404))
    with pytest.raises(AirflowException, match="Resource not found: the list of workspaces"):
        DataRecsHook().list_workspaces()


async def test_in_threads_calls_do_not_block(simulator):
    hook = DataRecsHook()
    simulator.faults.append(Fault(path="/jobs", delay=0.2))
    jobs = asyncio.get_running_loop().run_in_executor(None, hook.list_jobs)
    await asyncio.sleep(0)  # which comes back
    assert not jobs.done()
    assert len(hook.list_workspaces()) == 2
    assert len(await jobs) > 0


async def test_a_coroutine_sees_the_callers_context():
    variable = contextvars.ContextVar("variable", default="elsewhere")
    variable.set("here")

    async def ask():
        return variable.get()

    assert run_to_end(ask) == "here"


class TimeIsOver(BaseException):
    """As Airflow ends a task: by a signal, in the midst of anything."""


@pytest.mark.parametrize("in_loop", [True, False])
def test_what_interrupts_a_call_ends_its_requests(simulator, in_loop):
    def end(*_):
        raise TimeIsOver

    was = signal.signal(signal.SIGALRM, end)
    ended = threading.Event()

    async def ask(client):
        try:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def call():
        DataRecsHook().call(ask)

    try:
        with pytest.raises(TimeIsOver):
            asyncio.run(call()) if in_loop else DataRecsHook().call(ask)
    finally:
        signal.signal(signal.SIGALRM, was)
    assert ended.wait(10)
