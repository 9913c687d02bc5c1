"""What a request through a connection gives, and when that is read."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from asgiref.sync import sync_to_async

from airflow_provider_datarecs.api import errors
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.runs import Run
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.polling.client import RefreshingClient
from airflow_provider_datarecs.simulator import ApiKey, Fault, Plan, Simulator

JOB = Target(TargetKind.JOB, "job_ledger", "ws_production")
CONN_ID = "datarecs_default"


@pytest.fixture
def run_id(simulator):
    job = simulator.world.owners[TargetKind.JOB]["job_ledger"]
    job.plan = Plan(queued=0, running=0)
    return simulator.world.start_run(TargetKind.JOB, job).id


@pytest.fixture
async def refreshing(simulator):
    refreshing = RefreshingClient.for_triggerer(CONN_ID)
    yield refreshing
    await refreshing.close()


def get(run_id):
    """Ask for a run of the ledger job."""
    return lambda client: client.get_run(JOB, run_id)


async def test_an_answer_comes_back(refreshing, run_id):
    assert await refreshing.send(get(run_id)) == Run(run_id, "COMPLETED", {})


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
async def test_what_went_wrong_comes_back(simulator, refreshing, run_id, fault, kind):
    simulator.faults.append(Fault(times=None, **fault))
    assert type(await refreshing.send(get(run_id))) is kind


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"status": 200, "body": "<html>"}])
async def test_what_is_asked_is_one_request_whatever_it_meets(simulator, refreshing, run_id, fault):
    simulator.faults.append(Fault(times=None, **fault))
    await refreshing.send(get(run_id))
    assert len(simulator.requests) == 1


async def test_the_connection_is_read_by_the_first_request_and_once_for_all(
    simulator, connect, run_id, monkeypatch
):
    read, readings = DataRecsHook.read_settings, []
    monkeypatch.setattr(DataRecsHook, "read_settings", lambda hook: readings.append(hook) or read(hook))
    connect(simulator.url, extra={"requests_per_minute": 50})
    refreshing = RefreshingClient.for_triggerer(CONN_ID)
    assert refreshing.settings is None
    assert readings == []
    polls = await asyncio.gather(*(refreshing.send(get(run_id)) for _ in range(10)))
    await refreshing.close()
    assert {type(poll) for poll in polls} == {Run}
    assert len(readings) == 1
    assert refreshing.settings.rate_limit.requests_per_minute == 50


async def test_what_the_answers_say_of_the_limit_is_known(simulator, refreshing, run_id):
    assert refreshing.rate_limit_state.remaining is None
    for remaining in (99, 98):
        await refreshing.send(get(run_id))
        assert refreshing.rate_limit_state.remaining == remaining


async def test_all_requests_go_through_one_session_that_closing_ends(refreshing, run_id):
    clients = []

    async def note(client):
        clients.append(client)
        return await client.get_run(JOB, run_id)

    for _ in range(3):
        await refreshing.send(note)
    assert len(set(map(id, clients))) == 1
    session = clients[0]._transport._session
    assert not session.closed
    await refreshing.close()
    assert session.closed


async def test_a_connection_that_nobody_asked_through_can_be_closed():
    await RefreshingClient("no_such_connection").close()


@pytest.mark.parametrize("error", [ZeroDivisionError, ValueError, RuntimeError, UnicodeError])
async def test_what_is_no_error_of_datarecs_comes_back_with_its_traceback_and_without_the_key(
    refreshing, error
):
    async def fail(client):
        raise error("the key is demo-key")

    answer = await refreshing.send(fail)
    assert isinstance(answer, errors.Unforeseen)
    assert str(answer) == f"{error.__name__}, which this provider did not foresee; the log has its traceback"
    assert "in fail" in answer.details
    assert answer.details.endswith(f"{error.__name__}: the key is ***\n")


async def test_a_missing_connection_is_what_went_wrong_and_the_next_request_tries_again(
    simulator, refreshing, monkeypatch
):
    content = json.dumps({"conn_type": "datarecs", "host": simulator.url, "password": "demo-key"})
    monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")
    assert isinstance(await refreshing.send(get("r")), errors.ConnectionUnreadable)
    monkeypatch.setenv("AIRFLOW_CONN_DATARECS_DEFAULT", content)
    assert isinstance(await refreshing.send(get("r")), errors.NotFound)


async def test_a_connection_that_cannot_be_right_is_told_as_one(refreshing, connect):
    connect("http://api.test")
    assert isinstance(await refreshing.send(get("r")), errors.InvalidSettings)


async def test_a_refused_key_is_sent_once_if_the_connection_is_the_same(simulator, refreshing, run_id):
    simulator.world.api_keys.clear()
    assert isinstance(await refreshing.send(get(run_id)), errors.Unauthorized)
    assert len(simulator.requests) == 1


async def test_a_new_key_is_tried_once(simulator, refreshing, connect, run_id):
    await refreshing.send(get(run_id))
    simulator.world.api_keys.clear()
    connect(simulator.url, password="also-refused")
    assert isinstance(await refreshing.send(get(run_id)), errors.Unauthorized)
    sent = [seen.headers["Authorization"] for seen in simulator.requests]
    assert sent == ["Bearer demo-key", "Bearer demo-key", "Bearer also-refused"]


async def test_many_requests_with_a_refused_key_read_the_connection_once(
    simulator, refreshing, connect, run_id, monkeypatch
):
    await refreshing.send(get(run_id))
    read, readings = DataRecsHook.read_settings, []
    monkeypatch.setattr(DataRecsHook, "read_settings", lambda hook: readings.append(hook) or read(hook))
    simulator.world.api_keys[:] = [ApiKey("new-key")]
    connect(simulator.url, password="new-key")
    polls = await asyncio.gather(*(refreshing.send(get(run_id)) for _ in range(10)))
    assert {type(poll) for poll in polls} == {Run}
    assert len(readings) == 1


async def test_the_whole_connection_is_taken_up_with_a_new_key(simulator, refreshing, connect, run_id):
    await refreshing.send(get(run_id))
    simulator.world.api_keys[:] = [ApiKey("new-key")]
    connect(f"{simulator.url}/v1", password="new-key", extra={"tenant": "acme"})
    assert isinstance(await refreshing.send(get(run_id)), Run)
    assert simulator.requests[-1].path == f"/v1/jobs/job_ledger/runs/{run_id}"
    assert simulator.requests[-1].headers["X-Datarecs-Tenant-Hint"] == "acme"


# --- a connection that was changed ---


@pytest.fixture
def other():
    """Another DataRecs, with a run of the ledger job."""
    with Simulator() as other:
        job = other.world.owners[TargetKind.JOB]["job_ledger"]
        job.plan = Plan(queued=0, running=0)
        other.run_id = [other.world.start_run(TargetKind.JOB, job).id for _ in range(2)][
            -1
        ]  # unknown elsewhere
        yield other


@pytest.fixture
def readings(monkeypatch):
    """Note each reading of the connection."""
    read, readings = DataRecsHook.read_settings, []
    monkeypatch.setattr(DataRecsHook, "read_settings", lambda hook: readings.append(hook) or read(hook))
    return readings


@pytest.fixture
def always(polling_config):
    """Read the connection again whenever somebody may know of a change, however soon."""
    polling_config(reread_pause=0.0)


async def refreshed(refreshing):
    refreshing.refresh_soon()
    await refreshing._refreshing


async def test_who_joins_has_the_connection_read_again_and_what_it_is_now_is_used(
    refreshing, connect, run_id, other, always
):
    await refreshing.send(get(run_id))
    before = refreshing.rate_limit_state
    connect(other.url)
    await refreshed(refreshing)
    assert isinstance(await refreshing.send(get(other.run_id)), Run)
    assert (len(other.requests), refreshing.changes) == (1, 1)
    assert refreshing.rate_limit_state is not before
    assert refreshing.rate_limit_state.remaining == 99


@pytest.mark.parametrize("change", [{"password": "new"}, {"extra": {"tenant": "acme"}}], ids=str)
async def test_another_key_and_tenant_are_another_service_too(
    simulator, refreshing, connect, run_id, always, change
):
    simulator.world.api_keys.append(ApiKey("new"))
    await refreshing.send(get(run_id))
    connect(simulator.url, **change)
    await refreshed(refreshing)
    assert refreshing.changes == 1


async def test_a_change_of_limits_alone_is_taken_up_and_changes_nothing_else(
    simulator, refreshing, connect, run_id, always
):
    await refreshing.send(get(run_id))
    opened, rate_limit_state = refreshing._opened, refreshing.rate_limit_state
    connect(simulator.url, extra={"requests_per_minute": 7, "console_url": "https://x.test"})
    await refreshed(refreshing)
    assert refreshing.settings.rate_limit.requests_per_minute == 7
    assert (refreshing.changes, refreshing._opened, refreshing.rate_limit_state) == (
        0,
        opened,
        rate_limit_state,
    )


async def test_it_is_read_again_at_most_every_so_many_seconds_for_those_who_join(
    refreshing, run_id, readings
):
    await asyncio.gather(*(refreshed(refreshing) for _ in range(3)))
    for _ in range(100):
        refreshing.refresh_soon()
    await refreshing.send(get(run_id))
    assert len(readings) == 1


async def test_a_connection_is_read_ahead_and_the_first_request_waits_for_that(refreshing, run_id, readings):
    refreshing.refresh_soon()
    assert isinstance(await refreshing.send(get(run_id)), Run)
    assert len(readings) == 1


async def test_requests_on_their_way_end_on_the_old_client_which_then_closes(
    simulator, refreshing, connect, run_id, other, always
):
    on_its_way, go_on, clients = asyncio.Event(), asyncio.Event(), []

    async def slowly(client):
        clients.append(client)
        on_its_way.set()
        await go_on.wait()
        return await client.get_run(JOB, run_id)

    old = asyncio.ensure_future(refreshing.send(slowly))
    await on_its_way.wait()
    connect(other.url)
    await refreshed(refreshing)
    assert isinstance(await refreshing.send(get(other.run_id)), Run)
    assert not clients[0]._transport._session.closed
    go_on.set()
    assert isinstance(await old, Run)
    assert clients[0]._transport._session.closed
    assert (len(simulator.requests), len(other.requests)) == (1, 1)


async def test_a_look_that_is_to_confirm_is_made_on_a_connection_read_since(
    refreshing, connect, run_id, other, readings
):
    assert isinstance(await refreshing.send(get(other.run_id)), errors.NotFound)
    since = time.monotonic()
    connect(other.url)
    polls = [refreshing.send(get(other.run_id), read_since=since) for _ in range(5)]
    assert {type(poll) for poll in await asyncio.gather(*polls)} == {Run}
    assert len(readings) == 2


async def test_where_it_cannot_be_read_what_is_to_confirm_fails_and_all_else_goes_on(
    simulator, refreshing, run_id, monkeypatch, caplog, always
):
    await refreshing.send(get(run_id))
    monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")
    await refreshed(refreshing)
    assert isinstance(await refreshing.send(get(run_id)), Run)
    confirming = await refreshing.send(get(run_id), read_since=time.monotonic())
    assert isinstance(confirming, errors.ConnectionUnreadable)
    assert "Connection datarecs_default cannot be read again, so its waits go on" in caplog.text


async def test_a_connection_that_was_changed_wrongly_leaves_the_old_one_in_use_until_it_is_refused(
    simulator, refreshing, connect, run_id, always, caplog
):
    await refreshing.send(get(run_id))
    connect(simulator.url, password="")
    await refreshed(refreshing)
    assert isinstance(await refreshing.send(get(run_id)), Run)
    assert "API Key" in caplog.text
    simulator.world.api_keys.clear()
    assert isinstance(await refreshing.send(get(run_id)), errors.InvalidSettings)


@pytest.mark.parametrize(
    "fault", [{"drop": "before"}, {"status": 503}, {"status": 200, "body": "<html>moved"}], ids=str
)
async def test_after_requests_that_failed_again_and_again_the_connection_is_read_anew(
    simulator, refreshing, connect, run_id, other, always, fault
):
    simulator.faults.append(Fault(times=None, **fault))
    for _ in range(2):
        await refreshing.send(get(run_id))
    connect(other.url)
    assert refreshing._refreshing is None
    await refreshing.send(get(run_id))
    await refreshing._refreshing
    assert isinstance(await refreshing.send(get(other.run_id)), Run)


async def test_a_429_is_no_reason_to_read_the_connection(simulator, refreshing, run_id, always, readings):
    simulator.faults.append(Fault(times=None, status=429))
    for _ in range(10):
        await refreshing.send(get(run_id))
    assert len(readings) == 1


async def test_closing_while_it_is_read_opens_nothing(refreshing):
    release = threading.Event()
    held = asyncio.ensure_future(sync_to_async(release.wait)())
    refreshing.refresh_soon()
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(refreshing.close())
    await asyncio.sleep(0)
    release.set()
    await closing
    assert await held
    assert refreshing.settings is None


# --- what is shared ---


async def test_all_connections_share_the_trusted_certificates(connect, monkeypatch):
    opened = []
    for number in range(3):
        connect("https://api.test", conn_id=f"c{number}")
        refreshing = RefreshingClient.for_triggerer(f"c{number}")
        await refreshed(refreshing)
        opened.append(refreshing)
    assert len({id(one._reader.tls) for one in opened}) == 1
    for one in opened:
        await one.close()


async def test_a_request_cancelled_while_it_reads_the_connection_leaves_the_others(refreshing, run_id):
    release = threading.Event()
    held = asyncio.ensure_future(sync_to_async(release.wait)())  # occupies the thread that reads connections
    polls = [asyncio.ensure_future(refreshing.send(get(run_id))) for _ in range(3)]
    await asyncio.sleep(0)
    polls[0].cancel()
    await asyncio.sleep(0)
    release.set()
    done = await asyncio.gather(*polls, return_exceptions=True)
    assert [type(one) for one in done] == [asyncio.CancelledError, Run, Run]
    assert await held


async def test_a_connection_is_read_anew_after_a_reading_that_failed_halfway(
    simulator, refreshing, connect, run_id, monkeypatch, tmp_path
):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "no folder" / "keys"))  # no TLS context can be made
    connect("https://localhost:1")
    assert isinstance(await refreshing.send(get(run_id)), errors.Unforeseen)
    connect(simulator.url)
    assert isinstance(await refreshing.send(get(run_id)), Run)
