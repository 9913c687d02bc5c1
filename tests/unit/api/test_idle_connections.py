"""A server that closes connections which were idle, just when the next request is sent on one."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from airflow_provider_datarecs.api.retry import ONE_POLL
from airflow_provider_datarecs.api.start import StartRequest, start_once

BODIES = {"GET": b'{"items": []}', "POST": b'{"run_id": "r1"}'}


class Server:
    """Answer the first request on each connection, and close it when a second one comes, unanswered."""

    def __init__(self):
        self.answered, self.lost = [], []
        self.url = None

    async def talk(self, reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            method = await self._method(reader)
            self.answered.append(method)
            body = BODIES[method]
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            self.lost.append(await self._method(reader))
        writer.close()

    async def _method(self, reader):
        return (await reader.readuntil(b"\r\n\r\n")).decode().split()[0]


@pytest.fixture
async def closing():
    server = Server()
    listener = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield server
    listener.close()
    await listener.wait_closed()


async def test_a_start_after_a_look_is_not_lost(closing, open_client, job):
    async with open_client(closing.url) as client:
        start_request = StartRequest(key="start-1", since=time.time())
        sent_at = time.time() - 3600.0
        assert await start_once(client, job, start_request, sent_at=sent_at, may_repeat=False) == "r1"
    assert (closing.answered, closing.lost) == (["GET", "POST"], [])


async def test_neither_is_a_start_after_a_start_nor_a_cancel(closing, open_client, job):
    async with open_client(closing.url, policy=ONE_POLL) as client:
        for _ in range(2):
            await client.start_run(job, idempotency_key="start-1")
        await client.cancel_run(job, "r1", reason="why")
    assert (closing.answered, closing.lost) == (["POST"] * 3, [])


async def test_questions_share_a_connection_and_are_asked_again(closing, open_client, job):
    async with open_client(closing.url) as client:
        for _ in range(2):
            assert await client.list_runs(job) == []
    assert (closing.answered, closing.lost) == (["GET", "GET"], ["GET"])
