"""Tasks on Airflow's pages: the link to the run, and the log."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from playwright.sync_api import expect

from airflow_provider_datarecs.compat import PAGES_SHOW_VIEWS
from airflow_provider_datarecs.reconciliations import PATH

pytestmark = pytest.mark.browser

DAG_ID = "reconcile_daily_balances"
LINK = "DataRecs run"


@pytest.fixture
def run_id(airflow, waiting):
    """The id of the run at DataRecs."""
    return airflow.xcom(DAG_ID, waiting, "trigger", "run_id")


@pytest.fixture
def run_url(run_id):
    return f"https://app.datarecs.io/workspaces/ws_production/jobs/job_daily_balance/runs/{run_id}"


@pytest.mark.parametrize("task_id", ["trigger", "wait"])
def test_a_task_has_a_link_to_its_run_also_while_it_waits(pages, take, airflow, waiting, run_url, task_id):
    assert airflow.tasks(DAG_ID, waiting)["wait"]["state"] == "deferred"
    pages.open_task(DAG_ID, waiting, task_id, "details")
    expect(pages.link(LINK)).to_have_attribute("href", run_url)
    if task_id == "wait":
        take("link-while-waiting")


def test_the_log_of_a_trigger_tells_what_it_started(pages, waiting, run_id):
    pages.open_task(DAG_ID, waiting, "trigger", "logs")
    told = pages.messages(until="Started run")
    assert [line for line in told if {"Started", repr(run_id), "'job_daily_balance'"} <= words(line)]
    assert repeated(told) == []


def test_the_log_of_a_wait_tells_what_it_waits_for(pages, take, waiting, run_id):
    pages.open_task(DAG_ID, waiting, "wait", "logs")
    told = pages.messages(until="RUNNING")
    assert [line for line in told if {"Waiting", repr(run_id), "'job_daily_balance'"} <= words(line)]
    assert repeated(told) == []
    take("log-while-waiting")


def test_a_task_without_a_console_has_no_link(pages, airflow):
    run_id = airflow.scheduled_run("no_console")
    airflow.wait_until(lambda: airflow.run_state("no_console", run_id) == "success", "the run has ended")
    with pages.page.expect_response(re.compile(r"links(\?|$)")):
        pages.open_task("no_console", run_id, "trigger", "details")
    pages.page.wait_for_load_state("networkidle")
    expect(pages.link(LINK)).to_have_count(0)


def test_the_log_of_a_finished_wait_tells_what_came_out(pages, take, finished, run_id):
    pages.open_task(DAG_ID, finished, "wait", "logs")
    told = pages.messages(until="119,988")
    (end,) = [line for line in told if "119,988" in line and "TriggerEvent" not in line]
    assert run_id in end
    assert "COMPLETED" in end
    assert repeated(told) == []
    take("log")


@pytest.mark.parametrize("task_id", ["trigger", "wait", "result"])
def test_a_finished_task_keeps_its_link(pages, finished, run_url, task_id):
    pages.open_task(DAG_ID, finished, task_id, "details")
    expect(pages.link(LINK)).to_have_attribute("href", run_url)


if PAGES_SHOW_VIEWS:

    def test_the_page_of_reconciliations_has_the_result_and_the_name_of_the_job(
        pages, airflow, finished, run_id
    ):
        pages.page.goto(f"{airflow.url}{PATH}/")
        lines = pages.page.locator(".lines > li")
        expect(lines.locator(".name")).to_have_text(["daily-balance-check"])
        for told in (f"{DAG_ID} · Production", "No limit", "12 unmatched", "of 120,000"):
            expect(lines).to_contain_text(told)
        lines.locator(".toggle").click()
        expect(lines.locator("tbody tr")).to_have_count(1)  # though two tasks tell of that run
        expect(lines.locator("tbody")).to_contain_text(run_id)


def words(line):
    return set(line.replace(",", " ").replace(":", " ").split())


def repeated(messages):
    return [message for message, count in Counter(messages).items() if count > 1]
