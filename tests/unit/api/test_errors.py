"""Each bad answer, as the simulator sends it, and what the client makes of it."""

from __future__ import annotations

import re

import pytest

from airflow_provider_datarecs.api import errors
from airflow_provider_datarecs.api.retry import ONE_POLL
from airflow_provider_datarecs.simulator import ApiKey, Fault, Simulator


@pytest.fixture
async def client(server, open_client):
    """A client that asks once only."""
    async with open_client(server.url, policy=ONE_POLL) as client:
        yield client


@pytest.mark.parametrize("status", [401, 404])
async def test_a_start_that_something_else_refuses_may_have_been_carried_out(
    server, client, job, world, status
):
    server.faults.append(Fault(status=status, body="<html>no</html>", carry_out=True))
    with pytest.raises(errors.RunMayHaveStarted) as caught:
        await client.start_run(job, idempotency_key="start-1")
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
            await client.start_run(job, idempotency_key="start-1")
    assert len(server.requests) == 1


async def test_a_run_that_does_not_exist(client, job):
    with pytest.raises(errors.NotFound) as caught:
        await client.get_run(job, "r1")
    message = "Resource not found: run 'r1' of job 'j1' in workspace 'w1' (GET /jobs/j1/runs/r1)"
    assert str(caught.value) == message


async def test_the_simulators_own_validation_is_shown(client, job):
    with pytest.raises(errors.Rejected, match=r"422: Validation failed; run_label: must be text"):
        await client.start_run(job, idempotency_key="start-1", run_label="x" * 1000)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_so_that_the_key_stays_here(server, client, job, status):
    with Simulator() as other:
        target = f"{other.url}/workspaces"
        server.faults.append(Fault(times=2, status=status, headers={"Location": target}))
        with pytest.raises(errors.Redirected, match=f"to {target}, not followed"):
            await client.list_workspaces()
        with pytest.raises(errors.DataRecsError) as caught:
            await client.start_run(job, idempotency_key="start-1")
        assert other.requests == []
    # The others can be the answer to a request that was carried out.
    nothing_done = status in (301, 307, 308)
    assert type(caught.value) is (errors.Redirected if nothing_done else errors.RunMayHaveStarted)
    assert len(server.requests) == 2


def test_a_run_that_may_have_started_tells_why_that_is_not_known(job):
    why = errors.MaybeArrived("POST /jobs/j1/run", "no answer")
    error = errors.RunMayHaveStarted(job, why)
    assert error.why is why
    assert str(error) == (
        "A run of job 'j1' in workspace 'w1' may have started at DataRecs, but its id is unknown: no answer "
        "(POST /jobs/j1/run)"
    )


def test_the_tree_at_the_top_names_each_error_under_its_parent():
    drawn, above = {}, {}
    for indent, name in re.findall(r"^( {4,})([A-Z]\w+) {2,}\S", errors.__doc__, re.MULTILINE):
        above[len(indent)] = name
        drawn[name] = above.get(len(indent) - 4, "Exception")
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert drawn == {one.__name__: one.__bases__[0].__name__ for one in classes}
