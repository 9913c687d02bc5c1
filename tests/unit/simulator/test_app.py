"""The simulator as any HTTP client sees it."""

from __future__ import annotations

import re

import pytest

from airflow_provider_datarecs.simulator import ApiKey, Fault, Plan

W1 = "?workspace_id=w1"


async def start(ask, path="/jobs/j1", **more):
    status, answer, _ = await ask("POST", f"{path}/run{W1}", **more)
    assert status == 201
    return answer["run_id"]


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_workspaces_and_jobs(ask, prefix):
    assert (await ask("GET", f"{prefix}/workspaces"))[:2] == (
        200,
        {"items": [{"id": "w1", "name": "Finance", "region": "eu"}, {"id": "w2", "name": "Sales"}]},
    )
    jobs = [
        {"id": "j1", "name": "daily", "workspace_id": "w1"},
        {"id": "j2", "name": "weekly", "workspace_id": "w1"},
    ]
    assert (await ask("GET", f"{prefix}/jobs"))[1] == {"items": jobs}
    assert (await ask("GET", f"{prefix}/jobs?workspace_id=w2"))[1] == {"items": []}


@pytest.mark.parametrize("headers", [{"Authorization": ""}, {"Authorization": "Basic demo-key"}])
async def test_who_has_no_key_is_not_let_in(ask, headers):
    assert (await ask("GET", "/jobs", headers=headers))[:2] == (
        401,
        {"statusCode": 401, "message": "Unauthorized"},
    )


async def test_a_wrong_key_is_not_let_in(ask):
    assert (await ask("GET", "/jobs", key="demo-keys"))[0] == 401


async def test_a_read_only_key_may_look_and_not_touch(ask, world):
    world.api_keys.append(ApiKey("reader", read_only=True))
    assert (await ask("GET", "/jobs", key="reader"))[0] == 200
    assert (await ask("POST", f"/jobs/j1/run{W1}", key="reader"))[0] == 403
    assert sum(map(len, world.runs.values())) == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("DELETE", "/jobs", 405),
        ("GET", f"/jobs/j9/runs{W1}", 404),
        ("GET", "/jobs/j1/runs?workspace_id=w2", 404),
        ("GET", f"/jobs/j1/runs/r9{W1}", 404),
        ("POST", f"/jobs/g1/run{W1}", 404),
        ("POST", f"/job-groups/j1/run{W1}", 404),
        ("POST", f"/jobs/j1/runs/r9/cancel{W1}", 404),
        ("GET", "/jobs/j1/runs", 400),
        ("POST", "/jobs/j1/run", 400),
    ],
)
async def test_what_is_refused(ask, method, path, status):
    found, answer, headers = await ask(method, path)
    assert (found, answer["statusCode"]) == (status, status)
    assert {"X-RateLimit-Remaining", "X-RateLimit-Reset"} <= set(headers)


@pytest.mark.parametrize(
    ("body", "status"),
    [("", 201), ("{}", 201), ('{"run_label": "x"}', 201), ("[]", 400), ("{", 400), ('{"run_label": 7}', 422)],
)
async def test_the_body_of_a_trigger(ask, body, status):
    assert (await ask("POST", f"/jobs/j1/run{W1}", data=body))[0] == status


@pytest.mark.parametrize("path", ["/jobs/j1", "/job-groups/g1"])
async def test_a_run_is_in_the_history_newest_first(ask, path):
    first, second = await start(ask, path), await start(ask, path)
    answer = (await ask("GET", f"{path}/runs{W1}"))[1]
    assert [run["id"] for run in answer["items"]] == [second, first]


async def test_a_run_goes_on_with_the_clock(ask, clock):
    path = f"/jobs/j1/runs/{await start(ask)}{W1}"
    seen = []
    for seconds in (0, 10, 30):
        clock.advance(seconds)
        seen.append((await ask("GET", path))[1])
    assert [run["status"] for run in seen] == ["QUEUED", "RUNNING", "COMPLETED"]
    assert "rows_processed" not in seen[1]
    assert seen[2] == {
        "id": "run_000001",
        "job_id": "j1",
        "workspace_id": "w1",
        "run_label": None,
        "status": "COMPLETED",
        "started_at": "2026-01-01T00:00:10.000Z",
        "completed_at": "2026-01-01T00:00:40.000Z",
        "error": None,
        "rows_processed": 1000,
        "rows_matched": 995,
        "rows_unmatched": 5,
    }


PLANNED = Plan(status="FAILED", polls=3, queued=3600, running=3600, error="E1")


@pytest.fixture
def statuses(ask):
    """Ask for a run of a job or job group so often, and give each status that is shown."""

    async def statuses(run_id, times, owner="jobs/j1"):
        shown = [(await ask("GET", f"/{owner}/runs/{run_id}{W1}"))[1] for _ in range(times)]
        return [run["status"] for run in shown]

    return statuses


