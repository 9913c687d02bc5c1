"""What is tried again, how often, and after how long."""

from __future__ import annotations

import socket

import pytest

from airflow_provider_datarecs.api import errors, retry
from airflow_provider_datarecs.api.retry import ONE_POLL, OPERATOR, RetryPolicy, retrying
from airflow_provider_datarecs.simulator import Fault, RateLimit, Simulator

SPOILT = [
    pytest.param({"status": 503}, errors.Unavailable, id="503"),
    pytest.param({"drop": "before"}, errors.MaybeArrived, id="dropped before it was carried out"),
    pytest.param({"drop": "after"}, errors.MaybeArrived, id="dropped after it was carried out"),
]


@pytest.mark.parametrize(("fault", "kind"), SPOILT)
async def test_a_get_is_tried_again(server, client, fault, kind):
    server.faults.append(Fault(times=4, **fault))
    assert len(await client.list_workspaces()) == 2
    assert len(server.requests) == 5


@pytest.mark.parametrize(("fault", "kind"), SPOILT)
async def test_a_get_is_tried_five_times_at_most(server, client, caplog, fault, kind):
    server.faults.append(Fault(times=None, **fault))
    with pytest.raises(errors.RequestError) as caught:
        await client.list_workspaces()
    assert type(caught.value) is kind
    assert caplog.text.count("trying again") == 4
    # A newer aiohttp asks for itself once more when the connection drops.
    assert len(server.requests) in ((5, 10) if "drop" in fault else (5,))


@pytest.mark.parametrize(("fault", "kind"), SPOILT)
@pytest.mark.parametrize("fixture", ["job", "group"])
async def test_a_trigger_that_may_have_arrived_is_never_sent_again(
    request, server, client, fixture, fault, kind
):
    target = request.getfixturevalue(fixture)
    server.faults.append(Fault(times=None, **fault))
    with pytest.raises(errors.RunMayHaveStarted, match="may have started") as caught:
        await client.start_run(target, idempotency_key="start-1")
    assert type(caught.value.why) is kind
    assert [request.method for request in server.requests] == ["POST"]


@pytest.mark.parametrize(("fault", "kind"), SPOILT)
async def test_cancelling_that_may_have_arrived_is_not_sent_again(server, client, job, fault, kind):
    server.faults.append(Fault(times=None, **fault))
    with pytest.raises(kind):
        await client.cancel_run(job, "r1", reason="cleared")
    assert len(server.requests) == 1


async def test_a_rate_limited_trigger_starts_one_run_with_one_idempotency_key(server, client, world, job):
    server.faults.append(Fault(times=3, status=429, headers={"Retry-After": "0"}))
    run_id = await client.start_run(job, idempotency_key="start-1")
    assert [run.id for run in world.runs[job.kind]] == [run_id]
    assert [request.headers["Idempotency-Key"] for request in server.requests] == ["start-1"] * 4


async def test_the_simulators_own_rate_limit_is_understood(server, world, open_client):
    world.clock = lambda: 1_767_225_600.0
    world.rate_limit = RateLimit(requests=1, window=60)
    async with open_client(server.url, policy=ONE_POLL) as client:
        await client.list_workspaces()
    async with open_client(server.url, policy=ONE_POLL) as client:  # which has not seen the first answer
        with pytest.raises(errors.RateLimited) as caught:
            await client.list_workspaces()
    assert [request.status for request in server.requests] == [200, 429]
    assert caught.value.wait == 61


def free_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


async def test_a_trigger_that_never_arrived_is_sent_again(world, job, open_client, monkeypatch):
    """The first two attempts meet a closed port; then the service comes up."""
    server = Simulator(world, port=free_port())
    pauses = []

    def service_comes_up_in_the_second_pause(state):
        pauses.append(state.attempt_number)
        if len(pauses) == 2:
            server.start()
        return 0.0

    monkeypatch.setattr(retry, "_backoff", service_comes_up_in_the_second_pause)
    try:
        async with open_client(f"http://127.0.0.1:{server.url.rpartition(':')[2]}") as client:
            run_id = await client.start_run(job, idempotency_key="start-1")
    finally:
        server.stop()
    assert [run.id for run in world.runs[job.kind]] == [run_id]
    assert len(server.requests) == 1
    assert pauses == [1, 2]


