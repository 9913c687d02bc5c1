"""The hook's methods that make one call of the API each."""

from __future__ import annotations

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AirflowException, AirflowFailException
from airflow_provider_datarecs.exceptions import DataRecsRunUncertain
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.simulator import Fault, Plan

pytestmark = pytest.mark.compat

KINDS = {"job": (TargetKind.JOB, "job_ledger"), "job_group": (TargetKind.JOB_GROUP, "grp_nightly")}


@pytest.fixture(params=KINDS)
def one(request, simulator):
    """The hook's three methods for the runs of a job or job group, whose ids they have already."""
    kind, target_id = KINDS[request.param]

    def method(verb):
        called = getattr(DataRecsHook(), f"{verb}_{request.param}_run")
        return lambda *run_id, **more: called(target_id, "ws_production", *run_id, **more)

    return kind, method("start"), method("get"), method("cancel")


def test_a_run_is_started_and_seen(simulator, one):
    kind, start, get, _ = one
    run_id = start(idempotency_key="key-1", run_label="by hand")
    assert start(idempotency_key="key-1", run_label="by hand") == run_id
    (run,) = simulator.world.runs[kind]
    assert (run.id, run.label) == (run_id, "by hand")
    assert get(run_id)["status"] in ("QUEUED", "RUNNING")
    assert ("runs" in get(run_id)) == (kind is TargetKind.JOB_GROUP)


def test_a_finished_run_has_its_result(simulator):
    job = simulator.world.owners[TargetKind.JOB]["job_ledger"]
    job.plan = Plan(queued=0, running=0)
    run = simulator.world.start_run(TargetKind.JOB, job)
    result = DataRecsHook().get_job_run("job_ledger", "ws_production", run.id)
    assert type(result) is dict
    assert result["status"] == "COMPLETED"
    assert type(result["rows_unmatched"]) is int


def test_a_run_is_cancelled(simulator, one):
    _, start, get, cancel = one
    run_id = start(idempotency_key="key-1")
    assert cancel(run_id) is True
    assert cancel(run_id, reason="by hand") is True
    assert ['"Cancelled from Airflow"' in seen.body for seen in simulator.requests[1:]] == [True, False]
    assert get(run_id)["status"] == "CANCELLED"


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_service_that_does_not_cancel(simulator, one, status):
    *_, cancel = one
    simulator.faults.append(Fault(status=status, body={"message": "no"}))
    assert cancel("r1") is False


def test_an_answer_to_a_start_that_is_lost_is_uncertain(simulator, one):
    _, start, *_ = one
    simulator.faults.append(Fault(drop="after", times=None))
    with pytest.raises(DataRecsRunUncertain):
        start(idempotency_key="key-1")


@pytest.mark.parametrize(
    "call",
    [
        lambda hook: hook.start_job_run("a/b", "w", idempotency_key="k"),
        lambda hook: hook.get_job_group_run("g", None, "r1"),
        lambda hook: hook.cancel_job_run("j", "w", "None"),
    ],
)
def test_an_id_that_cannot_be_one_is_refused_before_anything_is_sent(simulator, call):
    with pytest.raises(AirflowFailException):
        call(DataRecsHook())
    assert simulator.requests == []


def test_a_job_is_found_by_name_and_run(simulator):
    hook = DataRecsHook()
    (workspace,) = (one for one in hook.list_workspaces() if one["id"] == "ws_production")
    (job,) = (one for one in hook.list_jobs("ws_production") if one["id"] == "job_ledger")
    found = hook.find_job(workspace_name=workspace["name"], job_name=job["name"])
    assert found == {"job_id": "job_ledger", "workspace_id": "ws_production"}
    run_id = hook.start_job_run(**found, idempotency_key="key-1")
    assert hook.get_job_run(**found, run_id=run_id)["status"] in ("QUEUED", "RUNNING")
    with pytest.raises(AirflowException, match="Job 'no such' not found"):
        hook.find_job(workspace_name=workspace["name"], job_name="no such")
