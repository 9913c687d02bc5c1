"""The connection on Airflow's pages."""

from __future__ import annotations

import json

import pytest
from support.airflow import IS_AIRFLOW_3

from airflow_provider_datarecs.api.settings import ClientSettings
from airflow_provider_datarecs.provider_info import CONN_FIELDS

pytestmark = pytest.mark.browser

TYPED = {
    "tenant": "acme",
    "allow_insecure_http": True,
    "console_url": "https://app.datarecs.io",
    "webhook_secret": "one,another",
    "requests_per_minute": 250,
    "share_left_free": 0.35,
    "max_concurrent_requests": 4,
}
HOST = "https://api.datarecs.io"


def test_the_form_has_the_fields_that_mean_something_and_no_others(pages):
    pages.new_connection("datarecs_default")
    labels = [label.strip(" *\n") for label in pages.labels()]
    extras = [field["label"] for field in CONN_FIELDS.values()]
    # On 3.3, since Airflow itself refuses to test a connection without one: see below.
    port = ["Port"] if IS_AIRFLOW_3 else []
    assert [label for label in labels if label not in pages.own_fields] == ["Host", "API Key", *port, *extras]


def test_the_form_says_what_a_host_looks_like_and_hides_the_key(pages, take):
    pages.new_connection("datarecs_default")
    assert pages.field("Host").get_attribute("placeholder") == HOST
    assert pages.field("API Key").get_attribute("type") == "password"
    pages.fill("Host", HOST)
    pages.fill("API Key", "x" * 32)
    take("connection-form")


def test_what_is_typed_into_the_form_is_what_the_hook_reads(pages, take, airflow):
    assert TYPED.keys() == CONN_FIELDS.keys()
    pages.new_connection("by_hand")
    pages.fill("Host", HOST)
    pages.fill("API Key", "key")
    for name, value in TYPED.items():
        pages.fill(CONN_FIELDS[name]["label"], value)
    take("connection-extras", height=pages.form_height)
    pages.save()
    (saved,) = json.loads(airflow.cli("connections", "get", "by_hand", "-o", "json"))
    extra = saved["extra_dejson"]
    read = ClientSettings.from_fields(host=saved["host"], api_key=saved["password"], extra=extra)
    assert read == ClientSettings.from_fields(host=HOST, api_key="key", extra=TYPED)


@pytest.mark.parametrize(
    ("conn_id", "works", "says"),
    [
        ("datarecs_default", True, "Connected to http://127.0.0.1"),
        ("read_only", True, "the API key sees 2 workspaces"),
        ("plain_http_allowed", True, "Connected to http://0.0.0.0"),
        ("wrong_key", False, "Invalid or expired API key"),
        ("no_key", False, "API Key (the connection's password) is empty"),
        ("unreachable", False, "no connection to"),
        ("plain_http", False, "is plain http"),
        ("not_the_api", False, "Host may not be the URL of the DataRecs API"),
    ],
)
def test_a_test_of_the_connection_says_whether_it_works_and_why_not(
    pages, take, connections, conn_id, works, says
):
    said = pages.test(conn_id, connections[conn_id])
    assert says in said
    assert (pages.yes if works else pages.no) in said
    if conn_id in ("datarecs_default", "wrong_key"):
        take(f"test-{'works' if works else 'fails'}")


if IS_AIRFLOW_3:  # the pages of Airflow 2 test what is in the form

    def test_airflow_itself_refuses_to_test_a_connection_without_a_port(pages):
        # Its page sends 0 for none, which its API takes for another one. When this fails, Airflow has mended
        # that, and the documentation need not warn of it.
        assert "Bad Request" in pages.test("no_port", {})

    def test_a_connection_made_on_the_form_with_the_port_that_it_asks_for_can_be_tested(pages, simulator):
        pages.new_connection("with_port")
        assert "Test needs it" in pages.field("Port").get_attribute("placeholder")
        pages.fill("Host", simulator.url)
        pages.fill("Port", simulator.url.rpartition(":")[2])
        pages.fill("API Key", simulator.world.api_keys[0].key)
        pages.save()
        assert "Connected to http://127.0.0.1" in pages.test("with_port", {})
