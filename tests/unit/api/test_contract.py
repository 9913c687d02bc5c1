"""What goes over the wire, spelt out: nothing here is imported from contract.py."""

from __future__ import annotations

import json

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import InvalidInput
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.simulator import Fault, Plan

JOB = Target(TargetKind.JOB, "j1", "w1")
GROUP = Target(TargetKind.JOB_GROUP, "g1", "w1")


def start(target, **more):
    return lambda client: client.start_run(target, idempotency_key="start-1", **more)


CALLS = [
    pytest.param(lambda c: c.list_workspaces(), "GET", "/workspaces", {}, "", id="list workspaces"),
    pytest.param(lambda c: c.list_jobs(), "GET", "/jobs", {}, "", id="list all jobs"),
    pytest.param(
        lambda c: c.list_jobs("w1"), "GET", "/jobs", {"workspace_id": "w1"}, "", id="list a workspace's jobs"
    ),
    pytest.param(start(JOB), "POST", "/jobs/j1/run", {"workspace_id": "w1"}, "", id="run a job"),
    pytest.param(
        start(JOB, run_label="nightly"),
        "POST",
        "/jobs/j1/run",
        {"workspace_id": "w1"},
        {"run_label": "nightly"},
        id="run a job with a label",
    ),
    pytest.param(
        start(JOB, run_label=""), "POST", "/jobs/j1/run", {"workspace_id": "w1"}, "", id="an empty label"
    ),
    pytest.param(
        lambda c: c.list_runs(JOB), "GET", "/jobs/j1/runs", {"workspace_id": "w1"}, "", id="a job's runs"
    ),
    pytest.param(start(GROUP), "POST", "/job-groups/g1/run", {"workspace_id": "w1"}, "", id="run a group"),
    pytest.param(
        start(GROUP, run_label="nightly"),
        "POST",
        "/job-groups/g1/run",
        {"workspace_id": "w1"},
        {"run_label": "nightly"},
        id="run a group with a label",
    ),
    pytest.param(
        lambda c: c.list_runs(GROUP),
        "GET",
        "/job-groups/g1/runs",
        {"workspace_id": "w1"},
        "",
        id="a group's runs",
    ),
]


@pytest.mark.parametrize("base", ["", "/v1"])
@pytest.mark.parametrize(("call", "method", "path", "query", "body"), CALLS)
async def test_request_on_the_wire(server, open_client, base, call, method, path, query, body):
    async with open_client(server.url + base) as client:
        await call(client)
    (request,) = server.requests
    assert (request.method, request.path, request.query) == (method, base + path, query)
    assert (json.loads(request.body) if request.body else "") == body
    assert 200 <= request.status < 300


@pytest.mark.parametrize(("target", "path"), [(JOB, "/jobs/j1"), (GROUP, "/job-groups/g1")])
async def test_one_run_and_its_cancelling_on_the_wire(server, client, target, path):
    run_id = await client.start_run(target, idempotency_key="start-1")
    await client.get_run(target, run_id)
    assert await client.cancel_run(target, run_id, reason="the task was cleared") is True
    _, polled, cancelled = server.requests
    assert (polled.method, polled.path, polled.body) == ("GET", f"{path}/runs/{run_id}", "")
    assert (cancelled.method, cancelled.path) == ("POST", f"{path}/runs/{run_id}/cancel")
    assert json.loads(cancelled.body) == {"reason": "the task was cleared"}
    assert polled.query == cancelled.query == {"workspace_id": "w1"}


async def test_every_request_carries_the_api_key(server, client):
    await client.list_workspaces()
    await client.start_run(JOB, idempotency_key="start-1")
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer demo-key"] * 2


async def test_every_request_names_the_provider_and_wants_json(server, client):
    await client.list_workspaces()
    headers = server.requests[0].headers
    assert headers["User-Agent"].startswith("apache-airflow-provider-datarecs/")
    assert headers["Accept"] == "application/json"


async def test_no_tenant_header_unless_the_extra_names_one(server, client):
    await client.list_workspaces()
    assert "X-Datarecs-Tenant-Hint" not in server.requests[0].headers


async def test_the_tenant_of_the_extra_is_sent_with_every_request(server, open_client):
    async with open_client(server.url, extra={"tenant": "acme"}) as client:
        await client.list_workspaces()
        await client.start_run(JOB, idempotency_key="start-1")
    assert [request.headers["X-Datarecs-Tenant-Hint"] for request in server.requests] == ["acme", "acme"]


async def test_a_trigger_carries_its_idempotency_key_and_nothing_else_does(server, client):
    await client.start_run(JOB, idempotency_key="start-1")
    await client.list_runs(JOB)
    assert server.requests[0].headers["Idempotency-Key"] == "start-1"
    assert "Idempotency-Key" not in server.requests[1].headers


async def test_a_trigger_without_a_label_has_no_body_at_all(server, client):
    await client.start_run(JOB, idempotency_key="start-1")
    headers = server.requests[0].headers
    assert headers.get("Content-Length", "0") == "0"
    assert "Transfer-Encoding" not in headers
    assert headers.get("Content-Type") != "application/json"


async def test_replaced_settings_count_from_the_next_request_on(server, client, open_client):
    await client.list_workspaces()
    client.settings = open_client(server.url, api_key="rotated").settings
    server.faults.append(Fault(status=200, body={"items": []}))
    await client.list_workspaces()
    keys = [request.headers["Authorization"] for request in server.requests]
    assert keys == ["Bearer demo-key", "Bearer rotated"]


