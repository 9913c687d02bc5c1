"""What a look gives, and how holders share it; the triggers' tests do the rest."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from asgiref.sync import sync_to_async

from airflow_provider_datarecs.api import errors
from airflow_provider_datarecs.api.contract import Kind
from airflow_provider_datarecs.api.runs import Run, Runnable
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.simulator import ApiKey, Fault, Plan
from airflow_provider_datarecs.waits.shared_client import ConnectionUnreadable, shared_client

JOB = Runnable(Kind.JOB, "job_ledger", "ws_production")
CONN_ID = "datarecs_default"


@pytest.fixture
def run_id(simulator):
    job = simulator.world.owners[Kind.JOB]["job_ledger"]
    job.plan = Plan(queued=0, running=0)
    return simulator.world.start_run(Kind.JOB, job).id


@pytest.fixture
async def client(simulator):
    async with shared_client(CONN_ID) as client:
        yield client


async def test_a_look_gives_the_run(client, run_id):
    assert await client.look(JOB, run_id) == Run(run_id, "COMPLETED", {})


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 401}, errors.Unauthorized),
        ({"status": 403}, errors.Forbidden),
        ({"status": 404}, errors.NotFound),
        ({"status": 422}, errors.Rejected),
        ({"status": 429}, errors.RateLimited),
        ({"status": 500}, errors.Unavailable),
        ({"status": 200, "body": "<html>"}, errors.UnreadableAnswer),
        ({"drop": "before"}, errors.MaybeArrived),
    ],
)
async def test_a_look_gives_what_went_wrong(simulator, client, run_id, fault, kind):
    simulator.faults.append(Fault(times=None, **fault))
    assert type(await client.look(JOB, run_id)) is kind


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"status": 200, "body": "<html>"}])
async def test_a_look_is_one_request_whatever_it_meets(simulator, client, run_id, fault):
    simulator.faults.append(Fault(times=None, **fault))
    await client.look(JOB, run_id)
    assert len(simulator.requests) == 1


async def test_holders_in_one_loop_get_the_same_client_and_later_ones_another(simulator):
    async with shared_client(CONN_ID) as first, shared_client(CONN_ID) as second, shared_client("b") as other:
        assert first is second
        assert other is not first
    async with shared_client(CONN_ID) as later:
        assert later is not first


async def test_a_missing_connection_is_a_failed_look_and_the_next_one_tries_again(
    simulator, client, monkeypatch
):
    content = json.dumps({"conn_type": "datarecs", "host": simulator.url, "password": "demo-key"})
    monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")
    assert isinstance(await client.look(JOB, "r"), ConnectionUnreadable)
    monkeypatch.setenv("AIRFLOW_CONN_DATARECS_DEFAULT", content)
    assert isinstance(await client.look(JOB, "r"), errors.NotFound)


async def test_a_connection_that_cannot_be_right_is_told_as_one(client, connect):
    connect("http://api.test")
    assert isinstance(await client.look(JOB, "r"), errors.InvalidSettings)


async def test_a_refused_key_is_sent_once_if_the_connection_is_the_same(simulator, client, run_id):
    simulator.world.api_keys.clear()
    assert isinstance(await client.look(JOB, run_id), errors.Unauthorized)
    assert len(simulator.requests) == 1


async def test_a_new_key_is_tried_once(simulator, client, connect, run_id):
    await client.look(JOB, run_id)
    simulator.world.api_keys.clear()
    connect(simulator.url, password="also-refused")
    assert isinstance(await client.look(JOB, run_id), errors.Unauthorized)
    sent = [seen.headers["Authorization"] for seen in simulator.requests]
    assert sent == ["Bearer demo-key", "Bearer demo-key", "Bearer also-refused"]


async def test_many_looks_with_a_refused_key_read_the_connection_once(
    simulator, client, connect, run_id, monkeypatch
):
    await client.look(JOB, run_id)
    read, readings = DataRecsHook.read_settings, []
    monkeypatch.setattr(DataRecsHook, "read_settings", lambda hook: readings.append(hook) or read(hook))
    simulator.world.api_keys[:] = [ApiKey("new-key")]
    connect(simulator.url, password="new-key")
    looks = await asyncio.gather(*(client.look(JOB, run_id) for _ in range(10)))
    assert {type(look) for look in looks} == {Run}
    assert len(readings) == 1


async def test_the_whole_connection_is_taken_up_with_a_new_key(simulator, client, connect, run_id):
    await client.look(JOB, run_id)
    simulator.world.api_keys[:] = [ApiKey("new-key")]
    connect(f"{simulator.url}/v1", password="new-key", extra={"tenant": "acme"})
    assert isinstance(await client.look(JOB, run_id), Run)
    assert simulator.requests[-1].path == f"/v1/jobs/job_ledger/runs/{run_id}"
    assert simulator.requests[-1].headers["X-Datarecs-Tenant-Hint"] == "acme"


async def test_a_look_cancelled_while_it_reads_the_connection_leaves_the_others(client, run_id):
    release = threading.Event()
    held = asyncio.ensure_future(sync_to_async(release.wait)())  # occupies the thread that reads connections
    looks = [asyncio.ensure_future(client.look(JOB, run_id)) for _ in range(3)]
    await asyncio.sleep(0)
    looks[0].cancel()
    await asyncio.sleep(0)
    release.set()
    done = await asyncio.gather(*looks, return_exceptions=True)
    assert [type(one) for one in done] == [asyncio.CancelledError, Run, Run]
    assert await held
