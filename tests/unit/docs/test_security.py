"""Whether each component asks what the page on security says, and reads with a key that may only read."""

from __future__ import annotations

import re
import time

import pytest
from support import DOCS

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.list_jobs import ListJobsOperator
from airflow_provider_datarecs.operators.list_workspaces import ListWorkspacesOperator
from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow_provider_datarecs.simulator import Fault, Plan
from airflow_provider_datarecs.triggers.job_group_run import JobGroupRunTrigger
from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

PAGE = DOCS / "security.md"
JOB = {"job_id": "job_ledger", "workspace_id": "ws_production"}
GROUP = {"job_group_id": "grp_nightly", "workspace_id": "ws_production"}
NAMES = {"workspace_name": "Production", "job_name": "ledger-vs-warehouse"}


def on_the_page(component):
    """Give the calls of a component, as the page has them: the usual ones, and all."""
    (row,) = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{component}`")]
    usual, after_loss = (set(re.findall(r"`([A-Z]+ /[^`]+)`", cell)) for cell in row.split("|")[2:4])
    return usual, usual | after_loss


def asked(simulator):
    """Give what a simulator was asked, with ids as the page has them."""
    paths = {(seen.method, seen.path) for seen in simulator.requests}
    return {
        f"{method} {re.sub('/run_[^/]+', '/{run}', re.sub('(job_ledger|grp_nightly)', '{id}', path))}"
        for method, path in paths
    }


@pytest.fixture
def read_only(simulator, connect):
    """A connection whose key may only read, and whose limit is far away."""
    simulator.world.rate_limit.requests = 10**6
    connect(simulator.url, password="read-only-key", extra={"requests_per_minute": 10**6})
    return simulator


def started(simulator, kind=TargetKind.JOB, running=0.0):
    world = simulator.world
    for job in world.owners[TargetKind.JOB].values():
        job.plan = Plan(queued=0, running=running)
    return world.start_run(
        kind, world.owners[kind]["job_ledger" if kind is TargetKind.JOB else "grp_nightly"]
    ).id


def test_what_reads_asks_what_the_page_says(read_only, context):
    run_id = started(read_only)
    for operator in (
        ListWorkspacesOperator(task_id="t"),
        ListJobsOperator(task_id="t", workspace_id="ws_production"),
        GetJobRunResultOperator(task_id="t", run_id=run_id, **JOB),
    ):
        read_only.requests.clear()
        operator.execute(context)
        assert asked(read_only) == on_the_page(type(operator).__name__)[0]


def test_the_button_asks_what_the_page_says(read_only):
    assert DataRecsHook().test_connection()[0]
    assert asked(read_only) == on_the_page("ListWorkspacesOperator")[0]


@pytest.mark.parametrize(
    ("trigger", "ids", "sensor"),
    [(JobRunTrigger, JOB, "JobRunSensor"), (JobGroupRunTrigger, GROUP, "JobGroupRunSensor")],
)
async def test_a_wait_asks_what_the_page_says(read_only, polling_config, trigger, ids, sensor):
    polling_config(first_poll=(0.0, 0.0))

    now, run_id = time.time(), started(read_only, trigger.kind, running=1.0)
    times = {"poke_interval": 1, "since": now, "deadline": now + 60}
    # The list tells of earlier runs, and then a run that is alone is asked for by itself.
    wait = trigger(**ids, run_id=run_id, conn_id="datarecs_default", **times).run()
    assert [event.payload["outcome"] async for event in wait] == ["finished"]
    assert asked(read_only) == on_the_page(sensor)[0]


@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        (TriggerJobRunOperator, JOB),
        (TriggerJobRunByNameOperator, NAMES),
        (TriggerJobGroupRunOperator, GROUP),
    ],
)
def test_what_starts_asks_what_the_page_says(simulator, context, operator, arguments):
    usual, all_of_it = on_the_page(operator.__name__)
    task = operator(task_id="t", unique_label=True, **arguments)
    task.execute(context)
    assert asked(simulator) == usual
    simulator.faults.append(Fault(method="POST", status=502, carry_out=True))
    task.execute(context)
    assert asked(simulator) == all_of_it


@pytest.mark.parametrize("kind", TargetKind)
def test_a_cancel_is_the_call_that_the_page_says(simulator, kind):
    hook, run_id = DataRecsHook(), started(simulator, kind, running=3600)
    owner = hook.target(kind, "job_ledger" if kind is TargetKind.JOB else "grp_nightly", "ws_production")
    assert hook.call(lambda client: client.cancel_run(owner, run_id, reason="a test"))
    (call,) = asked(simulator)
    assert call.replace("/job-groups", "/jobs") in PAGE.read_text()
