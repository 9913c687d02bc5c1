"""Ways to DataRecs that a connection may lead over."""

from __future__ import annotations

import socket

import pytest

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
