from __future__ import annotations

import time

import pytest
from support.logs import Log

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.runs import Run
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.polling.monitor import WaitSpec
from airflow_provider_datarecs.polling.next_run import NextRunMonitor


def monitor_until(deadline):
    now = time.time()
    wait = WaitSpec(Target(TargetKind.JOB, "j", "w"), "", "c", Log(), since=now, deadline=now + deadline)
    return NextRunMonitor(wait, now)


def test_what_ends_a_wait_between_two_polls_leaves_it_unknown_whether_one_has_begun():
    monitor = monitor_until(3600.0)
    assert monitor.judge({}) is None
    assert monitor.timeout_message("execution_timeout").startswith("Unknown whether one has begun within")


def test_a_poll_after_the_deadline_has_the_last_word():
    event = monitor_until(0.0).judge({})
    assert event["outcome"] == "timed_out"
    assert event["message"].startswith("None has begun within")


def run(run_id, status, started_at):
    return Run(run_id, status, {"started_at": started_at, "completed_at": None})


OLD = run("old", "COMPLETED", "2001-01-01T00:00:00Z")


@pytest.mark.parametrize("status", ["RUNNING", "COMPLETED", "FAILED"])
def test_a_run_that_began_nobody_knows_when_may_be_the_next_one(status):
    monitor = monitor_until(0.0)
    assert (
        monitor.judge({"new": run("new", status, None), "old": OLD}) is None
    )  # its last poll is tried again
    event = monitor.give_up()
    assert event["message"].startswith("Unknown whether one has begun within")
    assert "when run 'new' began cannot be read, and it may be the next one" in event["message"]
    assert event["seen"] is False


@pytest.mark.parametrize(
    "runs",
    [[run("new", "QUEUED", None), OLD], [OLD, run("older", "COMPLETED", None)], []],
    ids=["one that has not begun", "one that is older than one from before", "none"],
)
def test_what_has_not_begun_and_what_is_older_leave_no_doubt(runs):
    event = monitor_until(0.0).judge({run.id: run for run in runs})
    assert event["message"].startswith("None has begun within")


def test_the_first_that_began_is_found_beside_one_of_which_nobody_knows_it():
    runs = {"odd": run("odd", "RUNNING", None), "new": run("new", "RUNNING", "2999-01-01T00:00:00Z")}
    assert monitor_until(3600.0).judge(runs)["run_id"] == "new"
