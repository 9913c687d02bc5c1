from __future__ import annotations

import gc
import logging
import weakref
from types import SimpleNamespace

import pytest
from support.logs import Log

from airflow_provider_datarecs.api import errors
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.runs import Run
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.polling import clock as clock_module
from airflow_provider_datarecs.polling import events
from airflow_provider_datarecs.polling import monitor as monitor_module
from airflow_provider_datarecs.polling.monitor import RunMonitor, WaitSpec
from airflow_provider_datarecs.polling.settings import heartbeat_interval

JOB = Target(TargetKind.JOB, "j", "w")
AWAY = errors.NeverArrived("GET /x", "no connection")
LOST = errors.MaybeArrived("GET /x", "no answer")


@pytest.fixture
def clock(monkeypatch):
    now = [1_000_000.0]
    time = SimpleNamespace(time=lambda: now[0], monotonic=lambda: now[0])
    for module in (clock_module, monitor_module):
        monkeypatch.setattr(module, "time", time)
    return now


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def monitor(clock, log):
    return RunMonitor(waiting(log, since=clock[0], deadline=clock[0] + 7200))


def waiting(log, **times):
    return WaitSpec(JOB, "r", conn_id="c", log=log, **times)


def run(status, **counts):
    return Run("r", status, {"status": status, **counts})


SUBJECT = "run 'r' of job 'j' in workspace 'w'"


def test_the_log_tells_changes_and_a_sparse_heartbeat(monitor, log, clock):
    for status in ("QUEUED", "QUEUED", "RUNNING", "RUNNING", "RUNNING"):
        assert monitor.judge(run(status), (30.0, 30.0)) is None
        clock[0] += 30
    assert log == [
        f"QUEUED: {SUBJECT}; waiting for 0:00:00 of 2:00:00, next poll in 0:00:30",
        f"RUNNING: {SUBJECT}; waiting for 0:01:00 of 2:00:00, next poll in 0:00:30",
    ]
    clock[0] += 900
    monitor.judge(run("RUNNING"), (30.0, 720.0))
    monitor.judge(run("RUNNING"), (30.0, 720.0))
    still, progress = log[2].split("; ")
    assert still == f"Still RUNNING, as seen since 1970-01-12T13:47:40+00:00: {SUBJECT}"
    assert progress == "waiting for 0:17:30 of 2:00:00, next poll in 0:00:30 to 0:12:00"
    assert len(log) == 3


def test_rows_are_told_while_the_run_goes_on_if_datarecs_counts_them(monitor, log):
    monitor.judge(run("RUNNING", rows_processed=45000, rows_matched=None, rows_unmatched=0))
    assert log[0].startswith(f"RUNNING, rows: 45,000 processed, 0 unmatched so far: {SUBJECT}; waiting")


def test_what_ended_a_run_is_left_to_the_task_to_tell(monitor, log):
    assert monitor.judge(run("COMPLETED"))["outcome"] == "finished"
    assert log == []


@pytest.mark.parametrize(
    ("poll", "next_poll", "told"),
    [
        (run("RUNNING"), None, "waiting for 0:00:00 of 2:00:00"),
        (run("RUNNING"), (0.0, 0.0), "next poll in 0:00:01"),
        (run("RUNNING"), (9000.0, 9999.0), "next poll in 2:00:00"),
        (errors.RateLimited("GET /x", "slow down", 300.0), (60.0, 60.0), "next poll in 0:05:00"),
    ],
    ids=["unknown", "no-sooner-than-a-second", "the-last-one-at-the-deadline", "after-a-429"],
)
def test_the_next_look_is_told_as_far_as_it_is_known(monitor, log, poll, next_poll, told):
    monitor.judge(poll, next_poll)
    assert log[0].endswith(told)


def test_a_watch_made_anew_goes_on_with_the_story(clock, log):
    monitor = RunMonitor(waiting(log, since=clock[0] - 1800, deadline=clock[0] + 1800))
    monitor.judge(run("RUNNING"))
    assert log == [f"RUNNING: {SUBJECT}; waiting for 0:30:00 of 1:00:00"]


