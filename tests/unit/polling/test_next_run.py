from __future__ import annotations

import time

from support.logs import Log

from airflow_provider_datarecs.api.contract import TargetKind
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
