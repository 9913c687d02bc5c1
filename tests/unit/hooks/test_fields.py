"""What the hook makes of a connection's type, fields and extras, before anything is sent."""

from __future__ import annotations

import json
import logging

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import ConnectionUnreadable, InvalidSettings
from airflow_provider_datarecs.compat import AIRFLOW_VERSION, AirflowNotFoundException, BaseHook
from airflow_provider_datarecs.exceptions import DataRecsConfigException
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook, _warn_once
from airflow_provider_datarecs.polling.client import BlockingPoller, RefreshingClient
from airflow_provider_datarecs.simulator import ApiKey

OTHER_TYPE = r"the connection is of type 'http', not 'datarecs', so its password is sent nowhere"


@pytest.fixture(autouse=True)
def warn_anew():
    _warn_once.cache_clear()


@pytest.fixture
def http_connection(datarecs_simulator, connect):
    connect(datarecs_simulator.url, conn_type="http")
    return datarecs_simulator


@pytest.fixture
def job():
    return DataRecsHook().target(TargetKind.JOB, "job_ledger", "ws_production")


def test_a_connection_of_another_type_is_refused_by_its_name(http_connection, job):
    with pytest.raises(DataRecsConfigException, match=rf"{OTHER_TYPE}.*Connection: 'datarecs_default'"):
        DataRecsHook().list_workspaces()
    works, message = DataRecsHook().test_connection()
    assert not works
    assert "of type 'http'" in message
    assert isinstance(
        BlockingPoller(DataRecsHook()).send(lambda client: client.get_run(job, "r")), InvalidSettings
    )
    assert http_connection.requests == []


async def test_it_is_refused_on_the_triggerer_as_well(http_connection, job):
    client = RefreshingClient.for_triggerer("datarecs_default")
    poll = await client.send(lambda opened: opened.get_run(job, "r"))
    assert isinstance(poll, InvalidSettings)
    assert "of type 'http'" in str(poll)
    assert http_connection.requests == []


@pytest.mark.parametrize("conn_type", [None, "", "datarecs", "DataRecs"])
def test_a_connection_without_a_type_is_taken(datarecs_simulator, connect, conn_type):
    connect(datarecs_simulator.url, conn_type=conn_type)
    assert len(DataRecsHook().list_workspaces()) == 2


def uri(monkeypatch, text):
    monkeypatch.setenv("AIRFLOW_CONN_DATARECS_DEFAULT", text)
    return DataRecsHook().get_settings()


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        ("datarecs://:k@api.test", "https://api.test"),
        ("datarecs://https://:k@api.test:8443", "https://api.test:8443"),
        ("datarecs://:k@api.test/https", "https://api.test"),
        ("datarecs://https://:k@api.test%2Fv1", "https://api.test/v1"),
        ("datarecs://:k@https%3A%2F%2Fapi.test%2Fv1?tenant=acme", "https://api.test/v1"),
        ("//:k@api.test", "https://api.test"),
    ],
)
def test_a_uri(monkeypatch, text, base_url):
    assert uri(monkeypatch, text).base_url == base_url


def test_a_host_with_a_path_survives_as_a_uri(monkeypatch, connect):
    connect("https://api.test:8443/v1", extra={"tenant": "acme"})
    settings = DataRecsHook().get_settings()
    # As Airflow exports connections, and keeps them in its cache.
    assert uri(monkeypatch, BaseHook.get_connection("datarecs_default").get_uri()) == settings


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("datarecs://http://:k@127.0.0.1/v1", "Schema 'v1' is neither http nor https; put the whole URL"),
        ("datarecs://me:k@api.test", "Login is filled"),
        ("https://:k@api.test", "of type 'https'"),
    ],
)
def test_what_a_uri_has_without_effect_is_refused(monkeypatch, text, told):
    with pytest.raises(DataRecsConfigException, match=told):
        uri(monkeypatch, text)


def test_what_airflow_cannot_read_is_said_to_be_there_perhaps(monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_DATARECS_DEFAULT", '{"conn_type": "datarecs", "password": 7, "host": "h"}'
    )
    with pytest.raises(AirflowNotFoundException, match="its fields must be text"):
        DataRecsHook().get_settings()


if not (3, 0) <= AIRFLOW_VERSION <= (3, 1):  # which give no connection at all with such an extra

    def test_an_extra_that_is_no_json_is_not_taken_for_none(connect):
        connect("https://api.test", extra="tenant=acme")
        with pytest.raises(DataRecsConfigException, match="Extra must be a JSON object"):
            DataRecsHook().get_settings()


def test_an_unknown_extra_is_named_by_the_test_and_the_first_use(simulator, connect, caplog):
    connect(simulator.url, extra=json.dumps({"tennant": "acme"}))
    note = "the extra 'tennant' means nothing to this provider; did you mean 'tenant'?"
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            DataRecsHook().list_workspaces()
    assert [line for line in caplog.messages if "tennant" in line] == [f"Connection datarecs_default: {note}"]
    assert DataRecsHook().test_connection() == (
        True,
        f"Connected to {simulator.url}; the API key sees 2 workspaces. But {note}",
    )


def test_a_look_that_cannot_read_the_connection_is_a_failed_look(simulator, monkeypatch, job):
    monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")
    poll = BlockingPoller(DataRecsHook()).send(lambda client: client.get_run(job, "r"))
    assert type(poll) is ConnectionUnreadable
    assert "Airflow could not give connection 'datarecs_default'" in str(poll)


def test_so_is_one_that_cannot_read_it_anew_when_the_key_is_refused(simulator, monkeypatch, job):
    hook = DataRecsHook()
    hook.get_settings()
    monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")
    simulator.world.api_keys = [ApiKey("the-new-one")]
    assert type(BlockingPoller(hook).send(lambda client: client.get_run(job, "r"))) is ConnectionUnreadable
