from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from airflow_provider_datarecs.api.client import DataRecsClient
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.retry import OPERATOR
from airflow_provider_datarecs.api.settings import ClientSettings
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.simulator import Plan, Simulator, World


@pytest.fixture(autouse=True)
def no_pause_between_attempts(monkeypatch):
    monkeypatch.setattr("airflow_provider_datarecs.api.retry._backoff", lambda _state: 0.0)
    monkeypatch.setattr("airflow_provider_datarecs.api.retry.MIN_LIMIT_WAIT", 0.0)


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def world():
    """Two workspaces; the jobs in them complete at once."""
    world = World()
    at_once = Plan(queued=0, running=0)
    world.add_workspace("w1", "Finance")
    world.add_workspace("w2", "Sales")
    world.add_job("j1", "daily", "w1", at_once)
    world.add_job("j2", "weekly", "w1", at_once)
    world.add_job("j3", "daily", "w2", at_once)
    world.add_job_group("g1", "all", "w1", ["j1", "j2"])
    return world


@pytest.fixture
def server(world):
    with Simulator(world) as server:
        yield server


@pytest.fixture
def open_client():
    """Make a client for a host; enter it with ``async with``."""

    def open_client(host, *, policy=OPERATOR, tls=None, api_key="demo-key", **fields):
        settings = ClientSettings.from_fields(host=host, api_key=api_key, **fields)
        return DataRecsClient(settings, tls=tls, policy=policy)

    return open_client


@pytest.fixture
async def client(server, open_client):
    async with open_client(server.url) as client:
        yield client


@pytest.fixture
def job():
    return Target(TargetKind.JOB, "j1", "w1")


@pytest.fixture
def group():
    return Target(TargetKind.JOB_GROUP, "g1", "w1")


class RawServer:
    """Answer every request with the same bytes, whatever they are, and close the connection."""

    def __init__(self, answer):
        self.answer = answer
        self.heads = []
        self.closed = asyncio.Event()
        self.port = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def talk(self, reader, writer):
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(self.answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.closed.set()


@pytest.fixture
def raw_server():
    """Serve given bytes: ``async with raw_server(b"...") as server``."""

    @asynccontextmanager
    async def raw_server(answer):
        raw = RawServer(answer)
        listener = await asyncio.start_server(raw.talk, "127.0.0.1", 0)
        raw.port = listener.sockets[0].getsockname()[1]
        try:
            yield raw
        finally:
            listener.close()
            await listener.wait_closed()

    return raw_server
