"""Each bad answer, as the simulator sends it, and what the client makes of it."""

from __future__ import annotations

import pytest

from airflow_provider_datarecs.api import errors
from airflow_provider_datarecs.api.retry import ONE_LOOK
from airflow_provider_datarecs.simulator import ApiKey, Fault, Simulator


@pytest.fixture
async def client(server, open_client):
    """A client that asks once only."""
    async with open_client(server.url, patience=ONE_LOOK) as client:
        yield client


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Rejected),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (405, errors.Rejected),
        (408, errors.Unavailable),
        (409, errors.Rejected),
        (410, errors.Rejected),
        (422, errors.Rejected),
        (425, errors.Unavailable),
        (429, errors.RateLimited),
        (500, errors.Unavailable),
        (501, errors.Unavailable),
        (502, errors.Unavailable),
        (503, errors.Unavailable),
        (504, errors.Unavailable),
    ],
)
async def test_meaning_of_a_status(server, client, status, kind):
    server.faults.append(Fault(status=status, body={"message": "no"}))
    with pytest.raises(errors.AnsweredWithError) as caught:
        await client.list_workspaces()
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert "(GET /workspaces)" in str(caught.value)


OWN = [
    {"message": "no"},
    {"statusCode": 404, "message": "Not Found"},
    {"status_code": 404},
    {"errors": [{"field": "f", "message": "m"}]},
    {"error_code": "E1"},
    {"errorCode": "E1"},
]
FOREIGN = [
    "",
    "default backend - 404",
    "<html><h1>403 Forbidden</h1></html>",
    "null",
    '"Not Found"',
    '["no"]',
    "{}",
    '{"detail": "Not Found"}',
    '{"error": "Not Found", "path": "/workspaces"}',
    '{"message": ""}',
    '{"message": "no"',
    '{"message": "no"} and more',
    "[" * 100_000,
]
REFUSALS = {
    400: errors.Rejected,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.Rejected,
    409: errors.Rejected,
    422: errors.Rejected,
}


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("body", OWN, ids=str)
async def test_an_error_with_a_body_of_datarecs_is_its_own(server, client, status, body):
    server.faults.append(Fault(status=status, body=body))
    with pytest.raises(REFUSALS[status]):
        await client.list_workspaces()


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("body", FOREIGN, ids=lambda body: body[:20])
async def test_an_error_with_another_body_says_nothing(server, client, status, body):
    server.faults.append(Fault(status=status, body=body, headers={"Content-Type": "text/html"}))
    with pytest.raises(errors.ForeignAnswer) as caught:
        await client.list_workspaces()
    assert type(caught.value) is errors.ForeignAnswer
    assert isinstance(caught.value, errors.UnreadableAnswer)
    assert caught.value.status == status
    assert f"the answer ({status}, text/html) is not an error as DataRecs gives it but " in str(caught.value)
    assert body.strip()[:20] in str(caught.value)
    assert "is Host the URL of the DataRecs API" in str(caught.value)
    assert ("is the API key valid" in str(caught.value)) is (status == 401)


@pytest.mark.parametrize("body", ["", "<html>Bad Gateway</html>"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, errors.RateLimited),
        (408, errors.Unavailable),
        (500, errors.Unavailable),
        (502, errors.Unavailable),
    ],
)
async def test_what_only_means_later_may_come_from_anybody(server, client, body, status, kind):
    server.faults.append(Fault(status=status, body=body))
    with pytest.raises(kind):
        await client.list_workspaces()


@pytest.mark.parametrize("status", REFUSALS)
async def test_a_start_that_something_else_refuses_may_have_been_carried_out(
    server, client, job, world, status
):
    server.faults.append(Fault(status=status, body="<html>no</html>", carry_out=True))
    with pytest.raises(errors.RunMayHaveStarted) as caught:
        await client.start_run(job, idempotency_key="wish-1")
    assert type(caught.value.why) is errors.ForeignAnswer
    assert len(world.runs[job.kind]) == 1


async def test_a_key_that_is_not_let_in(server, open_client):
    async with open_client(server.url, api_key="expired") as client:
        with pytest.raises(errors.Unauthorized, match=r"^Invalid or expired API key"):
            await client.list_workspaces()
    assert len(server.requests) == 1


async def test_a_key_that_lacks_the_permission(server, world, client, open_client, job):
    world.api_keys.append(ApiKey("reader", read_only=True))
    async with open_client(server.url, api_key="reader") as client:
        with pytest.raises(errors.Forbidden, match=r"lacks the permission.*\(POST /jobs/j1/run\)"):
            await client.start_run(job, idempotency_key="wish-1")
    assert len(server.requests) == 1


async def test_a_run_that_does_not_exist(client, job):
    with pytest.raises(errors.NotFound) as caught:
        await client.get_run(job, "r1")
    message = "Resource not found: run 'r1' of job 'j1' in workspace 'w1' (GET /jobs/j1/runs/r1)"
    assert str(caught.value) == message


async def test_the_simulators_own_validation_is_shown(client, job):
    with pytest.raises(errors.Rejected, match=r"422: Validation failed; run_label: must be text"):
        await client.start_run(job, idempotency_key="wish-1", run_label="x" * 1000)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_so_that_the_key_stays_here(server, client, job, status):
    with Simulator() as other:
        target = f"{other.url}/workspaces"
        server.faults.append(Fault(times=2, status=status, headers={"Location": target}))
        with pytest.raises(errors.Redirected, match=f"to {target}, not followed"):
            await client.list_workspaces()
        with pytest.raises(errors.DataRecsError) as caught:
            await client.start_run(job, idempotency_key="wish-1")
        assert other.requests == []
    # The others can be the answer to a request that was carried out.
    nothing_done = status in (301, 307, 308)
    assert type(caught.value) is (errors.Redirected if nothing_done else errors.RunMayHaveStarted)
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 308])
async def test_a_redirect_is_no_answer_of_datarecs(server, client, status):
    server.faults.append(Fault(status=status, body={"message": "elsewhere"}))
    with pytest.raises(errors.Redirected, match=rf"redirected \({status}\) to nowhere") as caught:
        await client.list_workspaces()
    assert isinstance(caught.value, errors.ForeignAnswer)
    assert caught.value.status == status


async def test_a_redirect_to_the_same_host_is_not_followed_either(server, client):
    server.faults.append(Fault(status=307, headers={"Location": "/v1/workspaces"}))
    with pytest.raises(errors.Redirected, match="to /v1/workspaces"):
        await client.list_workspaces()
    assert len(server.requests) == 1


def test_a_run_that_may_have_started_tells_why_that_is_not_known(job):
    why = errors.MaybeArrived("POST /jobs/j1/run", "no answer")
    error = errors.RunMayHaveStarted(job, why)
    assert error.why is why
    assert str(error) == (
        "A run of job 'j1' in workspace 'w1' may have started at DataRecs, but its id is unknown: no answer "
        "(POST /jobs/j1/run)"
    )
