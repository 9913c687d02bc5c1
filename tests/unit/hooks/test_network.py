"""Ways to DataRecs that a connection may lead over."""

from __future__ import annotations

import socket

import pytest
from support.servers import AnyServer

from airflow_provider_datarecs.compat import AirflowException
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.simulator import Fault, Simulator

pytestmark = pytest.mark.compat

LEDGER = ("job_ledger", "ws_production")
ELSEWHERE = {"host": "http://datarecs.invalid", "extra": {"allow_insecure_http": True}}


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def _nothing_resolves(monkeypatch):
    def unknown(host, *args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)


@pytest.mark.usefixtures("ipv6")
@pytest.mark.parametrize(
    "fields", [lambda url: {"host": url}, lambda url: {"host": url[len("http://") :], "schema": "http"}]
)
def test_ipv6(connect, fields):
    with Simulator(host="::1") as simulator:
        connect(**fields(simulator.url))
        hook = DataRecsHook()
        assert hook.test_connection() == (
            True,
            f"Connected to {simulator.url}; the API key sees 2 workspaces",
        )
        run_id = hook.start_job_run(*LEDGER, idempotency_key="start-1")
        assert hook.get_job_run(*LEDGER, run_id)["status"] in ("QUEUED", "RUNNING")
        assert {seen.headers["Host"] for seen in simulator.requests} == {simulator.url[len("http://") :]}


@pytest.mark.usefixtures("ipv6")
def test_the_next_page_of_a_list_over_ipv6(connect):
    with Simulator(host="::1") as simulator:
        simulator.world.behaviour.paging, simulator.world.behaviour.page_size = "url", 1
        connect(simulator.url)
        assert len(DataRecsHook().list_workspaces()) == 2


def test_a_proxy_from_the_environment(simulator, connect, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", simulator.url)
    connect(**ELSEWHERE)
    hook = DataRecsHook()
    run_id = hook.start_job_run(*LEDGER, idempotency_key="start-1")
    assert hook.get_job_run(*LEDGER, run_id)["status"] in ("QUEUED", "RUNNING")
    assert {seen.headers["Host"] for seen in simulator.requests} == {"datarecs.invalid"}


@pytest.mark.usefixtures("_nothing_resolves")
@pytest.mark.parametrize("excluded", ["datarecs.invalid", ".invalid", "*"])
def test_a_host_that_the_environment_keeps_from_the_proxy(simulator, connect, monkeypatch, excluded):
    monkeypatch.setattr("airflow_provider_datarecs.api.retry._backoff", lambda _state: 0.0)
    monkeypatch.setenv("HTTP_PROXY", simulator.url)
    monkeypatch.setenv("NO_PROXY", excluded)
    connect(**ELSEWHERE)
    with pytest.raises(AirflowException, match=r"no connection to http://datarecs\.invalid"):
        DataRecsHook().start_job_run(*LEDGER, idempotency_key="start-1")
    assert simulator.requests == []


@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_of_a_proxy_takes_the_key_nowhere(simulator, connect, monkeypatch, status):
    with Simulator() as other:
        monkeypatch.setenv("HTTP_PROXY", simulator.url)
        connect(**ELSEWHERE)
        simulator.faults.append(Fault(times=None, status=status, headers={"Location": other.url}))
        with pytest.raises(AirflowException, match=f"redirected .{status}. to {other.url}, not followed"):
            DataRecsHook().start_job_run(*LEDGER, idempotency_key="start-1")
        assert other.requests == []
    assert len(simulator.requests) == 1


@pytest.mark.parametrize(
    ("uri", "works"),
    [
        ("datarecs://:demo-key@{where}", False),
        ("datarecs://http://:demo-key@{where}", True),
        ("datarecs://:demo-key@{where}/http", True),
        ("datarecs://:demo-key@http%3A%2F%2F{quoted}", True),
    ],
)
def test_a_uri_of_plain_http_says_so_or_is_told_how(simulator, monkeypatch, uri, works):
    where = simulator.url.partition("://")[2]
    uri = uri.format(where=where, quoted=where.replace(":", "%3A"))
    monkeypatch.setenv("AIRFLOW_CONN_DATARECS_DEFAULT", uri)
    status, told = DataRecsHook().test_connection()
    assert status is works
    if not works:
        assert f"no connection to https://{where}" in told
        assert "https was spoken to a port that does not speak it" in told
        assert "datarecs://http://:key@host:port" in told


@pytest.mark.usefixtures("_nothing_resolves")
def test_a_host_without_an_address_is_told_with_where_to_look(connect):
    connect("https://datarecs.invalid")
    status, told = DataRecsHook().test_connection()
    assert not status
    assert "no connection to https://datarecs.invalid" in told
    assert "The name in it has no address here: look at the connection's Host" in told


@pytest.mark.usefixtures("_nothing_resolves")
def test_a_proxy_without_an_address_is_no_fault_of_the_host(connect, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:1")
    connect("https://datarecs.invalid")
    status, told = DataRecsHook().test_connection()
    assert not status
    assert "look at the connection's Host" not in told


DATARECS = {"X-RateLimit-Remaining": "90"}
OTHER_APIS = [
    {"status": 405, "body": {"message": "Method Not Allowed"}},
    {"status": 405, "body": {"detail": "Method Not Allowed"}},
    {"status": 404, "body": {"detail": "Not Found"}},
    {"status": 404, "body": "<html>"},
    {"status": 200, "body": {"hello": 1}},
    {"status": 200, "body": "<html>"},
]


@pytest.mark.parametrize("answer", OTHER_APIS, ids=str)
def test_another_api_raises_doubt_in_the_host_first(connect, answer):
    with AnyServer(**answer) as server:
        connect(server.url)
        status, told = DataRecsHook().test_connection()
    assert not status
    assert told.startswith("the connection's Host may not be the URL of the DataRecs API: ")


def test_another_apis_404_keeps_the_documented_words_first(connect):
    with AnyServer(404, {"message": "Not Found"}) as server:
        connect(server.url)
        status, told = DataRecsHook().test_connection()
    assert not status
    assert told.startswith("Resource not found: the list of workspaces; the connection's Host may not be ")


def test_datarecs_own_refusal_raises_no_such_doubt(simulator):
    for status in (404, 405):
        simulator.faults.append(Fault(status=status, body={"message": "no"}, headers=DATARECS))
        works, told = DataRecsHook().test_connection()
        assert not works
        assert "may not be the URL" not in told
