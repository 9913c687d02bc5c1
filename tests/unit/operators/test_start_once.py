"""A task instance starts one run: over all its retries, and a new one after a clear."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from support.fakes import FakeStore

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AIRFLOW_VERSION, AirflowException, AirflowFailException
from airflow_provider_datarecs.exceptions import DataRecsRunUncertain
from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow_provider_datarecs.simulator import Fault, Plan

MAKE = {
    "by ids": (TriggerJobRunOperator, {"job_id": "job_ledger", "workspace_id": "ws_production"}),
    "by names": (
        TriggerJobRunByNameOperator,
        {"workspace_name": "Production", "job_name": "ledger-vs-warehouse"},
    ),
    "group": (TriggerJobGroupRunOperator, {"job_group_id": "grp_nightly", "workspace_id": "ws_production"}),
}
HAS_STORE = AIRFLOW_VERSION >= (3, 3)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("airflow_provider_datarecs.api.retry._backoff", lambda _state: 0.0)
    monkeypatch.setattr(contract, "NOT_VISIBLE_GRACE", 0.0)


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def dag_run():
    """What a worker sees of a DAG run, on every Airflow."""
    now = datetime.now(timezone.utc)
    return SimpleNamespace(start_date=now, logical_date=now - timedelta(days=1), clear_number=0)


@pytest.fixture
def task(request, simulator, ti, store, dag_run):
    """Run a task as a try of it, with ``retries=1``."""
    simulator.world.behaviour.honours_idempotency_key = False

    def run(try_number=1, *, max_tries=1, make="by ids", retries=1, rendered=None, **more):
        cls, ids = MAKE[make]
        ti.try_number, ti.max_tries, ti.xcoms = try_number, max_tries, {}
        context = {"ti": ti, "dag_run": dag_run}
        if HAS_STORE:
            context["task_state_store"] = store
        operator = cls(task_id="t", retries=retries, **ids, **more)
        for name, value in (rendered or {}).items():
            setattr(operator, name, value)
        return operator.execute(context)

    return run


def lose_worker(store):
    """Leave the store as a worker does that is gone before anything but the request was done."""
    for kept in store.values():
        del kept["ids"]
        kept["sent"] = time.time()


def posts(simulator):
    return [seen for seen in simulator.requests if seen.method == "POST"]


def lose(simulator, **fault):
    simulator.faults.append(Fault(method="POST", **{"drop": "after", **fault}))


@pytest.mark.parametrize("make", MAKE)
def test_a_start_whose_answer_is_lost_is_adopted_by_its_label(simulator, task, ti, make):
    lose(simulator)
    run_id = task(make=make, unique_label=True)
    kind = TargetKind.JOB_GROUP if make == "group" else TargetKind.JOB
    (run,) = [run for run in simulator.world.runs[kind] if run.label.startswith("dag.task ")]
    assert run_id == run.id == ti.xcoms["run_id"]
    assert len(posts(simulator)) == 1


@pytest.mark.parametrize("make", MAKE)
def test_without_a_proof_the_task_fails_without_retries(simulator, task, ti, make):
    lose(simulator, times=None)
    with pytest.raises(DataRecsRunUncertain, match="may have started") as caught:
        task(make=make)
    assert isinstance(caught.value, AirflowFailException)
    assert len(posts(simulator)) == 1
    assert ti.xcoms == {}


def test_a_label_of_the_users_own_proves_only_if_they_say_it_is_unique(simulator, task):
    lose(simulator, times=2)
    run_id = task(run_label="nightly-1", unique_label=True)
    assert run_id == simulator.world.runs[TargetKind.JOB][0].id
    with pytest.raises(DataRecsRunUncertain):
        task(2, max_tries=2, run_label="nightly-2")


def test_without_a_proof_a_start_is_repeated_on_demand(simulator, task):
    lose(simulator)
    assert task(on_uncertain="retry") == simulator.world.runs[TargetKind.JOB][1].id
    first, second = (seen.headers["Idempotency-Key"] for seen in posts(simulator))
    assert first == second


def test_a_choice_that_there_is_not_is_refused_and_nothing_is_sent(simulator, task):
    with pytest.raises(AirflowFailException, match="on_uncertain is 'ignore'; it can be 'fail', 'retry'"):
        task(rendered={"on_uncertain": "ignore"})
    assert simulator.requests == []


def test_a_label_that_a_template_did_not_find_is_refused(simulator, task):
    with pytest.raises(AirflowFailException, match="run_label is 'None'"):
        task(run_label="{{ params.label }}", rendered={"run_label": "None"})
    assert simulator.requests == []


def test_a_service_that_never_answers_leaves_the_task_to_its_retries(simulator, task):
    lose(simulator, drop=None, status=503, times=3)
    with pytest.raises(AirflowException, match=r"No run of job 'job_ledger' .* was started") as caught:
        task()
    assert not isinstance(caught.value, AirflowFailException)
    assert task(2) == simulator.world.runs[TargetKind.JOB][0].id


@pytest.mark.parametrize("make", MAKE)
def test_a_retry_after_a_lost_worker_starts_no_second_run(simulator, task, store, make):
    run_id = task(make=make, unique_label=True)
    lose_worker(store)
    assert task(2, make=make, unique_label=True) == run_id
    assert len(posts(simulator)) == 1


def test_a_retry_that_cannot_tell_fails_without_retries(simulator, task, store):
    task()
    lose_worker(store)
    with pytest.raises(DataRecsRunUncertain, match="an earlier try of this task may have sent the request"):
        task(2)
    assert task(2, on_uncertain="retry") == simulator.world.runs[TargetKind.JOB][1].id


def test_a_retry_starts_where_the_history_shows_no_run(simulator, task):
    simulator.faults.append(Fault(method="POST", status=422, body={"message": "not now"}))
    with pytest.raises(AirflowException, match="not now"):
        task()
    assert task(2) == simulator.world.runs[TargetKind.JOB][0].id


@pytest.mark.parametrize("make", MAKE)
def test_a_clear_starts_a_new_run_with_a_new_key_and_label(simulator, task, make):
    first, second = task(make=make, unique_label=True), task(2, max_tries=2, make=make, unique_label=True)
    assert first != second
    assert len({seen.headers["Idempotency-Key"] for seen in posts(simulator)}) == 2
    assert len({seen.body for seen in posts(simulator)}) == 2


@pytest.mark.parametrize("retry_delay", [timedelta(0), timedelta(hours=1)])
def test_a_retry_may_come_sooner_than_retry_delay_says(simulator, task, store, monkeypatch, retry_delay):
    run_id = task(unique_label=True)
    lose_worker(store)
    (run,) = simulator.world.runs[TargetKind.JOB]
    run.plan, run.created_at = Plan(hidden=0.2), time.time()
    monkeypatch.setattr(contract, "NOT_VISIBLE_GRACE", 0.4)
    assert task(2, unique_label=True, retry_delay=retry_delay) == run_id
    assert len(posts(simulator)) == 1


# 3 looks like a clear where Airflow has no store: it makes max_tries what a clear after the first try would.
@pytest.mark.parametrize("retries", [0, 1, 2, *([3] if HAS_STORE else []), 4, 5, 9])
def test_a_retry_is_one_whatever_retries_are_by_then(simulator, task, store, retries):
    task(max_tries=4, retries=4)
    lose_worker(store)
    with pytest.raises(DataRecsRunUncertain, match="an earlier try of this task may have sent the request"):
        task(2, max_tries=4, retries=retries)
    assert len(posts(simulator)) == 1


if HAS_STORE:

    @pytest.mark.parametrize("make", MAKE)
    def test_a_retry_finds_its_run_in_the_store_without_a_request(simulator, task, ti, make):
        run_id = task(make=make)
        xcoms, asked = ti.xcoms, len(simulator.requests)
        assert task(2, make=make) == run_id
        assert ti.xcoms == xcoms
        assert len(simulator.requests) == asked

    def test_the_last_time_of_sending_is_kept(simulator, task, store):
        simulator.faults.append(Fault(method="POST", status=429, headers={"Retry-After": "0"}))
        kept = []
        store.set = lambda _key, value: kept.append(value.get("sent"))
        task()
        first, second, done = kept
        assert first < second
        assert done is None

    def test_what_was_sent_long_ago_is_not_waited_for(simulator, task, store, monkeypatch):
        monkeypatch.setattr(contract, "NOT_VISIBLE_GRACE", 600.0)
        task()
        lose_worker(store)
        next(iter(store.values()))["sent"] -= 601.0
        simulator.world.runs[TargetKind.JOB].clear()
        task(2)
        assert [seen.method for seen in simulator.requests] == ["POST", "GET", "POST"]

    def test_a_store_that_cannot_be_written_lets_nothing_be_sent(simulator, task, store):
        def broken(_key, _value):
            raise OSError("no store")

        store.set = broken
        with pytest.raises(OSError, match="no store"):
            task()
        assert simulator.requests == []

    def test_after_a_start_that_was_refused_nothing_is_looked_for(simulator, task):
        simulator.faults.append(Fault(method="POST", status=422))
        with pytest.raises(AirflowException, match="422"):
            task()
        task(2)
        assert [seen.method for seen in simulator.requests] == ["POST", "POST"]

    def test_after_a_job_that_was_not_found_nothing_is_looked_for(simulator, task):
        simulator.faults.append(Fault(path="/jobs", status=200, body={"items": []}))
        with pytest.raises(AirflowException, match="Job 'ledger-vs-warehouse' not found"):
            task(make="by names")
        task(2, make="by names")
        assert {seen.path for seen in simulator.requests if "runs" in seen.path} == set()

    def test_a_store_that_takes_nothing_more_loses_no_run(simulator, task, ti, store, caplog):
        store.set = lambda key, value: store.fail() if "ids" in value else None
        assert task() == ti.xcoms["run_id"]
        assert "The task state store does not take run" in caplog.text
