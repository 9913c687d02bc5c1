"""What users can get wrong, and what they are told."""

from __future__ import annotations

import pytest
from support.fakes import rendered

from airflow_provider_datarecs.compat import (
    CONFIG_EXCEPTIONS,
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
)
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.list_jobs import ListJobsOperator
from airflow_provider_datarecs.operators.list_workspaces import ListWorkspacesOperator
from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Fault

IDS = {"job_id": "j", "workspace_id": "ws_production", "run_id": "r"}
KEY = "a-key-that-is-told-to-nobody"


def get_result(**ids):
    return rendered(GetJobRunResultOperator, **{**IDS, **ids})


def list_workspaces():
    return ListWorkspacesOperator(task_id="t")


@pytest.fixture
def no_back_off(monkeypatch):
    monkeypatch.setattr("airflow_provider_datarecs.api.retry._backoff", lambda _state: 0.0)


@pytest.mark.parametrize("argument", list(IDS))
@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        (".", "is no id"),
        ("..", "is no id"),
        (None, "its template found nothing"),
        ("None", "its template found nothing"),
        (7.5, "must be text"),
        (True, "must be text"),
        ("../workspaces", "since it holds '/'"),
        ("a\\b", "since it holds '\\\\'"),
        ("j?workspace_id=x", "since it holds '?'"),
        ("j#1", "since it holds '#'"),
        ("..%2Fworkspaces", "since it holds '%'"),
        ("j 1", "since it holds ' '"),
        ("j1\n", "since it holds '\\n'"),
        ("j\x001", "since it holds '\\x00'"),
    ],
)
def test_an_id_that_cannot_be_one_is_named_and_nothing_is_sent(simulator, context, argument, value, told):
    with pytest.raises(AirflowFailException) as caught:
        get_result(**{argument: value}).execute(context)
    assert argument in str(caught.value)
    assert repr(value) in str(caught.value)
    assert told in str(caught.value)
    assert simulator.requests == []


@pytest.mark.parametrize("argument", ["workspace_name", "job_name"])
@pytest.mark.parametrize("value", ["", " ", None])
def test_a_name_that_cannot_be_one_is_named_and_nothing_is_sent(simulator, context, argument, value):
    names = {"workspace_name": "Production", "job_name": "x", argument: value}
    with pytest.raises(AirflowFailException, match=rf"{argument} is .*{value!r}"):
        rendered(TriggerJobRunByNameOperator, **names).execute(context)
    assert simulator.requests == []


def test_an_empty_workspace_id_does_not_list_all_jobs(simulator, context):
    with pytest.raises(AirflowFailException, match=r"workspace_id is empty"):
        rendered(ListJobsOperator, workspace_id="").execute(context)
    assert simulator.requests == []


BAD_IDS = {"job_id": "../workspaces", "job_group_id": "g/../x", "workspace_id": "w#1", "run_id": "r%2e"}
TAKE_IDS = (
    TriggerJobRunOperator,
    TriggerJobGroupRunOperator,
    GetJobRunResultOperator,
    ListJobsOperator,
    JobRunSensor,
    JobGroupRunSensor,
)


@pytest.mark.parametrize(
    ("cls", "argument"),
    [(cls, argument) for cls in TAKE_IDS for argument in BAD_IDS if argument in cls.template_fields],
)
def test_no_task_sends_an_id_that_leads_elsewhere(simulator, context, cls, argument):
    ids = {name: "x" for name in BAD_IDS if name in cls.template_fields}
    with pytest.raises(AirflowFailException, match=f"{argument} is '{BAD_IDS[argument]}', which is no id"):
        rendered(cls, **{**ids, argument: BAD_IDS[argument]}).execute(context)
    assert simulator.requests == []


def test_a_missing_connection_is_told_with_what_to_do(context):
    with pytest.raises(AirflowNotFoundException, match=r"datarecs_default.*Create connection.*Host.*API Key"):
        list_workspaces().execute(context)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"host": "https://api.test", "password": ""}, "API Key .the connection's password. is empty"),
        ({"host": "", "password": KEY}, "Host is empty"),
        ({"host": "http://api.test", "password": KEY}, "plain http"),
        ({"host": "ftp://api.test", "password": KEY}, "neither http nor https"),
        ({"host": "https://api.test?x=1", "password": KEY}, "not the URL of an API"),
        ({"host": "https://me:secret@api.test", "password": KEY}, "must not hold a user"),
        ({"host": "https://api.test", "password": f"{KEY}\n{KEY}"}, "no HTTP header can carry"),
        ({"host": "api.test", "password": KEY, "schema": "v1"}, "neither http nor https"),
    ],
)
def test_a_connection_that_cannot_be_right_is_a_config_error(connect, context, fields, told):
    connect(**fields)
    with pytest.raises(AirflowFailException, match=told) as caught:
        list_workspaces().execute(context)
    assert all(isinstance(caught.value, kind) for kind in CONFIG_EXCEPTIONS)
    assert KEY not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_host_with_a_path_keeps_it(simulator, connect, context):
    connect(f"{simulator.url}/v1/")
    list_workspaces().execute(context)
    assert simulator.requests[0].path == "/v1/workspaces"


def test_a_refused_key_is_a_config_error_that_no_retry_repeats(simulator, connect, context):
    connect(simulator.url, password=KEY)
    with pytest.raises(AirflowFailException, match=r"^Invalid or expired API key") as caught:
        list_workspaces().execute(context)
    assert all(isinstance(caught.value, kind) for kind in CONFIG_EXCEPTIONS)
    assert "datarecs_default" in str(caught.value)
    assert KEY not in str(caught.value)


def test_an_unreachable_host_is_named(connect, context, no_back_off):
    connect("http://127.0.0.1:1", password=KEY)
    with pytest.raises(AirflowException, match=r"no connection to http://127.0.0.1:1") as caught:
        list_workspaces().execute(context)
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("<html>log in</html>", "is not JSON but '<html>log in</html>'"),
        ([1], "a list of objects was expected"),
    ],
)
def test_an_answer_of_another_server_is_told_as_one(simulator, context, no_back_off, body, told):
    simulator.faults.append(Fault(times=None, status=200, body=body))
    with pytest.raises(AirflowException, match=told):
        list_workspaces().execute(context)


def test_a_list_where_an_object_belongs_is_told(simulator, context, no_back_off):
    simulator.faults.append(Fault(times=None, status=200, body=[{"id": "r", "status": "COMPLETED"}]))
    with pytest.raises(AirflowException, match=r"an object was expected, not a list"):
        get_result().execute(context)
