from __future__ import annotations

import pytest

from airflow_provider_datarecs.api import client as client_module
from airflow_provider_datarecs.api.errors import EndlessList, UnreadableAnswer
from airflow_provider_datarecs.api.retry import ONE_POLL
from airflow_provider_datarecs.simulator import Fault, Simulator

JOBS = [
    {"id": "j1", "name": "daily", "workspace_id": "w1"},
    {"id": "j2", "name": "weekly", "workspace_id": "w1"},
    {"id": "j3", "name": "daily", "workspace_id": "w2"},
]


def page(*items, **more):
    return Fault(status=200, body={"items": list(items), **more})


@pytest.mark.parametrize("key_style", ["snake", "camel"])
@pytest.mark.parametrize("paging", ["cursor", "url"])
@pytest.mark.parametrize("page_size", [1, 2, 3])
async def test_all_pages_are_read_once(server, client, world, key_style, paging, page_size):
    world.behaviour.key_style = key_style
    world.behaviour.paging, world.behaviour.page_size = paging, page_size
    assert await client.list_jobs() == JOBS
    cursors = [request.query.get("cursor") for request in server.requests]
    assert cursors == [None, *(str(start) for start in range(page_size, 3, page_size))]


@pytest.mark.parametrize("paging", ["cursor", "url"])
async def test_further_pages_keep_the_query_the_key_and_the_path(server, open_client, world, paging):
    world.behaviour.paging, world.behaviour.page_size = paging, 1
    async with open_client(f"{server.url}/v1", extra={"tenant": "acme"}) as client:
        assert len(await client.list_jobs("w1")) == 2
    first, second = server.requests
    assert (first.path, second.path) == ("/v1/jobs", "/v1/jobs")
    assert (first.query, second.query) == (
        {"workspace_id": "w1"},
        {"workspace_id": "w1", "cursor": "1"},
    )
    for header in ("Authorization", "X-Datarecs-Tenant-Hint"):
        assert first.headers[header] == second.headers[header]


async def test_a_cursor_is_sent_back_as_it_came(server, client):
    server.faults[:] = [page({"id": "a"}, next_cursor="a+b/c=&d %"), page({"id": "b"})]
    assert await client.list_workspaces() == [{"id": "a"}, {"id": "b"}]
    assert server.requests[1].query == {"cursor": "a+b/c=&d %"}


@pytest.mark.parametrize(
    "next_url", ["/workspaces?page=2", "workspaces?page=2", "?page=2", "{url}/workspaces?page=2"]
)
async def test_a_next_url_may_be_relative(server, client, next_url):
    server.faults[:] = [page({"id": "a"}, next=next_url.format(url=server.url)), page({"id": "b"})]
    assert await client.list_workspaces() == [{"id": "a"}, {"id": "b"}]
    assert (server.requests[1].path, server.requests[1].query) == ("/workspaces", {"page": "2"})


async def test_a_next_url_is_on_the_same_origin_however_its_host_is_spelt(server, open_client):
    port = server.url.rpartition(":")[2]
    server.faults[:] = [page({"id": "a"}, next=f"HTTP://localhost:{port}/workspaces?p=2"), page({"id": "b"})]
    async with open_client(f"http://LOCALHOST:{port}") as client:
        assert await client.list_workspaces() == [{"id": "a"}, {"id": "b"}]


async def test_a_page_without_anything_new_does_not_end_the_walk(server, client):
    first = {"id": "a", "name": "first"}
    server.faults[:] = [
        page(first, next_cursor="c1"),
        page(next_cursor="c2"),
        page({"id": "a", "name": "moved"}, next_cursor="c3"),
        page({"id": "b"}),
    ]
    assert await client.list_workspaces() == [first, {"id": "b"}]
    assert len(server.requests) == 4


async def test_an_item_on_two_pages_counts_once(server, client):
    server.faults[:] = [page({"id": 1}, {"id": "b"}, next_cursor="c1"), page({"id": "b"}, {"id": "1"})]
    assert await client.list_workspaces() == [{"id": 1}, {"id": "b"}]


async def test_items_that_only_look_alike_all_count(server, client):
    items = [
        {"name": "a"},
        {"name": "a"},
        {"id": "j", "workspace_id": "w1"},
        {"id": "j", "workspace_id": "w2"},
    ]
    server.faults[:] = [page(*items)]
    assert await client.list_jobs() == items


@pytest.mark.parametrize(
    ("cursors", "circle"),
    [
        (["c1", "c1"], "page 2 of the list of workspaces names an earlier one"),
        (["c1", "c2", "c1"], "page 3 of the list of workspaces names an earlier one"),
    ],
)
async def test_pages_in_a_circle_are_no_whole_list(server, client, cursors, circle):
    server.faults[:] = [page({"id": cursor}, next_cursor=cursor) for cursor in cursors]
    with pytest.raises(EndlessList, match=circle):
        await client.list_workspaces()
    assert len(server.requests) == len(cursors)


async def test_a_page_that_names_itself_is_no_whole_list(server, client):
    server.faults[:] = [page({"id": "a"}, next="/workspaces")]
    with pytest.raises(EndlessList, match=r"whether that is all of it \(GET /workspaces\)"):
        await client.list_workspaces()
    assert len(server.requests) == 1


