from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_datarecs.api import client as client_module
from airflow_provider_datarecs.api import rate_limit, retry
from airflow_provider_datarecs.api.errors import (
    Forbidden,
    RateLimited,
    UnreadableAnswer,
)
from airflow_provider_datarecs.api.retry import ONE_POLL
from airflow_provider_datarecs.simulator import ApiKey, Fault, Plan, RateLimit

TIMES = {"started_at": "2026-01-01T00:00:10.000Z", "completed_at": "2026-01-01T00:00:40.000Z"}


@pytest.fixture
def clock(world):
    """Set the simulator's time, in seconds since 2026 began."""

    def clock(seconds):
        world.clock = lambda: 1_767_225_600.0 + seconds

    clock(0)
    return clock


@pytest.mark.parametrize("fixture", ["job", "group"])
async def test_a_started_run_gives_its_id(request, client, world, fixture):
    target = request.getfixturevalue(fixture)
    run_id = await client.start_run(target, idempotency_key="start-1")
    assert [run.id for run in world.runs[target.kind]] == [run_id]


async def test_the_same_idempotency_key_gives_the_same_run(client, job):
    first = await client.start_run(job, idempotency_key="start-1")
    assert await client.start_run(job, idempotency_key="start-1") == first
    assert await client.start_run(job, idempotency_key="start-2") != first


async def test_a_label_reaches_the_run(client, world, job):
    await client.start_run(job, idempotency_key="start-1", run_label="nächtlich")
    assert [run.label for run in world.runs[job.kind]] == ["nächtlich"]


@pytest.mark.parametrize("key_style", ["snake", "camel"])
async def test_a_run_from_queued_to_completed(client, world, clock, job, key_style):
    world.behaviour.key_style = key_style
    world.owners[job.kind]["j1"].plan = Plan(queued=10, running=30, rows_matched=990, rows_unmatched=10)
    run_id = await client.start_run(job, idempotency_key="start-1")
    seen = []
    for seconds in (0, 10, 40):
        clock(seconds)
        seen.append(await client.get_run(job, run_id))
    assert [(run.status, run.is_finished) for run in seen] == [
        ("QUEUED", False),
        ("RUNNING", False),
        ("COMPLETED", True),
    ]
    assert seen[0].result["started_at"] is None
    assert seen[1].result["completed_at"] is None
    assert seen[2].result == {
        **job.ids_of(run_id),
        "status": "COMPLETED",
        "rows_processed": 1000,
        "rows_matched": 990,
        "rows_unmatched": 10,
        **TIMES,
        "error": None,
    }


@pytest.mark.parametrize("key_style", ["snake", "camel"])
@pytest.mark.parametrize("error", ["broken", {"error_code": "E1", "someKey": "kept"}, None])
async def test_a_failed_run_has_no_counts_and_its_error_as_it_came(client, world, job, key_style, error):
    world.behaviour.key_style = key_style
    world.owners[job.kind]["j1"].plan = Plan(status="FAILED", queued=0, running=0, error=error)
    run = await client.get_run(job, await client.start_run(job, idempotency_key="start-1"))
    assert run.status == "FAILED"
    assert run.result["error"] == error
    assert [run.result[f"rows_{name}"] for name in ("processed", "matched", "unmatched")] == [None] * 3


@pytest.mark.parametrize("totals", [True, False])
async def test_a_group_run_with_or_without_totals_of_its_own_reads_the_same(
    client, world, clock, group, totals
):
    world.behaviour.group_totals = totals
    jobs = world.owners[group.kind.JOB]
    jobs["j1"].plan = Plan(queued=10, running=20, rows_processed=7, rows_matched=5, rows_unmatched=2)
    jobs["j2"].plan = Plan(queued=10, running=30, rows_processed=3, rows_matched=3, rows_unmatched=0)
    run_id = await client.start_run(group, idempotency_key="start-1")
    clock(100)
    result = dict((await client.get_run(group, run_id)).result)
    runs = result.pop("runs")
    assert [(run["job_id"], run["status"], run["rows_unmatched"]) for run in runs] == [
        ("j1", "COMPLETED", 2),
        ("j2", "COMPLETED", 0),
    ]
    started = runs[0]["started_at"] if not totals else result["started_at"]
    assert result == {
        **group.ids_of(run_id),
        "status": "COMPLETED",
        "rows_processed": 10,
        "rows_matched": 8,
        "rows_unmatched": 2,
        "started_at": started,
        "completed_at": "2026-01-01T00:00:40.000Z",
        "error": None,
    }


async def test_a_group_run_fails_with_any_of_its_jobs_and_shows_the_error(client, world, group):
    failing = Plan(status="FAILED", queued=0, running=0, error={"code": "E1"})
    world.owners[group.kind.JOB]["j2"].plan = failing
    run = await client.get_run(group, await client.start_run(group, idempotency_key="start-1"))
    assert (run.status, run.result["error"]) == ("FAILED", {"code": "E1"})


@pytest.mark.parametrize("fixture", ["job", "group"])
async def test_a_cancelled_run_ends_cancelled(request, client, world, fixture):
    target = request.getfixturevalue(fixture)
    for job in world.owners[target.kind.JOB].values():
        job.plan = Plan(queued=0, running=1000)
    run_id = await client.start_run(target, idempotency_key="start-1")
    assert await client.cancel_run(target, run_id, reason="cleared") is True
    assert (await client.get_run(target, run_id)).status == "CANCELLED"


