from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import Unauthorized
from airflow_provider_datarecs.compat import (
    AIRFLOW_VERSION,
    AirflowFailException,
    AirflowNotFoundException,
)
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.polling.client import BlockingPoller
from airflow_provider_datarecs.simulator import ApiKey, Fault

pytestmark = pytest.mark.compat

# Airflow 3.0 and 3.1 give no connection at all whose extra is not an object.
BAD_EXTRA = "isn't defined" if (3, 0) <= AIRFLOW_VERSION <= (3, 1) else "Extra must be a JSON object"


def test_the_connection_is_tested_by_listing_workspaces(simulator):
    assert DataRecsHook().test_connection() == (
        True,
        f"Connected to {simulator.url}; the API key sees 2 workspaces",
    )
    assert [seen.path for seen in simulator.requests] == ["/workspaces"]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"status": 401}, "Invalid or expired API key"),
        ({"status": 403}, "lacks the permission"),
        ({"status": 404}, "Resource not found"),
        ({"status": 503}, "cannot answer now"),
        ({"status": 429, "headers": {"Retry-After": "50"}}, "too many requests"),
        (
            {"status": 302, "headers": {"Location": "https://login.test"}},
            "redirected (302) to https://login.test",
        ),
        ({"status": 200, "body": "<html>"}, "is not JSON"),
        (
            {"status": 404, "body": "default backend - 404"},
            "Host may not be the URL of the DataRecs API: the answer (404",
        ),
        (
            {"status": 401, "body": ""},
            "Host may not be the URL of the DataRecs API, or the API key is not valid: the answer (401",
        ),
        ({"drop": "before"}, "no answer"),
    ],
)
def test_a_failed_test_says_why_at_once(simulator, fault, told):
    simulator.faults.append(Fault(times=None, **fault))
    works, message = DataRecsHook().test_connection()
    assert works is False
    assert told in message
    assert "demo-key" not in message


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"host": "http://127.0.0.1:1"}, "no connection to http://127.0.0.1:1"),
        ({"host": "https://no-such-host.invalid"}, "no connection to https://no-such-host.invalid"),
        ({"host": "http://api.test"}, "plain http"),
        ({"host": "", "password": "k"}, "Host is empty"),
        ({"host": "https://api.test", "password": ""}, "API Key"),
        ({"host": "https://api.test", "extra": "[1]"}, BAD_EXTRA),
    ],
)
def test_a_failed_test_names_the_field_or_the_host(connect, fields, told):
    connect(**fields)
    works, message = DataRecsHook().test_connection()
    assert works is False
    assert told in message


def test_a_missing_connection_is_no_success():
    works, message = DataRecsHook(conn_id="nowhere").test_connection()
    assert works is False
    assert "nowhere" in message


@pytest.mark.parametrize("conn_id", [None, "", "None"])
def test_a_conn_id_that_its_template_did_not_find_is_named(conn_id):
    with pytest.raises(AirflowFailException, match=f"conn_id is .*{conn_id!r}"):
        DataRecsHook(conn_id=conn_id).get_settings()


def test_the_extras_of_the_connection_are_used(simulator, connect):
    connect(simulator.url, extra={"tenant": "acme"})
    DataRecsHook().list_workspaces()
    assert simulator.requests[0].headers["X-Datarecs-Tenant-Hint"] == "acme"


@pytest.mark.parametrize("allowed", [True, "true"])
def test_plain_http_can_be_allowed(connect, allowed):
    connect("http://api.test", extra={"allow_insecure_http": allowed})
    assert DataRecsHook().get_settings().base_url == "http://api.test"


def test_the_form_relabels_the_password_and_hides_what_means_nothing():
    behaviour = DataRecsHook.get_ui_field_behaviour()
    assert behaviour["relabeling"] == {"password": "API Key"}
    shows_port = ["port"] if AIRFLOW_VERSION == (3, 3) else []  # whose Test needs it
    assert behaviour["hidden_fields"] == ["schema", "login", *([] if shows_port else ["port"])]
    assert behaviour["placeholders"]["host"] == "https://api.datarecs.io"
    assert list(behaviour["placeholders"]) == ["host", *shows_port]


def test_a_missing_connection_says_what_to_create():
    with pytest.raises(AirflowNotFoundException, match="Create connection 'nowhere' of type 'datarecs'"):
        DataRecsHook(conn_id="nowhere").get_settings()


def test_a_key_that_is_replaced_while_it_is_refused_is_read_anew(simulator, connect):
    world = simulator.world
    run = world.start_run(TargetKind.JOB, world.owners[TargetKind.JOB]["job_ledger"])
    refusal = Fault(status=401, delay=0.5)
    simulator.faults.append(refusal)
    hook = DataRecsHook()
    job = hook.target(TargetKind.JOB, "job_ledger", "ws_production")
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(BlockingPoller(hook).send, lambda client: client.get_run(job, run.id))
        while refusal.times:  # the old key is not on its way yet
            time.sleep(0.01)
        connect(simulator.url, password="the-new-one")
        world.api_keys = [ApiKey("the-new-one")]
        assert poll.result().id == run.id


def test_a_key_that_is_refused_and_not_replaced_is_told_after_one_request(simulator):
    simulator.world.api_keys = []
    hook = DataRecsHook()
    job = hook.target(TargetKind.JOB, "job_ledger", "ws_production")
    poll = BlockingPoller(hook).send(lambda client: client.get_run(job, "r"))
    assert isinstance(poll, Unauthorized)
    assert len(simulator.requests) == 1