def test_a_status_that_nobody_knows_is_told_once(monitor, log):
    for _ in range(3):
        assert monitor.judge(run("PAUSED")) is None
    assert len(log) == 1
    assert "PAUSED, a status this provider does not know, taken as still going" in log[0]


def test_failed_looks_are_told_when_they_begin_when_they_change_and_when_they_end(monitor, log, clock):
    monitor.judge(run("RUNNING"))
    for error in (AWAY, AWAY, LOST, LOST):
        assert monitor.judge(error) is None
        clock[0] += 60
    monitor.judge(run("RUNNING"))
    assert len(log) == 4
    since = f"Cannot be seen since 1970-01-12T13:46:40+00:00: {SUBJECT}"
    assert log[1].startswith(f"{since}: no connection (GET /x)")
    assert "This says nothing about the run" in log[1]
    assert log[2].startswith(f"{since}: no answer (GET /x)")
    assert log[3].startswith(
        "Still RUNNING, as seen since 1970-01-12T13:46:40+00:00, seen again after 0:04:00: run"
    )


UNRESOLVED = errors.NameUnresolved("GET /x", "no connection. Look at the connection's Host")


def test_a_host_that_has_never_had_an_address_is_told_loudly(clock, caplog):
    clock_since = {"since": clock[0], "deadline": clock[0] + 7200}
    monitor = RunMonitor(waiting(logging.getLogger("task"), **clock_since))
    for _ in range(3):
        assert monitor.judge(UNRESOLVED) is None
        clock[0] += 500
    first, later = (record for record in caplog.records if record.name == "task")
    assert first.levelname == later.levelname == "ERROR"
    assert "Look at the connection's Host" in first.getMessage()
    assert "Not once since this wait was taken up has there been an address" in later.getMessage()


@pytest.mark.parametrize("before", [AWAY, run("RUNNING")], ids=["away", "seen"])
def test_a_host_that_once_had_an_address_may_have_one_again(clock, caplog, before):
    clock_since = {"since": clock[0], "deadline": clock[0] + 7200}
    monitor = RunMonitor(waiting(logging.getLogger("task"), **clock_since))
    for seen in (before, UNRESOLVED):
        assert monitor.judge(seen) is None
    assert caplog.records[-1].levelname == "WARNING"
    assert "This says nothing about the run" in caplog.records[-1].getMessage()


def test_a_run_that_has_ended_while_it_could_not_be_seen_is_seen_again(monitor, log, clock):
    monitor.judge(AWAY)
    clock[0] += 60
    assert monitor.judge(run("COMPLETED"))["outcome"] == "finished"
    assert log[1].startswith(f"COMPLETED, seen again after 0:01:00: {SUBJECT}")


def test_long_failure_has_a_heartbeat(monitor, log, clock):
    monitor.judge(AWAY)
    clock[0] += 901
    monitor.judge(AWAY)
    assert "Cannot be seen since 1970-01-12T13:46:40+00:00" in log[1]
    assert "waiting for 0:15:01 of 2:00:00" in log[1]


def test_the_deadline_tells_how_long_and_the_last_status(monitor, clock):
    monitor.judge(run("RUNNING"))
    clock[0] += 7200
    event = monitor.judge(run("RUNNING"))
    assert event["outcome"] == "timed_out"
    assert (
        "RUNNING, and did not finish within 2:00:00 (the task's timeout): run 'r' of job 'j'"
        in event["message"]
    )


def test_without_a_last_poll_nobody_knows_whether_a_run_goes_on(monitor, clock):
    monitor.judge(run("RUNNING"))
    clock[0] += 7500
    event = monitor.give_up()
    assert (
        "RUNNING, and did not finish within 2:05:00 (the task's timeout) as far as is known"
        in event["message"]
    )
    assert (event["seen"], event["status"]) == (False, "RUNNING")
    assert "goes on" not in event["message"]


def test_so_it_is_where_airflow_ends_the_task_between_two_polls(monitor, clock):
    monitor.judge(run("RUNNING"))
    clock[0] += 600
    message = monitor.timeout_message("execution_timeout")
    assert "0:10:00 (the task's execution_timeout) as far as is known" in message


