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
        (301, errors.Redirected),
        (302, errors.Redirected),
        (304, errors.Redirected),
        (307, errors.Redirected),
        (308, errors.Redirected),
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
        with pytest.raises(errors.Redirected):
            await client.start_run(job, idempotency_key="wish-1")
        assert other.requests == []
    assert len(server.requests) == 2


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
