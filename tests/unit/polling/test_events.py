from __future__ import annotations

import pytest

from airflow_provider_datarecs.api import errors
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.runs import Run
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.compat import (
    CONFIG_EXCEPTIONS,
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
)
from airflow_provider_datarecs.polling import events

JOB = Target(TargetKind.JOB, "j", "w")
COUNTS = {"rows_processed": 5, "rows_matched": 3, "rows_unmatched": 2}


def finished(status, **more):
    result = {"status": status, **COUNTS, "started_at": None, "completed_at": None, "error": None, **more}
    return events.finished(JOB, Run("r", status, result))


def test_a_completed_run_gives_its_result():
    assert events.result_of(finished("COMPLETED"), JOB, "r")["rows_unmatched"] == 2


@pytest.mark.parametrize(
    "event",
    [
        None,
        "success",
        True,
        [],
        {},
        {"outcome": "finished"},
        {"outcome": "finished", "result": {"status": "COMPLETED"}},
        {"status": "success"},
        {**finished("COMPLETED"), "run_id": "another"},
        {**finished("COMPLETED"), "id": "another"},
        {**finished("COMPLETED"), "workspace_id": "another"},
        {**finished("COMPLETED"), "kind": "job group"},
        {**finished("COMPLETED"), "outcome": "agreed"},
        {**finished("COMPLETED"), "outcome": None},
        {**finished("COMPLETED"), "result": None},
        {**finished("COMPLETED"), "result": "COMPLETED"},
        {**finished("COMPLETED"), "result": {}},
        finished(["COMPLETED"]),
        finished("RUNNING"),
        finished("completed"),
        finished(""),
    ],
)
def test_nothing_else_is_taken_for_success(event):
    with pytest.raises(
        AirflowException, match=r"^The outcome is unknown.*run 'r' of job 'j' in workspace 'w'"
    ):
        events.result_of(event, JOB, "r")


def test_a_count_that_cannot_be_read_is_told_as_such():
    result = {"rows_matched": 3, "rows_unmatched": None, "unreadable": {"rows_unmatched": "'many'"}}
    assert events.rows_of(result) == "rows: 3 matched, unmatched unreadable ('many')"
    assert "unmatched unreadable ('many')" in events.describe({"status": "COMPLETED", **result}, "run")


def test_a_count_that_was_made_up_for_is_told_as_it_is():
    assert events.rows_of({"rows_matched": 3, "unreadable": {"rows_matched": "'many'"}}) == "rows: 3 matched"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("boom", "Error: boom"),
        ({"code": "E7", "message": "boom"}, "Error: E7: boom"),
        ({"detail": 1}, "Error: {'detail': 1}"),
        (None, "none given by DataRecs"),
    ],
)
@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_another_end_is_told_with_its_error_and_counts(status, error, told):
    result = events.result_of(finished(status, error=error), JOB, "r")
    assert result["status"] == status
    for part in (told, "5 processed, 3 matched, 2 unmatched"):
        assert part in events.why_not_completed(result)


def test_a_result_of_an_older_release_gets_the_ids_of_the_task():
    assert "run_id" not in finished("COMPLETED")["result"]
    result = events.result_of(finished("COMPLETED"), JOB, "r")
    assert (result["run_id"], result["job_id"], result["workspace_id"]) == ("r", "j", "w")
    assert events.result_of(finished("COMPLETED", run_id="another"), JOB, "r")["run_id"] == "r"


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        (
            {"rows_processed": 120_000, "rows_matched": 119_988, "rows_unmatched": 12},
            "COMPLETED, 12 of 120,000 rows unmatched: run 'r' of job 'j' in workspace 'w'; rows: 120,000 pro",
        ),
        ({"rows_unmatched": 1_234}, "COMPLETED, 1,234 rows unmatched: run 'r' of job 'j' in workspace 'w'; "),
        ({"rows_matched": 7}, "COMPLETED: run 'r' of job 'j' in workspace 'w'; rows: 7 matched"),
        ({}, "COMPLETED: run 'r' of job 'j' in workspace 'w'; no rows counted"),
        ({"rows_unmatched": "x", "rows_processed": []}, "COMPLETED, x of [] rows unmatched: run 'r'"),
    ],
)
def test_the_verdict_comes_first(counts, told):
    assert events.describe({"status": "COMPLETED", **counts}, JOB.name_run("r")).startswith(told)


def test_a_group_that_failed_names_the_jobs_that_did():
    runs = [
        {"job_id": "good", "status": "COMPLETED", "error": None},
        {"job_id": "bad", "status": "FAILED", "error": "disk full"},
    ]
    told = events.why_not_completed(events.result_of(finished("FAILED", runs=runs), JOB, "r"))
    assert "Job 'bad': FAILED, disk full" in told
    assert "good" not in told


@pytest.mark.parametrize("runs", [None, 7, "COMPLETED", {"status": "FAILED"}, ["COMPLETED", None, []]])
def test_job_runs_that_are_none_leave_a_failure_what_it_is(runs):
    result = events.result_of(finished("FAILED", error="disk full", runs=runs), JOB, "r")
    assert events.why_not_completed(result).startswith("Error: disk full. Rows:")


def test_a_timeout_is_a_sensor_timeout_with_its_message():
    with pytest.raises(AirflowSensorTimeout, match=r"^too long$"):
        events.result_of(events.timed_out(JOB, "r", "too long"), JOB, "r")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.Forbidden("GET /x", 403, "no"), AirflowFailException),
        (errors.NotFound("GET /x", 404, "Resource not found: run"), AirflowException),
        (errors.Rejected("GET /x", 422, "no"), AirflowException),
        *(
            (errors.Unauthorized("GET /x", 401, "Invalid or expired API key"), one)
            for one in CONFIG_EXCEPTIONS
        ),
        *((errors.InvalidSettings("Host is empty"), one) for one in CONFIG_EXCEPTIONS),
    ],
)
def test_a_refusal_is_raised_as_what_it_means(error, kind):
    event = events.refused(JOB, "r", error, "my_conn")
    with pytest.raises(kind, match=str(error).split(" (")[0]):
        events.result_of(event, JOB, "r")


def test_a_refusal_of_a_newer_release_is_still_a_failure():
    event = {
        **events.refused(JOB, "r", errors.Rejected("GET /x", 400, "no"), "c"),
        "meaning": "NewerException",
    }
    with pytest.raises(AirflowException, match="no"):
        events.result_of(event, JOB, "r")