async def test_a_run_that_goes_by_polls_ends_with_the_last_of_them(ask, world, clock, statuses):
    world.plan_runs("j1", PLANNED)
    run_id = await start(ask)
    clock.advance(100)
    assert await statuses(run_id, 2) == ["RUNNING", "RUNNING"]
    clock.advance(5)
    run = (await ask("GET", f"/jobs/j1/runs/{run_id}{W1}"))[1]
    assert (run["status"], run["error"]) == ("FAILED", "E1")
    assert (run["started_at"], run["completed_at"]) == (
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:01:45.000Z",
    )
    clock.advance(5)
    assert (await ask("GET", f"/jobs/j1/runs/{run_id}{W1}"))[1] == run


@pytest.mark.parametrize("style", ["items", "bare"])
async def test_a_page_of_the_history_polls_the_runs_on_it(ask, world, statuses, style):
    world.plan_runs("j1", PLANNED)
    first, second = await start(ask), await start(ask)
    world.behaviour.page_size, world.behaviour.list_style = 1, style
    for _ in range(2):
        await ask("GET", f"/jobs/j1/runs{W1}")
    assert await statuses(second, 1) == ["FAILED"]
    # A bare list knows no pages.
    assert await statuses(first, 3) == (
        ["FAILED"] * 3 if style == "bare" else ["RUNNING", "RUNNING", "FAILED"]
    )


async def test_a_group_run_polls_its_job_runs(ask, world, statuses):
    world.behaviour.group_totals = True
    world.plan_runs("j1", PLANNED)
    world.plan_runs("j2", Plan(polls=1))
    run_id = await start(ask, "/job-groups/g1")
    assert await statuses(run_id, 4, "job-groups/g1") == ["RUNNING", "RUNNING", "FAILED", "FAILED"]


async def test_a_run_that_goes_by_polls_can_be_cancelled(ask, world, clock, statuses):
    world.plan_runs("j1", PLANNED)
    run_id = await start(ask)
    assert (await ask("POST", f"/jobs/j1/runs/{run_id}/cancel{W1}"))[0] == 202
    assert await statuses(run_id, 5) == ["CANCELLED"] * 5


async def test_a_run_that_goes_by_polls_can_be_finished(ask, world, statuses):
    world.plan_runs("j1", PLANNED)
    run_id = await start(ask)
    world.finish_runs("j1")
    assert await statuses(run_id, 1) == ["FAILED"]


async def test_runs_that_have_started_keep_their_plan(ask, world, statuses):
    run_id = await start(ask)
    world.plan_runs("j1", Plan(polls=1))
    assert await statuses(run_id, 1) == ["QUEUED"]
    assert await statuses(await start(ask), 1) == ["COMPLETED"]


async def test_finishing_leaves_a_run_that_has_ended_as_it_is(ask, world, clock):
    path = f"/jobs/j1/runs/{await start(ask)}{W1}"
    clock.advance(100)
    before = (await ask("GET", path))[1]
    world.finish_runs("j1")
    assert (await ask("GET", path))[1] == before
    assert before["completed_at"] == "2026-01-01T00:00:40.000Z"


async def test_a_count_that_a_plan_leaves_out(ask, world, clock):
    next(iter(world.owners.values()))["j1"].plan.rows_processed = None
    run_id = await start(ask)
    clock.advance(40)
    run = (await ask("GET", f"/jobs/j1/runs/{run_id}{W1}"))[1]
    assert (run["status"], "rows_processed" in run, run["rows_matched"]) == ("COMPLETED", False, 995)


async def test_a_hidden_run_is_not_found_at_first(ask, world, clock):
    next(iter(world.owners.values()))["j1"].plan.hidden = 5
    path = f"/jobs/j1/runs/{await start(ask)}{W1}"
    assert (await ask("GET", path))[0] == 404
    clock.advance(5)
    assert (await ask("GET", path))[0] == 200


@pytest.mark.parametrize(("honoured", "runs"), [(True, 1), (False, 2)])
async def test_a_repeated_idempotency_key(ask, world, honoured, runs):
    world.behaviour.honours_idempotency_key = honoured
    headers = {"Idempotency-Key": "start-1"}
    assert len({await start(ask, headers=headers), await start(ask, headers=headers)}) == runs


@pytest.mark.parametrize("echoes", [True, False])
async def test_the_label_of_a_run(ask, world, echoes):
    world.behaviour.echoes_label = echoes
    await start(ask, json={"run_label": "nightly"})
    (run,) = (await ask("GET", f"/jobs/j1/runs{W1}"))[1]["items"]
    assert run.get("run_label") == ("nightly" if echoes else None)


async def test_a_cancelled_run(ask, clock):
    path = f"/jobs/j1/runs/{await start(ask)}"
    clock.advance(15)
    assert (await ask("POST", f"{path}/cancel{W1}", json={"reason": "x"}))[:2] == (202, {"accepted": True})
    clock.advance(100)
    run = (await ask("GET", path + W1))[1]
    assert (run["status"], run["completed_at"]) == ("CANCELLED", "2026-01-01T00:00:15.000Z")