@pytest.mark.parametrize("items", [[], [{"id": "a"}]])
async def test_a_list_without_end_is_an_error_that_says_so(server, client, monkeypatch, items):
    monkeypatch.setattr(client_module, "MAX_PAGES", 7)
    server.faults[:] = [page(*items, next_cursor=str(number)) for number in range(10)]
    with pytest.raises(EndlessList, match="the list of workspaces still goes on after 7 pages"):
        await client.list_workspaces()
    assert len(server.requests) == 7


async def test_a_list_of_as_many_pages_as_there_may_be_is_read(server, client, world, monkeypatch):
    monkeypatch.setattr(client_module, "MAX_PAGES", 3)
    world.behaviour.page_size = 1
    assert await client.list_jobs() == JOBS


async def test_a_next_page_on_another_host_is_refused_and_not_asked(server, open_client):
    with Simulator() as other:
        server.faults.append(page({"id": "a"}, next=f"{other.url}/workspaces"))
        async with open_client(server.url, policy=ONE_POLL) as client:
            with pytest.raises(UnreadableAnswer, match="the next page is on another host"):
                await client.list_workspaces()
        assert other.requests == []


@pytest.mark.parametrize(
    "next_url",
    [
        "https://127.0.0.1:{port}/workspaces?page=2",
        "http://127.0.0.1/workspaces?page=2",
        "http://me@127.0.0.1:{port}/workspaces?page=2",
        "http://127.0.0.1.example.com:{port}/workspaces",
        "//example.com/workspaces",
        "http://[::1/workspaces",
        "http://127.0.0.1:port/workspaces",
        "file:///etc/passwd",
    ],
)
async def test_a_next_page_on_another_origin_is_refused(server, client, next_url):
    port = server.url.rpartition(":")[2]
    server.faults.append(page({"id": "a"}, next=next_url.format(port=port)))
    with pytest.raises(UnreadableAnswer, match="the next page is on another host"):
        await client.list_workspaces()
    assert len(server.requests) == 1


async def test_a_page_that_fails_is_asked_for_again_and_the_others_are_not(server, client, world):
    world.behaviour.page_size = 2
    server.faults.append(Fault(status=200, body={"items": JOBS[:2], "next_cursor": "2"}))
    server.faults.append(Fault(status=503))
    assert await client.list_jobs() == JOBS
    assert [request.query.get("cursor") for request in server.requests] == [None, "2", "2"]


async def test_a_page_that_never_comes_is_an_error_and_no_shorter_list(server, client, world):
    world.behaviour.page_size = 2
    server.faults.append(Fault(status=200, body={"items": JOBS[:2], "next_cursor": "2"}))
    server.faults.append(Fault(times=None, status=200, body="<html>"))
    with pytest.raises(UnreadableAnswer):
        await client.list_jobs()


async def test_jobs_are_filtered_by_a_service_that_knows_the_filter(client):
    assert await client.list_jobs("w1") == JOBS[:2]
    assert await client.list_jobs("w2") == JOBS[2:]
    assert await client.list_jobs("w9") == []


@pytest.mark.parametrize("key_style", ["snake", "camel"])
async def test_jobs_are_filtered_for_a_service_that_does_not(client, world, key_style):
    world.behaviour.filters_jobs, world.behaviour.key_style = False, key_style
    assert await client.list_jobs("w1") == JOBS[:2]
    assert await client.list_jobs() == JOBS


async def test_jobs_that_carry_no_workspace_are_kept(server, client):
    server.faults.append(
        page({"id": "j1"}, {"id": "j2", "workspace_id": None}, {"id": "j3", "workspaceId": 7})
    )
    assert await client.list_jobs("w1") == [{"id": "j1"}, {"id": "j2", "workspace_id": None}]


async def test_a_filtered_page_without_a_match_does_not_end_the_walk(server, client, world):
    world.behaviour.filters_jobs, world.behaviour.page_size = False, 1
    assert await client.list_jobs("w2") == JOBS[2:]
    assert len(server.requests) == 3


async def test_unknown_fields_of_workspaces_and_jobs_are_passed_through(client, server, world):
    world.add_workspace("w3", "More", region="eu", settings={"innerKey": [1]})
    assert (await client.list_workspaces())[-1] == {
        "id": "w3",
        "name": "More",
        "region": "eu",
        "settings": {"innerKey": [1]},
    }
    job = {
        "id": "j1",
        "name": "daily",
        "workspace_id": "w1",
        "schedule": {"cronText": "@daily"},
        "tags": ["a"],
    }
    server.faults.append(page(job))
    assert await client.list_jobs() == [job]


@pytest.mark.parametrize("fixture", ["job", "group"])
@pytest.mark.parametrize("page_size", [1, 50])
async def test_the_run_history_comes_newest_first_over_all_pages(request, client, world, fixture, page_size):
    target = request.getfixturevalue(fixture)
    world.behaviour.page_size = page_size
    started = [await client.start_run(target, idempotency_key=f"start-{n}") for n in range(3)]
    history = await client.list_runs(target)
    assert [run["id"] for run in history] == started[::-1]
    assert {run[target.kind.id_field] for run in history} == {target.id}


async def test_the_run_history_shows_labels(client, job):
    await client.start_run(job, idempotency_key="start-1", run_label="nightly")
    assert [run["run_label"] for run in await client.list_runs(job)] == ["nightly"]


async def test_a_run_history_without_runs_is_empty(client, job):
    assert await client.list_runs(job) == []