async def test_a_trigger_that_never_arrives_started_nothing(job, open_client, caplog):
    async with open_client(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(errors.NeverArrived, match=r"no connection to http://127\.0\.0\.1"):
            await client.start_run(job, idempotency_key="start-1")
    assert caplog.text.count("trying again") == 4


class Pauses:
    """Run calls that fail with the given errors, and note the pauses rather than make them."""

    def __init__(self, policy=OPERATOR, *, repeatable=True):
        self.made = []
        self.retrying = retrying(policy, repeatable=repeatable).copy(sleep=self.sleep)

    async def sleep(self, seconds):
        self.made.append(seconds)

    async def run(self, *outcomes):
        left = list(outcomes)

        async def call():
            if left:
                raise left.pop(0)
            return "done"

        return await self.retrying(call)


def limited(wait):
    return errors.RateLimited("GET /x", "slow down", wait)


LOST = errors.MaybeArrived("GET /x", "no answer")


async def test_the_pause_after_a_429_is_what_the_service_says():
    pauses = Pauses()
    assert await pauses.run(limited(7.0), limited(42.0)) == "done"
    assert pauses.made == [7.0, 42.0]


async def test_the_pause_after_a_429_that_does_not_say():
    pauses = Pauses()
    assert await pauses.run(limited(None)) == "done"
    assert pauses.made == [15.0]


async def test_a_429_that_says_now_is_not_hammered(monkeypatch):
    monkeypatch.undo()
    pauses = Pauses()
    assert await pauses.run(limited(0.0), limited(0.0)) == "done"
    assert pauses.made == [1.0, 1.0]


async def test_429s_do_not_use_up_the_attempts():
    pauses = Pauses()
    failures = [limited(1.0), LOST] * 4
    assert await pauses.run(*failures) == "done"
    assert len(pauses.made) == 8


async def test_the_fifth_lost_request_is_the_last():
    pauses = Pauses()
    with pytest.raises(errors.MaybeArrived):
        await pauses.run(*[LOST] * 5)
    assert len(pauses.made) == 4


async def test_pauses_between_attempts_grow_and_stay_bounded(monkeypatch):
    monkeypatch.undo()  # the real pauses
    pauses = Pauses(RetryPolicy(attempts=10, seconds=1e9, rate_limited_seconds=0))
    assert await pauses.run(*[LOST] * 9) == "done"
    for attempt, pause in enumerate(pauses.made):
        assert min(2**attempt, 20) <= pause <= 20 if attempt > 4 else 2**attempt <= pause <= 2**attempt + 1


async def test_no_request_begins_that_could_outlast_the_policy():
    pauses = Pauses(RetryPolicy(attempts=5, seconds=29, rate_limited_seconds=0))
    with pytest.raises(errors.MaybeArrived):
        await pauses.run(LOST)
    assert pauses.made == []


async def test_what_is_tried_again_is_told_in_the_log(server, client, caplog):
    server.faults.append(Fault(status=503, body={"message": "maintenance"}))
    await client.list_workspaces()
    (message,) = [record.getMessage() for record in caplog.records if "trying again" in record.getMessage()]
    assert "maintenance" in message
    assert "GET /workspaces" in message
    assert "demo-key" not in caplog.text


async def test_a_bug_is_not_tried_again():
    pauses = Pauses()
    with pytest.raises(ZeroDivisionError):
        await pauses.run(ZeroDivisionError(), ZeroDivisionError())
    assert pauses.made == []


@pytest.mark.parametrize(("told", "seconds"), [(None, 15), (30, 30), (86_400, 900), (1.8e9, 900)])
def test_how_long_a_429_is_believed(told, seconds):
    assert retry.limit_wait(errors.RateLimited("GET /x", "slow down", told)) == seconds