async def test_a_run_that_has_ended_stays_as_it_is(ask, clock):
    path = f"/jobs/j1/runs/{await start(ask)}"
    clock.advance(40)
    await ask("POST", f"{path}/cancel{W1}")
    assert (await ask("GET", path + W1))[1]["status"] == "COMPLETED"


async def test_cancelling_may_not_be_offered(ask, world):
    world.behaviour.offers_cancel = False
    assert (await ask("POST", f"/jobs/j1/runs/{await start(ask)}/cancel{W1}"))[0] == 501


@pytest.mark.parametrize(("totals", "own"), [(False, None), (True, "COMPLETED")])
async def test_a_group_run_has_its_job_runs_and_maybe_totals(ask, world, clock, totals, own):
    world.behaviour.group_totals = totals
    run_id = await start(ask, "/job-groups/g1")
    clock.advance(60)
    run = (await ask("GET", f"/job-groups/g1/runs/{run_id}{W1}"))[1]
    assert [(one["job_id"], one["status"]) for one in run["runs"]] == [
        ("j1", "COMPLETED"),
        ("j2", "COMPLETED"),
    ]
    assert (run["job_group_id"], run.get("status")) == ("g1", own)
    assert run.get("rows_unmatched") == (5 if totals else None)


@pytest.mark.parametrize(
    ("place", "answer"),
    [
        ("run_id", {"runId": "run_000001"}),
        ("id", {"id": "run_000001"}),
        ("run", {"run": {"id": "run_000001"}}),
        ("data", {"data": {"runId": "run_000001"}}),
        ("nowhere", {"accepted": True}),
    ],
)
async def test_where_a_trigger_answers_with_the_run_id_in_camel_case(ask, world, place, answer):
    world.behaviour.run_id_in, world.behaviour.key_style = place, "camel"
    assert (await ask("POST", f"/jobs/j1/run{W1}"))[1] == answer


@pytest.mark.parametrize("paging", ["cursor", "url"])
async def test_pages(ask, world, server, paging):
    world.behaviour.page_size, world.behaviour.paging = 1, paging
    first = (await ask("GET", f"/jobs{W1}"))[1]
    marks = {"cursor": {"next_cursor": "1"}, "url": {"next": f"{server.url}/jobs{W1}&cursor=1"}}
    assert {key: value for key, value in first.items() if key != "items"} == marks[paging]
    last = (await ask("GET", f"/jobs{W1}&cursor=1"))[1]
    assert (set(last), [job["id"] for job in last["items"]]) == ({"items"}, ["j2"])


async def test_requests_are_kept_as_they_came(ask, server):
    await ask("POST", f"/jobs/a%2Fb/run{W1}", json={"run_label": "x"}, headers={"X-Mine": "1"})
    (request,) = server.requests
    assert (request.method, request.path, request.query) == (
        "POST",
        "/jobs/a%2Fb/run",
        {"workspace_id": "w1"},
    )
    assert (request.body, request.headers["X-Mine"], request.status) == ('{"run_label": "x"}', "1", 404)


async def test_the_front_page_says_what_this_is_what_there_is_and_how_to_ask_it(ask, world):
    status, page, headers = await ask("GET", "/", headers={"Authorization": ""})
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert page.startswith("This is a simulated DataRecs")
    for owners in world.owners.values():
        for one in owners.values():
            assert f"{one.id} ({one.name})" in page
    assert all(f"workspace {one['id']} ({one['name']})" in page for one in world.workspaces.values())
    assert not any(key.key in page for key in world.api_keys)


async def test_what_the_front_page_says_can_be_asked_can_be(ask):
    page = (await ask("GET", "/"))[1]
    calls = re.findall(r"^  (GET|POST) +(/\S+)$", page, re.MULTILINE)
    assert len(calls) == 10
    for method, path in calls:
        owner_id = "g1" if "job-groups" in path else "j1"
        run_id = await start(ask, f"/{path.split('/')[1]}/{owner_id}") if "{run_id}" in path else ""
        status, *_ = await ask(method, path.format(owner_id=owner_id, run_id=run_id) + W1)
        assert status in (200, 201, 202), path


async def test_an_example_of_the_front_page_works_as_it_stands(ask):
    page = (await ask("GET", "/"))[1]
    examples = re.findall(r"^  curl .*?(POST)? \"?http://[^/]+(/[^\s\"]+)", page, re.MULTILINE)
    assert len(examples) == 3
    for method, path in examples:
        assert (await ask(method or "GET", path))[0] in (200, 201)


async def test_what_was_done_is_told_also_where_a_fault_follows(ask, server):
    server.faults.append(Fault(method="POST", status=503, carry_out=True, times=1))
    server.faults.append(Fault(method="GET", status=404, body="default backend", times=1))
    await ask("POST", f"/jobs/j1/run{W1}")
    await ask("GET", "/jobs")
    run_id = await start(ask, headers={"Idempotency-Key": "one"})
    assert await start(ask, headers={"Idempotency-Key": "one"}) == run_id
    assert [seen.did for seen in server.requests] == [
        "started run run_000001 of j1, then a fault",
        "a fault",
        f"started run {run_id} of j1",
        f"gave again run {run_id} of j1",
    ]