def test_the_deadline_of_a_run_that_cannot_be_seen_says_so(monitor, clock):
    monitor.judge(run("RUNNING"))
    clock[0] += 3600
    monitor.judge(AWAY)
    clock[0] += 3600
    assert monitor.judge(AWAY) is None  # its last look is tried again
    message = monitor.give_up()["message"]
    assert "no answer to a last poll" not in message
    for part in ("the last 1:00:00", "no connection", "before that its status was RUNNING", "is unknown"):
        assert part in message


def looks_until_the_end(monitor, clock, poll):
    """Poll whenever the monitor needs it, and give when it did and the event."""
    times, event = [], None
    while event is None:
        event = monitor.judge(poll)
        times.append(clock[0])
        clock[0] += monitor.again_in or 0.0
    return [moment - times[0] for moment in times], event


@pytest.mark.parametrize("late", [0, 86_400], ids=["on time", "after a triggerer was away for a day"])
def test_last_looks_that_fail_are_tried_again_for_minutes(monitor, clock, late):
    clock[0] += 7200 + late
    times, event = looks_until_the_end(monitor, clock, AWAY)
    assert times == [0, 5, 10, 20, 40, 80, 160, 300]
    assert (event["outcome"], event["seen"]) == ("timed_out", False)
    assert "could not be seen for the last 0:05:00, and" in event["message"]


def test_a_last_look_that_works_after_all_counts(monitor, clock, log):
    clock[0] += 7200
    assert monitor.judge(AWAY) is None
    assert log[-1].endswith("waiting for 2:00:00 of 2:00:00, next poll in 0:00:05")
    clock[0] += monitor.again_in
    assert monitor.judge(run("COMPLETED"))["outcome"] == "finished"


def test_a_last_look_that_shows_the_run_going_on_is_the_last(monitor, clock):
    clock[0] += 7200
    assert monitor.judge(AWAY) is None
    clock[0] += monitor.again_in
    assert "RUNNING, and did not finish" in monitor.judge(run("RUNNING"))["message"]


def test_a_429_that_outlasts_the_minutes_for_last_looks_ends_the_wait_at_once(monitor, clock):
    clock[0] += 7200
    assert monitor.judge(errors.RateLimited("GET /x", "slow down", 60.0)) is None
    assert monitor.again_in == 60.0
    clock[0] += 60
    assert monitor.judge(errors.RateLimited("GET /x", "slow down", 600.0))["outcome"] == "timed_out"


def test_an_execution_timeout_leaves_what_airflow_does_for_last_looks(clock, log, monkeypatch):
    monkeypatch.setattr(monitor_module, "resume_margin", lambda: 20.0)
    limit = {"deadline": clock[0], "limit": events.EXECUTION_TIMEOUT}
    monitor = RunMonitor(waiting(log, since=clock[0] - 60, **limit))
    assert looks_until_the_end(monitor, clock, AWAY)[0] == [0, 5, 10]


def test_a_finished_run_counts_even_at_the_deadline(monitor, clock):
    clock[0] += 9999
    assert monitor.judge(run("COMPLETED"))["outcome"] == "finished"


MISSING = errors.NotFound("GET /x", 404, "Resource not found: run")


def test_a_run_that_was_never_seen_may_be_missing_for_a_minute(monitor, clock):
    assert monitor.judge(MISSING) is None
    clock[0] += 59
    assert monitor.judge(MISSING) is None
    assert not monitor.doubts_the_connection
    clock[0] += 1
    times, event = looks_until_the_end(monitor, clock, MISSING)
    assert (times, event["outcome"]) == ([0, 7], "refused")


def test_a_run_that_was_seen_may_not_be_missing(monitor, clock):
    monitor.judge(run("RUNNING"))
    assert looks_until_the_end(monitor, clock, MISSING)[0] == [0, 7]


def test_the_grace_counts_from_the_first_look_of_all(clock, log):
    monitor = RunMonitor(waiting(log, since=0.0, deadline=9e9), first_poll=clock[0] - 61)
    assert looks_until_the_end(monitor, clock, MISSING)[0] == [0, 7]


REFUSED = errors.Unauthorized("GET /x", 401, "no")
FORBIDDEN = errors.Forbidden("GET /x", 403, "no")
REJECTED = errors.Rejected("GET /x", 400, "no")


