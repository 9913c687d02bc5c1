"""Where users look at a run."""

from __future__ import annotations

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import InvalidSettings
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.api.urls import console_link

JOB = Target(TargetKind.JOB, "j:1", "w")


@pytest.mark.parametrize(
    ("console_url", "link"),
    [
        ("https://console.example", "https://console.example/workspaces/w/jobs/j%3A1/runs/r"),
        ("https://console.example/eu/", "https://console.example/eu/workspaces/w/jobs/j%3A1/runs/r"),
        ("https://{workspace_id}.example/#/{kind}/{id}?run={run_id}", "https://w.example/#/jobs/j%3A1?run=r"),
        ("http://console.example:8080/{run_id}", "http://console.example:8080/r"),
    ],
)
def test_the_console_url_leads_to_a_run(console_url, link):
    assert console_link(console_url, JOB, "r") == link


@pytest.mark.parametrize(
    "console_url",
    [
        "console.example",
        "javascript:alert(1)",
        "ftp://console.example",
        "https://",
        "https://user:password@console.example",
        "https://console.example/{job}",
        "https://console.example/{run_id",
        "https://console.example/a b",
        "7",
    ],
)
def test_a_console_url_that_makes_no_link_is_refused(console_url):
    with pytest.raises(InvalidSettings, match="console_url"):
        console_link(console_url, JOB, "r")