AWKWARD = [
    ("b1c2d3e4-0000-4000-8000-000000000000", "b1c2d3e4-0000-4000-8000-000000000000"),
    ("job_xyz789", "job_xyz789"),
    ("größe", "gr%C3%B6%C3%9Fe"),
    ("a+b", "a%2Bb"),
    ("a:b;c,d=e&f@g", "a%3Ab%3Bc%2Cd%3De%26f%40g"),
    ("...", "..."),
]


@pytest.mark.parametrize(("job_id", "segment"), AWKWARD)
async def test_an_id_is_one_quoted_segment_of_the_path(server, client, world, job_id, segment):
    world.add_job(job_id, "awkward", "w1", Plan(queued=0, running=0))
    awkward = Target(TargetKind.JOB, job_id, "w1")
    run_id = await client.start_run(awkward, idempotency_key="start-1")
    assert (await client.get_run(awkward, run_id)).status == "COMPLETED"
    assert [request.path for request in server.requests] == [
        f"/jobs/{segment}/run",
        f"/jobs/{segment}/runs/{run_id}",
    ]


@pytest.mark.parametrize(("run_id", "segment"), AWKWARD)
async def test_a_run_id_is_one_quoted_segment_of_the_path(server, client, run_id, segment):
    server.faults.append(Fault(status=200, body={"id": run_id, "status": "RUNNING"}))
    assert (await client.get_run(JOB, run_id)).id == run_id
    assert server.requests[0].path == f"/jobs/j1/runs/{segment}"


@pytest.mark.parametrize("workspace_id", ["a&b=c", "größe", "a+b", "a;b"])
async def test_a_workspace_id_arrives_whole_in_the_query(server, client, world, workspace_id):
    world.add_workspace(workspace_id, "Awkward")
    world.add_job("awkward", "awkward", workspace_id)
    assert [job["id"] for job in await client.list_jobs(workspace_id)] == ["awkward"]
    await client.list_runs(Target(TargetKind.JOB, "awkward", workspace_id))
    assert [request.query for request in server.requests] == [{"workspace_id": workspace_id}] * 2


HELD_BY_NO_ID = ["a/b", "../workspaces", "a\\b", "a?b", "a#b", "100%", "..%2Fworkspaces"]
HELD_BY_NO_ID += ["a b", " a", "a\n", "a\tb", "a\r\nX: y", "a\0", "a\x7f", "a\x85b"]
HELD_BY_NO_ID += ["a\xa0b", "a\u2028b", "a\u200bb", "a\u202eb", "a\ud800"]
NO_IDS = ["", " ", "\t\n", ".", "..", None, "None", True, 7.0, b"j1", ["j1"], *HELD_BY_NO_ID]


@pytest.mark.parametrize("bad", NO_IDS)
@pytest.mark.parametrize("kind", list(TargetKind))
def test_what_cannot_be_the_id_of_a_job_or_group_is_refused(kind, bad):
    with pytest.raises(InvalidInput, match="job_group_id" if kind is TargetKind.JOB_GROUP else "job_id"):
        Target(kind, bad, "w1")


@pytest.mark.parametrize("bad", NO_IDS)
def test_what_cannot_be_the_id_of_a_workspace_is_refused(bad):
    with pytest.raises(InvalidInput, match="workspace_id"):
        Target(TargetKind.JOB, "j1", bad)


@pytest.mark.parametrize("bad", NO_IDS)
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda client, bad: client.get_run(JOB, bad), id="one run"),
        pytest.param(lambda client, bad: client.cancel_run(JOB, bad, reason="why"), id="cancel"),
    ],
)
async def test_what_cannot_be_a_run_id_is_refused_before_anything_is_sent(server, client, call, bad):
    with pytest.raises(InvalidInput, match="run_id"):
        await call(client, bad)
    assert server.requests == []


@pytest.mark.parametrize("bad", [one for one in HELD_BY_NO_ID if one.isprintable() or one.isascii()])
def test_an_id_that_holds_what_none_does_is_named_with_it(bad):
    with pytest.raises(InvalidInput) as caught:
        Target(TargetKind.JOB, bad, "w1")
    assert str(caught.value).startswith(f"job_id is {bad!r}, which is no id, since it holds ")


async def test_an_id_that_came_as_a_number_is_text(server, client, world):
    world.add_workspace("7", "Numbers")
    world.add_job("12", "numbered", "7", Plan(queued=0, running=0))
    target = Target(TargetKind.JOB, 12, 7)
    assert target == Target(TargetKind.JOB, "12", "7")
    assert [job["id"] for job in await client.list_jobs(7)] == ["12"]
    await client.start_run(target, idempotency_key="start-1", run_label=20240131)
    server.faults.append(Fault(status=200, body={"id": 345, "status": "RUNNING"}))
    assert (await client.get_run(target, 345)).id == "345"
    assert await client.cancel_run(target, 345, reason="why") is False
    assert [(seen.path, seen.body) for seen in server.requests[1:]] == [
        ("/jobs/12/run", '{"run_label": "20240131"}'),
        ("/jobs/12/runs/345", ""),
        ("/jobs/12/runs/345/cancel", '{"reason": "why"}'),
    ]


@pytest.mark.parametrize("bad", [bad for bad in NO_IDS if bad is not None])
async def test_what_cannot_be_a_workspace_id_is_refused_before_anything_is_sent(server, client, bad):
    with pytest.raises(InvalidInput, match="workspace_id"):
        await client.list_jobs(bad)
    assert server.requests == []
