"""What a request through a connection gives, and when that is read."""

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
from airflow_provider_datarecs.waits.connection import Connection, ConnectionUnreadable

JOB = Runnable(Kind.JOB, "job_ledger", "ws_production")
CONN_ID = "datarecs_default"


@pytest.fixture
def run_id(simulator):
    job = simulator.world.owners[Kind.JOB]["job_ledger"]
    job.plan = Plan(queued=0, running=0)
    return simulator.world.start_run(Kind.JOB, job).id


@pytest.fixture
async def connection(simulator):
    connection = Connection(CONN_ID)
    yield connection
    await connection.close()


def get(run_id):
    """Ask for a run of the ledger job."""
    return lambda client: client.get_run(JOB, run_id)


async def test_an_answer_comes_back(connection, run_id):
    assert await connection.ask(get(run_id)) == Run(run_id, "COMPLETED", {})


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
async def test_what_went_wrong_comes_back(simulator, connection, run_id, fault, kind):
    simulator.faults.append(Fault(times=None, **fault))
    assert type(await connection.ask(get(run_id))) is kind


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"status": 200, "body": "<html>"}])
async def test_what_is_asked_is_one_request_whatever_it_meets(simulator, connection, run_id, fault):
    simulator.faults.append(Fault(times=None, **fault))
    await connection.ask(get(run_id))
    assert len(simulator.requests) == 1


async def test_the_connection_is_read_by_the_first_request_and_once_for_all(
    simulator, connect, run_id, monkeypatch
):
    read, readings = DataRecsHook.read_settings, []
    monkeypatch.setattr(DataRecsHook, "read_settings", lambda hook: readings.append(hook) or read(hook))
    connect(simulator.url, extra={"requests_per_minute": 50})
    connection = Connection(CONN_ID)
    assert connection.settings is None
    assert readings == []
    looks = await asyncio.gather(*(connection.ask(get(run_id)) for _ in range(10)))
    await connection.close()
    assert {type(look) for look in looks} == {Run}
    assert len(readings) == 1
    assert connection.settings.limits.requests_per_minute == 50


async def test_what_the_answers_say_of_the_limit_is_known(simulator, connection, run_id):
    assert connection.seen_limit.remaining is None
    for remaining in (99, 98):
        await connection.ask(get(run_id))
        assert connection.seen_limit.remaining == remaining


async def test_all_requests_go_through_one_session_that_closing_ends(connection, run_id):
    clients = []

    async def note(client):
        clients.append(client)
        return await client.get_run(JOB, run_id)

    for _ in range(3):
        await connection.ask(note)
    assert len(set(map(id, clients))) == 1
    session = clients[0]._session
    assert not session.closed
    await connection.close()
    assert session.closed


async def test_a_connection_that_nobody_asked_through_can_be_closed():
    await Connection("no_such_connection").close()


async def test_what_is_no_error_of_datarecs_is_raised(connection):
    async def fail(client):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await connection.ask(fail)


async def test_a_missing_connection_is_what_went_wrong_and_the_next_request_tries_again(
    simulator, connection, monkeypatch
):
    content = json.dumps({"conn_type": "datarecs", "host": simulator.url, "password": "demo-key"})
    monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")
    assert isinstance(await connection.ask(get("r")), ConnectionUnreadable)
    monkeypatch.setenv("AIRFLOW_CONN_DATARECS_DEFAULT", content)
    assert isinstance(await connection.ask(get("r")), errors.NotFound)


async def test_a_connection_that_cannot_be_right_is_told_as_one(connection, connect):
    connect("http://api.test")
    assert isinstance(await connection.ask(get("r")), errors.InvalidSettings)


async def test_a_refused_key_is_sent_once_if_the_connection_is_the_same(simulator, connection, run_id):
    simulator.world.api_keys.clear()
    assert isinstance(await connection.ask(get(run_id)), errors.Unauthorized)
    assert len(simulator.requests) == 1


async def test_a_new_key_is_tried_once(simulator, connection, connect, run_id):
    await connection.ask(get(run_id))
    simulator.world.api_keys.clear()
    connect(simulator.url, password="also-refused")
    assert isinstance(await connection.ask(get(run_id)), errors.Unauthorized)
    sent = [seen.headers["Authorization"] for seen in simulator.requests]
    assert sent == ["Bearer demo-key", "Bearer demo-key", "Bearer also-refused"]


async def test_many_requests_with_a_refused_key_read_the_connection_once(
    simulator, connection, connect, run_id, monkeypatch
):
    await connection.ask(get(run_id))
    read, readings = DataRecsHook.read_settings, []
    monkeypatch.setattr(DataRecsHook, "read_settings", lambda hook: readings.append(hook) or read(hook))
    simulator.world.api_keys[:] = [ApiKey("new-key")]
    connect(simulator.url, password="new-key")
    looks = await asyncio.gather(*(connection.ask(get(run_id)) for _ in range(10)))
    assert {type(look) for look in looks} == {Run}
    assert len(readings) == 1


async def test_the_whole_connection_is_taken_up_with_a_new_key(simulator, connection, connect, run_id):
    await connection.ask(get(run_id))
    simulator.world.api_keys[:] = [ApiKey("new-key")]
    connect(f"{simulator.url}/v1", password="new-key", extra={"tenant": "acme"})
    assert isinstance(await connection.ask(get(run_id)), Run)
    assert simulator.requests[-1].path == f"/v1/jobs/job_ledger/runs/{run_id}"
    assert simulator.requests[-1].headers["X-Datarecs-Tenant-Hint"] == "acme"


async def test_a_request_cancelled_while_it_reads_the_connection_leaves_the_others(connection, run_id):
    release = threading.Event()
    held = asyncio.ensure_future(sync_to_async(release.wait)())  # occupies the thread that reads connections
    looks = [asyncio.ensure_future(connection.ask(get(run_id))) for _ in range(3)]
    await asyncio.sleep(0)
    looks[0].cancel()
    await asyncio.sleep(0)
    release.set()
    done = await asyncio.gather(*looks, return_exceptions=True)
    assert [type(one) for one in done] == [asyncio.CancelledError, Run, Run]
    assert await held
