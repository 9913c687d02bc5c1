from __future__ import annotations

import asyncio

import aiohttp
import pytest

from airflow_provider_datarecs.simulator import Fault

START = "/jobs/j1/run?workspace_id=w1"


@pytest.mark.parametrize(
    ("fault", "met"),
    [
        (Fault(), True),
        (Fault(method="POST", path="/jobs/*/run"), True),
        (Fault(method="GET"), False),
        (Fault(path="/jobs"), False),
        (Fault(path="*/run"), True),
        (Fault(path="*/RUN"), False),
        (Fault(query="*cursor=*"), True),
        (Fault(query=""), False),
        (Fault(times=0), False),
        (Fault(times=None), True),
    ],
)
def test_which_requests_a_fault_meets(fault, met):
    assert fault.meets("POST", "/jobs/j1/run", "cursor=20", 0.0) is met


def test_a_fault_meets_as_many_requests_as_it_says():
    fault = Fault(times=2)
    assert [fault.meets("GET", "/jobs", "", 0.0) for _ in range(3)] == [True, True, False]
    assert all(Fault(times=None).meets("GET", "/jobs", "", 0.0) for _ in range(50))


def test_a_request_that_is_not_met_does_not_count():
    fault = Fault(method="POST")
    met = [fault.meets(method, "/jobs", "", 0.0) for method in ("GET", "POST", "POST")]
    assert met == [False, True, False]


def test_an_outage_lasts_from_the_first_request_it_meets():
    fault = Fault(times=None, seconds=30)
    met = [fault.meets("GET", "/jobs", "", now) for now in (100, 129, 130, 500)]
    assert met == [True, True, False, False]


async def test_an_answer_in_place_of_the_right_one(server, ask, world):
    server.faults.append(Fault(status=503, body={"message": "maintenance"}, headers={"Retry-After": "9"}))
    status, answer, headers = await ask("POST", START)
    assert (status, answer, headers["Retry-After"]) == (503, {"message": "maintenance"}, "9")
    assert (await ask("POST", START))[0] == 201
    assert [request.status for request in server.requests] == [503, 201]


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "Unauthorized"), (404, "Not Found"), (503, "Service Unavailable"), (499, "Error")],
)
async def test_an_error_without_a_body_has_that_of_datarecs(server, ask, status, message):
    server.faults.append(Fault(status=status))
    assert (await ask("GET", "/jobs"))[:2] == (status, {"statusCode": status, "message": message})


async def test_a_text_goes_out_as_it_is(server):
    server.faults.append(Fault(status=200, body="<html>", headers={"Content-Type": "text/html"}))
    async with aiohttp.ClientSession() as session, session.get(server.url) as response:
        assert (response.content_type, await response.text()) == ("text/html", "<html>")


async def test_the_first_fault_that_fits_counts(server, ask):
    server.faults.extend([Fault(path="/other", status=500), Fault(status=502), Fault(status=503)])
    assert [(await ask("GET", "/jobs"))[0] for _ in range(3)] == [502, 503, 200]


@pytest.mark.parametrize(("drop", "started"), [("before", 0), ("after", 1)])
async def test_a_dropped_connection(server, ask, world, drop, started):
    server.faults.append(Fault(drop=drop))
    with pytest.raises(aiohttp.ClientError):
        await ask("POST", START)
    assert [(request.method, request.status) for request in server.requests] == [("POST", None)]
    assert sum(map(len, world.runs.values())) == started


async def test_a_slow_answer_comes_all_the_same(server, ask):
    server.faults.append(Fault(delay=0.01))
    assert (await ask("GET", "/jobs"))[0] == 200


async def test_others_are_answered_while_one_waits(server, ask, slow_answer):
    server.faults.append(slow_answer)
    slow = asyncio.ensure_future(ask("GET", "/workspaces"))
    assert await asyncio.get_running_loop().run_in_executor(None, slow_answer.begun.wait, 10)
    assert (await ask("GET", "/jobs"))[0] == 200
    assert not slow.done()
    slow.cancel()
