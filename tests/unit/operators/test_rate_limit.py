"""How operators keep to the rate limit: by what their own answers say."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from support.clock import skip_pauses

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow_provider_datarecs.simulator import Plan


@pytest.fixture
def by_names():
    return TriggerJobRunByNameOperator(
        task_id="t", workspace_name="Production", job_name="ledger-vs-warehouse"
    )


@pytest.mark.parametrize("sliding", [False, True])
@pytest.mark.parametrize("most", [1, 2])
def test_a_limit_that_is_used_up_is_waited_for_rather_than_met(
    simulator, context, by_names, most, sliding, monkeypatch
):
    skip_pauses(monkeypatch)
    simulator.world.clock = time.time  # the one that the pauses move on
    limit = simulator.world.rate_limit
    limit.requests, limit.sliding = most, sliding
    run_id = by_names.execute(context)
    assert [run.id for run in simulator.world.runs[TargetKind.JOB]] == [run_id]
    assert [seen.status for seen in simulator.requests] == [200, 200, 201]


def test_no_page_is_read_twice_in_a_task(simulator, context, by_names):
    world = simulator.world
    world.behaviour.page_size = 2
    for number in range(7):
        world.add_workspace(f"w{number}", f"workspace {number}")
        world.add_job(f"j{number}", f"job {number}", "ws_production")
    by_names.execute(context)
    asked = Counter((seen.path, tuple(seen.query.items())) for seen in simulator.requests)
    assert len(asked) > 8
    assert set(asked.values()) == {1}


def test_a_result_is_one_request(simulator, context):
    job = simulator.world.owners[TargetKind.JOB]["job_ledger"]
    job.plan = Plan(queued=0, running=0)
    run = simulator.world.start_run(TargetKind.JOB, job)
    GetJobRunResultOperator(
        task_id="t", job_id="job_ledger", workspace_id="ws_production", run_id=run.id
    ).execute(context)
    assert [seen.path for seen in simulator.requests] == [f"/jobs/job_ledger/runs/{run.id}"]