@pytest.mark.parametrize(
    ("error", "confirmed"),
    [
        (REFUSED, [0, 7, 14]),
        (errors.InvalidSettings("no"), [0, 7, 14]),
        (FORBIDDEN, [0, 7]),
        (REJECTED, [0, 7]),
        (errors.InvalidInput("no"), [0]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_waiting_does_not_cure_ends_the_wait_once_it_is_confirmed(monitor, clock, log, error, confirmed):
    times, event = looks_until_the_end(monitor, clock, error)
    assert (times, event["outcome"]) == (confirmed, "refused")
    # The task tells what ended it.
    assert len(log) == (1 if len(confirmed) > 1 else 0)
    if log:
        assert "If further polls, on the connection as it is then, meet the same, the wait ends" in log[0]
        assert log[0].endswith("next poll in 0:00:07")


@pytest.mark.parametrize("between", [run("RUNNING"), AWAY, LOST, FORBIDDEN], ids=str)
def test_what_is_not_met_again_ends_nothing(monitor, clock, between):
    for _ in range(20):
        for poll in (REFUSED, REFUSED, between):
            assert monitor.judge(poll) is None
            clock[0] += 7


def test_many_answers_at_a_time_confirm_nothing(monitor, clock):
    for _ in range(100):
        assert monitor.judge(REFUSED) is None
        clock[0] += 0.1


def test_a_429_says_nothing_for_a_verdict_or_against_it(monitor, clock):
    assert monitor.judge(FORBIDDEN) is None
    clock[0] += 7
    assert monitor.judge(errors.RateLimited("GET /x", "slow down", 60.0)) is None
    assert monitor.again_in is None
    clock[0] += 60
    assert monitor.judge(FORBIDDEN)["outcome"] == "refused"


def test_a_look_that_is_to_confirm_says_since_when_the_connection_must_have_been_read(monitor, clock):
    monitor.judge(AWAY)
    assert (monitor.doubted_at, monitor.doubts_the_connection) == (float("-inf"), False)
    for _ in range(2):
        monitor.judge(REFUSED)
        assert (monitor.doubted_at, monitor.doubts_the_connection) == (clock[0], True)
        clock[0] += 7
    monitor.judge(run("RUNNING"))
    assert (monitor.doubted_at, monitor.doubts_the_connection) == (float("-inf"), False)


def test_looks_that_fail_again_and_again_make_a_wait_doubt_its_connection(monitor):
    doubts = []
    for _ in range(7):
        monitor.judge(AWAY)
        doubts.append(monitor.doubts_the_connection)
    assert doubts == [False, False, True, False, False, True, False]


def unforeseen(error):
    """What becomes of an exception that no look should meet."""
    with pytest.raises(type(error)) as raised:
        raise error
    return errors.Unforeseen(raised.value, ["secret"])


def test_what_nobody_foresaw_is_a_failed_look_with_its_traceback_in_the_log(monitor, log):
    for _ in range(3):
        assert monitor.judge(unforeseen(ZeroDivisionError("the secret"))) is None
        assert monitor.again_in is None
    (line,) = log
    assert "Cannot be seen since" in line
    assert ": ZeroDivisionError, which this provider did not foresee" in line
    assert "Traceback (most recent call last):" in line
    assert line.rstrip().endswith("ZeroDivisionError: the ***")


def test_what_nobody_foresaw_ends_a_wait_only_after_every_look_for_a_while_has_met_it(monitor, clock):
    for poll in (*[unforeseen(ZeroDivisionError())] * 9, run("RUNNING")):
        assert monitor.judge(poll) is None
        clock[0] += 60
    began = clock[0]
    while True:
        event = monitor.judge(unforeseen(ZeroDivisionError("the secret")))
        if event is not None:
            break
        clock[0] += 60
    assert clock[0] - began == 600
    assert (event["outcome"], event["meaning"]) == ("refused", "AirflowException")
    assert "ZeroDivisionError" in event["message"]
    assert "secret" not in event["message"]


def test_three_looks_must_meet_what_nobody_foresaw_however_far_apart_they_are(monitor, clock):
    for _ in range(2):
        assert monitor.judge(unforeseen(ZeroDivisionError())) is None
        clock[0] += 1800
    assert monitor.judge(unforeseen(ZeroDivisionError()))["outcome"] == "refused"


# --- clocks that are set ---


@pytest.mark.parametrize("set_by", [-86_400, 86_400], ids=["back", "on"])
def test_a_clock_that_is_set_changes_no_span_and_no_deadline(log, monkeypatch, set_by):
    wall, passed = [1_000_000.0], [0.0]
    clock = SimpleNamespace(time=lambda: wall[0] + passed[0], monotonic=lambda: passed[0])
    for module in (clock_module, monitor_module):
        monkeypatch.setattr(module, "time", clock)
    monitor = RunMonitor(waiting(log, since=wall[0], deadline=wall[0] + 7200))
    wall[0] += set_by
    passed[0] += 600
    monitor.judge(run("RUNNING"), (30.0, 30.0))
    assert log[-1].endswith("waiting for 0:10:00 of 2:00:00, next poll in 0:00:30")
    monitor.judge(AWAY)
    passed[0] += 60
    monitor.judge(run("RUNNING"))
    assert "seen again after 0:01:00" in log[-1]
    passed[0] += 7200 - 661
    assert monitor.judge(run("RUNNING")) is None
    passed[0] += 1
    assert "did not finish within 2:00:00" in monitor.judge(run("RUNNING"))["message"]


def test_a_wait_that_began_on_a_machine_whose_clock_is_ahead_has_taken_no_time_yet(clock, log):
    monitor = RunMonitor(waiting(log, since=clock[0] + 600, deadline=clock[0] - 1))
    assert "did not finish within 0:00:00" in monitor.judge(run("RUNNING"))["message"]
    assert "-1 day" not in "".join(log)


@pytest.mark.parametrize(("wait", "pause"), [(None, 15.0), (0.0, 1.0), (42.0, 42.0)])
def test_after_a_429_the_next_look_comes_when_it_says(monitor, clock, wait, pause):
    monitor.judge(errors.RateLimited("GET /x", "slow down", wait))
    assert monitor.pause == pause
    monitor.judge(run("RUNNING"))
    assert monitor.pause == 1.0
    clock[0] += 2
    assert monitor.pause == 0.0


def test_what_went_wrong_is_not_kept_with_the_answer_that_it_is_about(monitor):
    error = errors.UnreadableAnswer("GET /x", "not JSON")
    gone = weakref.ref(error)
    monitor.judge(error)
    del error
    gc.collect()
    assert gone() is None
    assert "not JSON" in monitor.timeout_message()


@pytest.fixture
def set_interval(monkeypatch):
    """Set the option of airflow.cfg as the environment can."""

    def set_interval(value):
        monkeypatch.setenv("AIRFLOW__DATARECS__HEARTBEAT_INTERVAL", value)
        heartbeat_interval.cache_clear()

    yield set_interval
    heartbeat_interval.cache_clear()


def test_a_deployment_sets_how_often_the_log_says_that_nothing_has_changed(monitor, log, clock, set_interval):
    set_interval("120")
    for _ in range(11):
        monitor.judge(run("RUNNING"))
        clock[0] += 30
    assert len(log) == 3


@pytest.mark.parametrize("value", ["often", "-1", "nan", ""])
def test_an_interval_that_cannot_be_right_is_told_and_the_default_taken(set_interval, lines, value):
    set_interval(value)
    assert heartbeat_interval() == heartbeat_interval() == 900.0
    (line,) = lines()
    assert "[datarecs] heartbeat_interval in airflow.cfg, or AIRFLOW__DATARECS__HEARTBEAT_INTERVAL: " in line
    assert line.endswith("Going on with the default, 900 s")


@pytest.mark.parametrize("kind", [errors.ForeignAnswer, errors.Redirected])
@pytest.mark.parametrize("status", [301, 400, 401, 403, 404])
def test_what_is_not_said_by_datarecs_ends_no_wait(monitor, clock, kind, status):
    monitor.judge(run("RUNNING"))
    clock[0] += 3600
    assert monitor.judge(kind("GET /x", status, "a login page")) is None
