"""Answers that are spoilt on their way."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import Fault
from airflow_provider_datarecs.simulator.scenario import build_world

START = "/jobs/j1/run?workspace_id=w1"
LIST = b"GET /jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer demo-key\r\n\r\n"


@pytest.fixture
async def talk(server):
    """Send a request for the list of jobs over a connection of its own; gives what comes back."""
    writers = []

    async def talk():
        reader, writer = await asyncio.open_connection(*server.url[len("http://") :].rsplit(":", 1))
        writers.append(writer)
        writer.write(LIST)
        return reader

    yield talk
    for writer in writers:
        writer.close()


async def test_a_gateway_that_fails_once_the_request_was_carried_out(server, ask, world):
    server.faults.append(Fault(status=502, body={"message": "bad gateway"}, carry_out=True))
    status, answer, _ = await ask("POST", START)
    assert (status, answer) == (502, {"message": "bad gateway"})
    assert len(world.runs[TargetKind.JOB]) == 1


async def test_the_right_answer_with_other_headers(server, ask, world):
    server.faults.append(Fault(headers={"Content-Type": "text/html"}))
    status, answer, headers = await ask("POST", START)
    assert (status, headers["Content-Type"]) == (201, "text/html")
    assert [answer["run_id"]] == [run.id for run in world.runs[TargetKind.JOB]]


@pytest.mark.parametrize("answer", [{}, {"status": 200, "body": "x" * 100}])
async def test_half_a_body(server, talk, answer):
    server.faults.append(Fault(drop="half", **answer))
    head, _, body = (await (await talk()).read()).partition(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
    assert 0 < len(body) == int(length.split()[1]) // 2


async def test_half_an_answer_to_a_request_that_was_carried_out(server, ask, world):
    server.faults.append(Fault(drop="half"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask("POST", START)
    assert len(world.runs[TargetKind.JOB]) == 1


async def test_the_parts_of_a_slow_answer_come_one_by_one(server, talk):
    server.faults.append(Fault(slow=0.05))
    began = time.monotonic()
    reader = await talk()
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    at = [time.monotonic()]
    await reader.readuntil(b"\r\n\r\n")
    at.append(time.monotonic())
    json.loads(await reader.read())
    at.append(time.monotonic())
    assert at[0] - began < at[1] - began >= 0.05
    assert at[2] - began >= 0.15


async def test_padding_leaves_the_answer_what_it_is(server, ask):
    _, plain, _ = await ask("GET", "/jobs")
    server.faults.append(Fault(padding=1_000_000))
    _, padded, headers = await ask("GET", "/jobs")
    assert padded == plain
    assert int(headers["Content-Length"]) > 1_000_000


@pytest.mark.parametrize("slow", [0.0, 0.001])
async def test_a_body_without_end_and_others_are_answered_meanwhile(server, talk, ask, slow):
    server.faults.append(Fault(padding=-1, slow=slow))
    reader = await talk()
    await reader.readuntil(b"\r\n\r\n{")
    for _ in range(20):
        assert await reader.read(65536)
    assert (await ask("GET", "/jobs"))[0] == 200
    assert await reader.read(1) == b" "


def test_a_scenario_can_say_all_of_it():
    said = {"status": 502, "carry_out": True, "slow": 0.1, "padding": -1, "drop": "half"}
    _, (fault,) = build_world({"faults": [said]})
    assert {name: getattr(fault, name) for name in said} == said
