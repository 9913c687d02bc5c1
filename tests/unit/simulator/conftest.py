from __future__ import annotations

import threading

import aiohttp
import pytest

from airflow_provider_datarecs.simulator import Fault, Plan, Simulator, World

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class Clock:
    """A clock that stands still unless it is told to go on."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def world(clock):
    """A world with a job ``j1``, a job ``j2`` and a group of both in workspace ``w1``."""
    world = World(clock=clock)
    world.add_workspace("w1", "Finance", region="eu")
    world.add_workspace("w2", "Sales")
    world.add_job("j1", "daily", "w1", Plan(queued=10, running=30, rows_unmatched=5))
    world.add_job("j2", "weekly", "w1", Plan(queued=0, running=60))
    world.add_job_group("g1", "all", "w1", ["j1", "j2"])
    return world


@pytest.fixture
def server(world):
    with Simulator(world) as server:
        yield server


@pytest.fixture
async def ask(server):
    """Send a request as any HTTP client would; gives the status, the JSON or plain text, and the headers."""
    async with aiohttp.ClientSession() as session:

        async def ask(method, path, *, key="demo-key", headers=None, **more):
            sent = {"Authorization": f"Bearer {key}", **(headers or {})}
            async with session.request(method, server.url + path, headers=sent, **more) as response:
                is_text = response.content_type == "text/plain"
                answer = await (response.text() if is_text else response.json(content_type=None))
                return response.status, answer, response.headers

        yield ask


class SlowAnswer(Fault):
    """An answer that takes ten minutes; ``begun`` is set once a request waits for it."""

    def __init__(self, path="*"):
        super().__init__(path=path, delay=600)
        self.begun = threading.Event()

    def meets(self, *request):
        met = super().meets(*request)
        if met:
            self.begun.set()
        return met


@pytest.fixture
def slow_answer():
    return SlowAnswer("/workspaces")
