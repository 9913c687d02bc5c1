from __future__ import annotations

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import InvalidInput, NameNotFound, NameNotUnique
from airflow_provider_datarecs.api.names import find_job
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.simulator import Fault


async def find(client, workspace_name, job_name):
    return await find_job(client, workspace_name=workspace_name, job_name=job_name)


async def test_a_job_is_found_in_its_workspace(client):
    assert await find(client, "Finance", "daily") == Target(TargetKind.JOB, "j1", "w1")
    assert await find(client, "Sales", "daily") == Target(TargetKind.JOB, "j3", "w2")


@pytest.mark.parametrize("paging", ["cursor", "url"])
async def test_every_page_is_read_before_a_name_is_found(server, client, world, paging):
    world.behaviour.page_size, world.behaviour.paging = 1, paging
    assert await find(client, "Sales", "daily") == Target(TargetKind.JOB, "j3", "w2")
    assert await find(client, "Finance", "weekly") == Target(TargetKind.JOB, "j2", "w1")


async def test_a_name_on_two_pages_is_not_unique(client, world):
    world.behaviour.page_size = 1
    world.add_job("j9", "daily", "w1")
    with pytest.raises(NameNotUnique, match=r"^Multiple jobs named 'daily' found") as caught:
        await find(client, "Finance", "daily")
    assert "j1, j9" in str(caught.value)
    assert "TriggerJobRunOperator" in str(caught.value)


async def test_two_workspaces_of_one_name_are_not_unique(server, client, world):
    world.add_workspace("w9", "Finance")
    with pytest.raises(NameNotUnique, match=r"^Multiple workspaces named 'Finance' found: w1, w9"):
        await find(client, "Finance", "daily")
    assert [request.path for request in server.requests] == ["/workspaces"]


@pytest.mark.parametrize("name", ["finance", "FINANCE", "Finance ", " Finance", "Fin", "Finance.*", "w1"])
async def test_a_workspace_name_is_exact(client, name):
    with pytest.raises(NameNotFound) as caught:
        await find(client, name, "daily")
    assert str(caught.value).startswith(f"Workspace '{name}' not found")
    assert "'Finance', 'Sales'" in str(caught.value)


@pytest.mark.parametrize("name", ["Daily", "DAILY", "daily ", "dail", ".*", "j1"])
async def test_a_job_name_is_exact(client, name):
    with pytest.raises(NameNotFound) as caught:
        await find(client, "Finance", name)
    assert str(caught.value).startswith(f"Job '{name}' not found")
    assert "'daily', 'weekly'" in str(caught.value)


async def test_a_job_of_another_workspace_is_not_found(client, world):
    world.behaviour.filters_jobs = False
    with pytest.raises(NameNotFound, match=r"^Job 'weekly' not found"):
        await find(client, "Sales", "weekly")


async def test_no_workspace_at_all(client, world):
    world.workspaces.clear()
    with pytest.raises(NameNotFound, match=r"^Workspace 'Finance' not found.*no workspace at all"):
        await find(client, "Finance", "daily")


async def test_a_job_without_an_id_is_not_found(server, client):
    server.faults.append(Fault(path="/jobs", status=200, body={"items": [{"name": "daily"}]}))
    with pytest.raises(NameNotFound, match=r"^Job 'daily' not found.*without an id"):
        await find(client, "Finance", "daily")


@pytest.mark.parametrize("found", ["../workspaces", "a b"])
async def test_a_job_with_an_id_that_cannot_be_one_is_not_found(server, client, found):
    server.faults.append(Fault(path="/jobs", status=200, body={"items": [{"name": "daily", "id": found}]}))
    with pytest.raises(NameNotFound, match=r"^Job 'daily' not found.* with the id '.*', which cannot be one"):
        await find(client, "Finance", "daily")
    assert [request.path for request in server.requests] == ["/workspaces", "/jobs"]


async def test_names_and_ids_of_digits_are_text_wherever_they_come_from(server, client):
    lists = ({"name": "2024", "id": 1}, {"name": "31", "id": 2, "workspace_id": 1})
    server.faults.extend(Fault(status=200, body={"items": [item]}) for item in lists)
    assert await find(client, 2024, 31) == Target(TargetKind.JOB, "2", "1")


@pytest.mark.parametrize("bad", ["", "  ", None, 7.5])
@pytest.mark.parametrize("argument", ["workspace_name", "job_name"])
async def test_an_empty_name_is_refused_before_anything_is_sent(server, client, argument, bad):
    with pytest.raises(InvalidInput, match=argument):
        await find_job(client, **{"workspace_name": "Finance", "job_name": "daily", argument: bad})
    assert server.requests == []


async def test_the_nearest_name_is_told_first_and_the_number_of_the_rest_last(client, world):
    for number in range(30):
        world.add_job(f"t{number}", f"table_{number}", "w1")
    with pytest.raises(NameNotFound) as caught:
        await find(client, "Finance", "Table-3")
    start = "Job 'Table-3' not found in workspace 'Finance'; did you mean 'table_3'? There is: 'table_3', "
    assert str(caught.value).startswith(start)
    assert " and 22 more. Names are case-sensitive." in str(caught.value)
    assert str(caught.value).count("'table_") == 10  # with the one that is meant twice


async def test_a_name_like_none_is_told_what_there_is(client):
    with pytest.raises(
        NameNotFound, match=r"^Job 'zzz' not found in workspace 'Finance'\. There is: 'daily', 'w"
    ):
        await find(client, "Finance", "zzz")
