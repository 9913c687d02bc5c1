"""What operators make of answers that are spoilt on their way, or after their request was carried out."""

from __future__ import annotations

import tracemalloc

import pytest

from airflow_provider_datarecs.api.bodies import MAX_ANSWER
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AirflowException, AirflowFailException
from airflow_provider_datarecs.exceptions import DataRecsRunUncertain
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.list_workspaces import ListWorkspacesOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.simulator import Fault, Plan

HTML = {"body": "<html>Something went wrong</html>", "headers": {"Content-Type": "text/html"}}
SPOILT = {
    "a reset before anything is done": {"drop": "before"},
    "a reset after it is done": {"drop": "after"},
    "half a body": {"drop": "half"},
    "a body without end": {"padding": -1, "slow": 0.01},
    "headers that never come": {"slow": 600},
    "an answer that never comes": {"delay": 600},
    "100 MB": {"padding": 100_000_000},
    "an endless stream": {"padding": -1},
    "an error page with 502": {"status": 502, "carry_out": True, **HTML},
    "a gateway's 404": {"status": 404, "carry_out": True, "body": "default backend - 404"},
    "a redirect to a login": {"status": 302, "carry_out": True, "headers": {"Location": "/login"}},
    "an encoding of its own choice": {"headers": {"Content-Encoding": "br"}},
}
NEVER_DONE = {"a reset before anything is done", "an answer that never comes"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("airflow_provider_datarecs.api.transport.REQUEST_TIMEOUT", 0.3)
    monkeypatch.setattr("airflow_provider_datarecs.api.retry._backoff", lambda _state: 0.0)


def trigger():
    return TriggerJobRunOperator(task_id="t", job_id="job_ledger", workspace_id="ws_production")


@pytest.fixture
def result_of_a_run(simulator):
    """Make an operator that gets the result of a run that is COMPLETED."""
    job = simulator.world.owners[TargetKind.JOB]["job_ledger"]
    job.plan = Plan(queued=0, running=0)
    run = simulator.world.start_run(TargetKind.JOB, job)
    return GetJobRunResultOperator(
        task_id="t", job_id="job_ledger", workspace_id="ws_production", run_id=run.id
    )


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_result_that_is_spoilt_is_asked_for_again(simulator, context, result_of_a_run, spoilt):
    fault = Fault(method="GET", times=2, **SPOILT[spoilt])
    simulator.faults.append(fault)
    assert result_of_a_run.execute(context)["status"] == "COMPLETED"
    assert fault.times == 0


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_result_that_stays_spoilt_is_an_error(simulator, context, ti, result_of_a_run, spoilt, monkeypatch):
    monkeypatch.setattr("airflow_provider_datarecs.api.transport.REQUEST_TIMEOUT", 0.05)
    simulator.faults.append(Fault(method="GET", times=None, **SPOILT[spoilt]))
    with pytest.raises(AirflowException) as caught:
        result_of_a_run.execute(context)
    assert not isinstance(caught.value, AirflowFailException)  # a retry of the task may cure it
    assert ti.xcoms == {}


@pytest.mark.parametrize("spoilt", sorted(SPOILT.keys() - NEVER_DONE))
def test_a_run_whose_answer_is_spoilt_is_started_once_and_said_to_be_uncertain(
    simulator, context, ti, spoilt
):
    simulator.faults.append(Fault(method="POST", times=None, **SPOILT[spoilt]))
    with pytest.raises(DataRecsRunUncertain, match="may have started"):
        trigger().execute(context)
    assert len(simulator.world.runs[TargetKind.JOB]) == 1
    assert [seen.method for seen in simulator.requests].count("POST") == 1
    assert ti.xcoms == {}


@pytest.mark.parametrize("content_type", ["text/html", "application/octet-stream", "nonsense", ""])
def test_json_is_read_whatever_it_is_called(simulator, context, result_of_a_run, content_type):
    simulator.faults.append(Fault(times=None, headers={"Content-Type": content_type}))
    assert len(ListWorkspacesOperator(task_id="t").execute(context)) == 2
    assert result_of_a_run.execute(context)["status"] == "COMPLETED"
    assert trigger().execute(context) == simulator.world.runs[TargetKind.JOB][-1].id


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"id": "other", "id": "%s", "status": "FAILED", "status": "COMPLETED"}', "COMPLETED"),
        ('{"id": "%s", "status": "COMPLETED", "status": "FAILED"}', "FAILED"),
    ],
)
def test_of_keys_that_come_twice_the_last_counts(simulator, context, result_of_a_run, body, status):
    simulator.faults.append(Fault(status=200, body=body % result_of_a_run.run_id))
    assert result_of_a_run.execute(context)["status"] == status


def test_a_run_whose_other_id_comes_last_is_another_one(simulator, context, result_of_a_run):
    body = f'{{"id": "{result_of_a_run.run_id}", "status": "COMPLETED", "id": "other"}}'
    simulator.faults.append(Fault(times=None, status=200, body=body))
    with pytest.raises(AirflowException, match="the answer is about run 'other'"):
        result_of_a_run.execute(context)


def test_an_answer_of_100_mb_is_refused_within_bounded_memory(simulator, context):
    simulator.faults.append(Fault(times=None, padding=100_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(DataRecsRunUncertain, match=f"the answer is larger than {MAX_ANSWER} bytes"):
            trigger().execute(context)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert MAX_ANSWER < most < 3 * MAX_ANSWER
