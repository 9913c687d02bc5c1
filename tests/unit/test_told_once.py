"""A task's log shows one traceback for one mistake, without the frames of this provider."""

from __future__ import annotations

import traceback

import pytest
from support.fakes import rendered

import airflow_provider_datarecs
from airflow_provider_datarecs.compat import AirflowException, AirflowSkipException
from airflow_provider_datarecs.exceptions import told_once
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.list_workspaces import ListWorkspacesOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Fault

PACKAGE = airflow_provider_datarecs.__path__[0]
LEDGER = {"job_id": "job_ledger", "workspace_id": "ws_production"}


def log_of(task, context):
    """Run a task, and give what a log has of its failure."""
    try:
        task.execute(context)
    except (AirflowException, ValueError) as error:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__)), error
    raise AssertionError("the task has not failed")


def no_such_job():
    return TriggerJobRunByNameOperator(task_id="t", workspace_name="Production", job_name="x")


def no_such_run():
    return GetJobRunResultOperator(task_id="t", **LEDGER, run_id="x")


def poking():
    return JobRunSensor(task_id="t", **LEDGER, run_id="x", deferrable=False, poke_interval=1)


def list_workspaces():
    return ListWorkspacesOperator(task_id="t")


def start():
    return TriggerJobRunOperator(task_id="t", **LEDGER)


def wrong_id():
    return rendered(GetJobRunResultOperator, **LEDGER, run_id="a b")


WRONG_KEY = {"password": "wrong"}
MISTAKES = {
    "a connection that is not there": (list_workspaces, {"conn_id": "other"}, {}),
    "a connection that cannot be right": (list_workspaces, {"login": "me"}, {}),
    "a wrong key": (list_workspaces, WRONG_KEY, {}),
    "a wrong key of a wait": (poking, WRONG_KEY, {}),
    "a wrong key of a start": (start, WRONG_KEY, {}),
    "a wrong name": (no_such_job, {}, {}),
    "a wrong id": (wrong_id, {}, {}),
    "a run that is not there": (no_such_run, {}, {}),
    "another server": (list_workspaces, {}, {"status": 200, "body": "<html>"}),
    "an answer that is lost": (start, {}, {"method": "POST", "drop": "after"}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_a_user_is_told_once(simulator, connect, context, monkeypatch, polling_config, mistake):
    polling_config(confirm_after=0.02)
    make, connection, fault = MISTAKES[mistake]
    monkeypatch.setattr("airflow_provider_datarecs.api.retry._backoff", lambda _state: 0.0)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    if "conn_id" in connection:
        monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")
    else:
        connect(simulator.url, **connection)
    simulator.faults.extend([Fault(times=None, **fault)] if fault else [])
    told, error = log_of(make(), context)
    assert told.count("Traceback") == 1
    assert told.count(f'File "{PACKAGE}') == 1, told  # where Airflow calls the task
    assert told.rstrip().endswith(str(error).splitlines()[-1])


def test_a_skip_is_told_once(simulator, connect, context):
    connect(simulator.url, login="me")
    task = JobRunSensor(task_id="t", **LEDGER, run_id="x", soft_fail=True)
    told, error = log_of(task, context)
    assert isinstance(error, AirflowSkipException)
    assert told.count("Traceback") == 1


@pytest.mark.parametrize("kind", [AirflowException, ValueError])
def test_what_others_raise_keeps_its_traceback_and_its_causes(context, kind):
    class Task:
        @told_once
        def execute(self, context):
            raise kind("what") from KeyError("why")

    told, _ = log_of(Task(), context)
    assert "KeyError: 'why'" in told
    assert "in execute" in told