async def test_a_service_that_offers_no_cancelling(client, world, job):
    world.behaviour.offers_cancel = False
    run_id = await client.start_run(job, idempotency_key="start-1")
    assert await client.cancel_run(job, run_id, reason="cleared") is False


async def test_cancelling_without_the_permission_is_an_error(world, server, open_client, job):
    world.api_keys.append(ApiKey("reader", read_only=True))
    async with open_client(server.url, api_key="reader") as client:
        with pytest.raises(Forbidden):
            await client.cancel_run(job, "r1", reason="cleared")


# --- one page of the run history ---


@pytest.mark.parametrize("fixture", ["job", "group"])
@pytest.mark.parametrize("key_style", ["snake", "camel"])
@pytest.mark.parametrize("paging", ["cursor", "url"])
async def test_a_page_names_the_next_one_until_there_is_none(
    request, server, client, world, fixture, key_style, paging
):
    target = request.getfixturevalue(fixture)
    owner = world.owners[target.kind][target.id]
    run_ids = [world.start_run(target.kind, owner).id for _ in range(5)]
    world.behaviour.paging, world.behaviour.page_size, world.behaviour.key_style = paging, 2, key_style
    page = await client.runs_page(target)
    pages = [page]
    while page.next_url is not None:
        assert page.next_url.startswith(f"{server.url}/{target.kind.path}/{target.id}/runs?")
        page = await client.runs_page(target, page.next_url)
        pages.append(page)
    shown = [[item["id"] for item in page.items] for page in pages]
    assert shown == [run_ids[:2:-1], run_ids[2:0:-1], run_ids[:1]]
    assert len(server.requests) == 3
    assert {seen.query["workspace_id"] for seen in server.requests} == {"w1"}


@pytest.mark.parametrize("named", ["?workspace_id=w1&cursor=2", "/v1/jobs/j1/runs?page=2"])
async def test_a_relative_next_page_is_made_whole(server, client, job, named):
    server.faults.append(Fault(status=200, body={"items": [], "next": named}))
    page = await client.runs_page(job)
    path = named if named.startswith("/") else f"/jobs/j1/runs{named}"
    assert page.next_url == f"{server.url}{path}"


@pytest.mark.parametrize(
    "named", ["http://elsewhere.test/jobs/j1/runs", "//elsewhere.test/x", "https://127.0.0.1/x", "http://[x/"]
)
async def test_a_next_page_on_another_host_is_refused(server, client, job, named):
    server.faults.append(Fault(times=None, status=200, body={"items": [{"id": "r1"}], "next": named}))
    with pytest.raises(UnreadableAnswer, match="the next page is on another host"):
        await client.runs_page(job)
    assert len(server.requests) == 1


@pytest.mark.parametrize("named", ["a\x00b", "a\r\nX: y", "a b", "\u20ac", "\x7f%41"], ids=ascii)
async def test_a_next_page_may_have_any_character_in_its_name(server, client, job, named):
    next_page = f"?workspace_id=w1&p={named}"
    server.faults.append(Fault(status=200, body={"items": [], "next": next_page}))
    page = await client.runs_page(job)
    await client.runs_page(job, page.next_url)
    assert server.requests[1].query == {"workspace_id": "w1", "p": named.replace("%41", "A")}


async def test_a_page_that_another_host_has_named_is_not_asked_for_with_this_ones_key(server, client, job):
    page = await client.runs_page(job, "http://127.0.0.1:1/jobs/j1/runs?page=2")  # before Host was changed
    assert page.items == []
    assert [seen.path for seen in server.requests] == ["/jobs/j1/runs"]


# --- nothing is sent while the limit is known to be used up ---


@pytest.fixture
def shared_clock(world, monkeypatch):
    """One time in seconds for the service and the client, as a list of one, that pauses move on."""
    now = [1_767_225_600.0]

    async def sleep(seconds):
        now[0] += seconds

    def retrying(*arguments, **more):
        return retry.retrying(*arguments, **more).copy(sleep=sleep)

    world.clock = lambda: now[0]
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(client_module, "retrying", retrying)
    return now


async def test_nothing_is_sent_while_the_limit_is_known_to_be_used_up(
    server, world, open_client, job, shared_clock
):
    world.rate_limit = RateLimit(requests=1)
    async with open_client(server.url, policy=ONE_POLL) as client:
        await client.runs_page(job)
        for call in (
            client.list_workspaces(),
            client.runs_page(job),
            client.get_run(job, "r1"),
            client.start_run(job, idempotency_key="start-1"),
        ):
            with pytest.raises(
                RateLimited, match="not sent: the rate limit is used up and opens in"
            ) as caught:
                await call
            assert 59 < caught.value.wait <= 61
        assert len(server.requests) == 1
        shared_clock[0] += caught.value.wait
        await client.runs_page(job)
    assert [seen.status for seen in server.requests] == [200, 200]


async def test_an_operator_waits_for_the_limit_rather_than_meet_it(
    server, world, open_client, job, shared_clock, caplog
):
    world.rate_limit = RateLimit(requests=2)
    began = shared_clock[0]
    async with open_client(server.url) as client:
        for _ in range(6):
            await client.list_workspaces()
        run_id = await client.start_run(job, idempotency_key="start-1")
    assert [seen.status for seen in server.requests] == [200] * 6 + [201]
    assert [run.id for run in world.runs[job.kind]] == [run_id]
    assert 179 < shared_clock[0] - began < 185
    assert caplog.text.count("not sent: the rate limit is used up") == 3
