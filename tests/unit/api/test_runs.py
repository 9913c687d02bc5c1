from __future__ import annotations

import json

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import UnreadableAnswer
from airflow_provider_datarecs.api.parsing import new_run_id
from airflow_provider_datarecs.api.runs import DEEPEST_ERROR, LONGEST_ERROR, read_run, run_from
from airflow_provider_datarecs.api.targets import Target

JOB = Target(TargetKind.JOB, "j1", "w1")
GROUP = Target(TargetKind.JOB_GROUP, "g1", "w1")


def job_run(**fields):
    return read_run("GET /x", {"id": "r1", **fields}, JOB, "r1")


def group_run(*runs, **fields):
    return read_run("GET /x", {"id": "r1", "runs": list(runs), **fields}, GROUP, "r1")


@pytest.mark.parametrize(
    ("answer", "status", "finished"),
    [
        ("COMPLETED", "COMPLETED", True),
        ("completed", "COMPLETED", True),
        (" Completed ", "COMPLETED", True),
        ("FAILED", "FAILED", True),
        ("ERRORED", "FAILED", True),
        ("errored", "FAILED", True),
        ("CANCELLED", "CANCELLED", True),
        ("CANCELED", "CANCELLED", True),
        ("canceled", "CANCELLED", True),
        ("QUEUED", "QUEUED", False),
        ("PENDING", "PENDING", False),
        ("running", "RUNNING", False),
        ("SUCCESS", "SUCCESS", False),
        ("PAUSED_FOR_REVIEW", "PAUSED_FOR_REVIEW", False),
        ("", "", False),
        (None, "", False),
        (7, "", False),
        (["COMPLETED"], "", False),
    ],
)
def test_status(answer, status, finished):
    run = job_run(status=answer)
    assert (run.status, run.result["status"], run.is_finished) == (status, status, finished)


@pytest.mark.parametrize("spelling", ["snake", "camel"])
def test_all_that_users_see_of_a_job_run(spelling):
    answer = {
        "snake": {"rows_processed": 10, "rows_matched": 8, "rows_unmatched": 2, "started_at": "s"},
        "camel": {"rowsProcessed": 10, "rowsMatched": 8, "rowsUnmatched": 2, "startedAt": "s"},
    }[spelling]
    end = {"snake": "completed_at", "camel": "completedAt"}[spelling]
    assert job_run(status="COMPLETED", **answer, **{end: "e"}, error=None, run_label="x").result == {
        **JOB.ids_of("r1"),
        "status": "COMPLETED",
        "rows_processed": 10,
        "rows_matched": 8,
        "rows_unmatched": 2,
        "started_at": "s",
        "completed_at": "e",
        "error": None,
    }


def test_what_an_answer_lacks_is_none():
    result = job_run().result
    assert {value for name, value in result.items() if name not in JOB.ids_of("r1")} == {"", None}


@pytest.mark.parametrize("name", ["job_name", "job_group_name", "workspace_name"])
def test_a_name_that_an_answer_gives_is_passed_on(name):
    assert job_run(**{name: "n" * 1000}).result[name] == "n" * 250
    assert name not in job_run(**{name: 7}).result


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (10, 10),
        ("10", 10),
        (" 10 ", 10),
        (10.0, 10),
        (1e3, 1000),
        ("10.0", 10),
        ("10.", 10),
        ("007", 7),
        (0, 0),
        (0.0, 0),
        ("0", 0),
        (2**63 - 1, 2**63 - 1),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_a_whole_number_is_read_in_every_form(value, count):
    result = job_run(rows_matched=value).result
    assert result["rows_matched"] == count
    assert type(result["rows_matched"]) is int
    assert "unreadable" not in result


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.5, "1.5"),
        ("1.5", "'1.5'"),
        (1e300, "1e+300"),
        ("1e3", "'1e3'"),
        ("many", "'many'"),
        ("", "''"),
        ("1,000", "'1,000'"),
        ("9223372036854775808", "'9223372036854775808'"),
        ("\u0667", "'\u0667'"),
        (-1, "-1"),
        ("-1", "'-1'"),
        (True, "True"),
        ([10], "a list"),
        ({"count": 10}, "a dict"),
        ("x" * 100, "'" + "x" * 59),
    ],
)
def test_a_count_that_is_no_whole_number_is_none_and_told(value, shown):
    result = job_run(rows_matched=value, rows_unmatched=None).result
    assert result["rows_matched"] is None
    assert result["unreadable"] == {"rows_matched": shown}


@pytest.mark.parametrize(
    ("own", "compared", "count", "unreadable"),
    [
        ("many", 10, 10, None),
        (None, "10.0", 10, None),
        (None, "many", None, {"rows_processed": "'many'"}),
        ("many", None, None, {"rows_processed": "'many'"}),
    ],
)
def test_rows_compared_stands_in_for_unreadable_rows_processed(own, compared, count, unreadable):
    result = job_run(rows_processed=own, rows_compared=compared).result
    assert (result["rows_processed"], result.get("unreadable")) == (count, unreadable)


def test_what_is_unreadable_of_a_job_run_is_told_with_it():
    result = group_run({"rows_matched": "many"}, {"rows_matched": "1"}).result
    assert [run.get("unreadable") for run in result["runs"]] == [{"rows_matched": "'many'"}, None]
    assert (result["rows_matched"], "unreadable" in result) == (None, False)


def test_a_sum_that_airflow_could_not_pass_on_is_none():
    assert group_run({"rows_matched": 2**63 - 1}, {"rows_matched": 1}).result["rows_matched"] is None


def test_a_count_of_zero_is_no_missing_count():
    assert job_run(rows_processed=0, rows_compared=10).result["rows_processed"] == 0


@pytest.mark.parametrize("key", ["rows_compared", "rowsCompared"])
@pytest.mark.parametrize("own", [{}, {"rows_processed": None}])
def test_rows_compared_stands_in_for_missing_rows_processed(key, own):
    assert job_run(**{key: 10}, **own).result["rows_processed"] == 10


@pytest.mark.parametrize("error", ["broken", {"code": "E1", "message": "broken", "rowsSeen": 2}, None])
def test_an_error_comes_as_it_came(error):
    assert job_run(status="FAILED", error=error).result["error"] == error


def nested(levels):
    error = "deep"
    for _ in range(levels):
        error = {"cause": error}
    return error


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("x" * LONGEST_ERROR, "x" * LONGEST_ERROR),
        ("x" * (LONGEST_ERROR + 1), "x" * LONGEST_ERROR + "…"),
        (nested(DEEPEST_ERROR - 1), nested(DEEPEST_ERROR - 1)),
        (nested(DEEPEST_ERROR), json.dumps(nested(DEEPEST_ERROR)) + "…"),
        (nested(100_000), "(nested too deeply to be shown)"),
    ],
    ids=["long", "too long", "deep", "too deep", "far too deep"],
)
def test_an_error_that_no_xcom_should_hold_is_cut(error, shown):
    run = run_from({"id": "r", "error": error}, JOB)
    assert run.result["error"] == shown


@pytest.mark.parametrize("moment", [["2026"], {"at": 1}])
def test_a_time_that_cannot_be_one_is_none(moment):
    assert run_from({"id": "r", "started_at": moment}, JOB).result["started_at"] is None


def test_a_run_with_differences_is_completed():
    assert job_run(status="COMPLETED", rows_unmatched=5).status == "COMPLETED"


@pytest.mark.parametrize(
    "answer",
    [
        {"id": "r1"},
        {"run_id": "r1"},
        {"runId": "r1"},
        {"id": "r1", "job_id": "j1"},
        {"id": "r1", "jobId": "j1"},
        {"id": "r1", "job_id": None},
    ],
)
def test_an_answer_about_the_run_that_was_asked_about(answer):
    assert read_run("GET /x", answer, JOB, "r1").id == "r1"


@pytest.mark.parametrize("run_id", ["r1", "17"])
@pytest.mark.parametrize("answer", [{"id": 17, "run_id": "r1"}, {"id": "r1", "runId": 17}])
def test_a_run_that_has_two_ids_goes_by_either(run_id, answer):
    assert read_run("GET /x", answer, JOB, run_id).id == run_id


def test_a_run_that_nobody_asked_for_goes_by_the_id_that_a_start_would_give():
    assert run_from({"id": "x", "run_id": "r1"}, JOB).id == "r1"
    assert new_run_id("POST /x", {"id": "x", "run_id": "r1"}) == "r1"


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        (JOB, {"id": "r2", "run_id": "r3"}),
        (JOB, {"id": "r2", "job_id": "j1"}),
        (JOB, {"id": "r1", "job_id": "j2"}),
        (JOB, {"id": "r1", "jobId": "j2"}),
        (JOB, {"id": "R1"}),
        (JOB, {"status": "COMPLETED"}),
        (JOB, {"id": None, "status": "COMPLETED"}),
        (GROUP, {"id": "r1", "job_group_id": "g2"}),
        (GROUP, {"id": "r2"}),
    ],
)
def test_an_answer_about_another_run_job_or_group_is_unreadable(target, answer):
    with pytest.raises(UnreadableAnswer, match="the answer is about run"):
        read_run("GET /x", answer, target, "r1")


@pytest.mark.parametrize("answer", [None, [], [{"id": "r1"}], "r1", 7, True])
def test_an_answer_that_is_no_object_is_unreadable(answer):
    with pytest.raises(UnreadableAnswer, match="an object was expected"):
        read_run("GET /x", answer, JOB, "r1")


@pytest.mark.parametrize(
    ("statuses", "derived"),
    [
        (["COMPLETED", "COMPLETED"], "COMPLETED"),
        (["completed", "COMPLETED"], "COMPLETED"),
        (["COMPLETED", "FAILED"], "FAILED"),
        (["COMPLETED", "errored"], "FAILED"),
        (["CANCELLED", "FAILED"], "FAILED"),
        (["RUNNING", "FAILED"], "FAILED"),
        (["COMPLETED", "CANCELED"], "CANCELLED"),
        (["RUNNING", "CANCELLED"], "CANCELLED"),
        (["COMPLETED", "RUNNING"], "RUNNING"),
        (["COMPLETED", "QUEUED"], "RUNNING"),
        (["COMPLETED", "WHATEVER"], "RUNNING"),
        (["COMPLETED", None], "RUNNING"),
        ([None], "RUNNING"),
        ([], ""),
    ],
)
def test_status_of_a_group_run_without_one_of_its_own(statuses, derived):
    run = group_run(*({"id": str(number), "status": status} for number, status in enumerate(statuses)))
    assert (run.status, run.is_finished) == (derived, derived not in ("", "RUNNING"))


@pytest.mark.parametrize("runs", [None, {}, "none", ["x"], [None]])
def test_a_group_run_whose_job_runs_are_no_list_of_objects_is_never_completed(runs):
    run = read_run("GET /x", {"id": "r1", "runs": runs}, GROUP, "r1")
    assert (run.status, run.result["runs"]) == ("", [])


def test_a_group_runs_own_status_counts():
    assert group_run({"status": "FAILED"}, status="running").status == "RUNNING"


@pytest.mark.parametrize("key", ["runs", "job_runs", "jobRuns"])
def test_where_a_group_run_has_its_job_runs(key):
    inner = {"id": "a", "jobId": "j1", "status": "completed", "rowsMatched": 1, "error": {"code": "E"}}
    assert read_run("GET /x", {"id": "r1", key: [inner]}, GROUP, "r1").result["runs"] == [
        {
            "job_id": "j1",
            "run_id": "a",
            "status": "COMPLETED",
            "rows_processed": None,
            "rows_matched": 1,
            "rows_unmatched": None,
            "started_at": None,
            "completed_at": None,
            "error": {"code": "E"},
        }
    ]


def test_counts_of_a_group_run_are_sums():
    result = group_run(
        {"rows_processed": 10, "rows_matched": 8, "rows_unmatched": 2},
        {"rows_compared": 5, "rows_matched": 5, "rows_unmatched": 0},
    ).result
    assert (result["rows_processed"], result["rows_matched"], result["rows_unmatched"]) == (15, 13, 2)


def test_a_sum_with_a_part_missing_is_missing():
    result = group_run({"rows_matched": 8, "rows_unmatched": 2}, {"rows_matched": 5}).result
    assert (result["rows_processed"], result["rows_matched"], result["rows_unmatched"]) == (None, 13, None)


def test_a_group_runs_own_counts_count():
    assert group_run({"rows_matched": 8}, rows_matched=0).result["rows_matched"] == 0


@pytest.mark.parametrize(
    ("times", "earliest", "latest"),
    [
        (["2026-01-01T10:00:00Z", "2026-01-01T09:00:00Z"], "2026-01-01T09:00:00Z", "2026-01-01T10:00:00Z"),
        (
            ["2026-01-01T10:00:00+02:00", "2026-01-01T09:00:00Z"],
            "2026-01-01T10:00:00+02:00",
            "2026-01-01T09:00:00Z",
        ),
        (["2026-01-01T10:00:00", "2026-01-01T10:00:01Z"], "2026-01-01T10:00:00", "2026-01-01T10:00:01Z"),
        (["2026-01-01T10:00:00.500Z", None], "2026-01-01T10:00:00.500Z", "2026-01-01T10:00:00.500Z"),
        (["today", "2026-01-01T10:00:00Z"], "2026-01-01T10:00:00Z", "today"),
        ([None, None], None, None),
        ([], None, None),
    ],
)
def test_a_group_run_starts_with_its_first_and_ends_with_its_last(times, earliest, latest):
    result = group_run(*({"started_at": time, "completed_at": time} for time in times)).result
    assert (result["started_at"], result["completed_at"]) == (earliest, latest)


def test_a_group_runs_own_times_and_error_count():
    result = group_run(
        {"started_at": "2026-01-01T10:00:00Z", "completed_at": "2026-01-01T10:00:00Z", "error": "inner"},
        started_at="s",
        completed_at="e",
        error="own",
    ).result
    assert (result["started_at"], result["completed_at"], result["error"]) == ("s", "e", "own")


def test_the_error_of_a_group_run_is_its_first():
    assert group_run({"error": None}, {"error": {"code": "E1"}}, {"error": "two"}).result["error"] == {
        "code": "E1"
    }


def test_runs_compare_by_id_and_status():
    assert job_run(status="RUNNING", rows_matched=1) == job_run(status="running")
    assert job_run(status="RUNNING") != job_run(status="QUEUED")


WHOLE = {
    "status": "COMPLETED",
    "rows_processed": 5,
    "rows_matched": 3,
    "rows_unmatched": 2,
    "started_at": None,
    "completed_at": None,
    "error": None,
}
WHOLE_IN_CAMEL_CASE = {
    "status": "COMPLETED",
    "rowsProcessed": 5,
    "rowsMatched": 3,
    "rowsUnmatched": 2,
    "startedAt": None,
    "completedAt": None,
    "error": None,
}


@pytest.mark.parametrize("fields", [WHOLE, WHOLE_IN_CAMEL_CASE], ids=["snake", "camel"])
def test_a_completed_run_is_whole_with_its_three_counts(fields):
    assert job_run(**fields).is_whole
    assert job_run(**fields, more=1).is_whole
    for name in fields:
        rest = {other: value for other, value in fields.items() if other != name}
        assert job_run(**rest).is_whole == (not name.startswith("rows") and name != "status")


@pytest.mark.parametrize("count", [None, "many", -1])
def test_a_completed_run_is_not_whole_without_a_readable_count(count):
    assert not job_run(**{**WHOLE, "rows_matched": count}).is_whole


def test_a_completed_run_is_whole_with_rows_compared():
    assert job_run(**{**WHOLE, "rows_processed": None}, rowsCompared=5).is_whole


@pytest.mark.parametrize("status", ["FAILED", "ERRORED", "CANCELLED", "canceled"])
@pytest.mark.parametrize("error", [None, "", "broken", {"code": "E1"}])
def test_a_failed_or_cancelled_run_is_whole_with_an_error_whatever_it_is(status, error):
    assert job_run(status=status, error=error).is_whole
    assert not job_run(status=status).is_whole


@pytest.mark.parametrize("status", ["RUNNING", "PAUSED_FOR_REVIEW", ""])
def test_a_run_that_goes_on_is_not_whole(status):
    assert not job_run(**{**WHOLE, "status": status}).is_whole


@pytest.mark.parametrize("key", ["runs", "job_runs", "jobRuns"])
@pytest.mark.parametrize("fields", [WHOLE, WHOLE_IN_CAMEL_CASE], ids=["snake", "camel"])
def test_a_group_run_is_whole_if_it_and_all_its_job_runs_are(fields, key):
    def is_whole(*runs, **more):
        return read_run("GET /x", {"id": "r1", **more, key: list(runs)}, GROUP, "r1").is_whole

    failed, running = {"status": "FAILED", "error": "broken"}, {"status": "RUNNING"}
    assert is_whole(fields)
    assert is_whole(fields, fields)
    assert is_whole(fields, status="COMPLETED")
    assert is_whole(fields, failed, status="FAILED", error=None)
    assert is_whole(fields, status="CANCELLED", error=None)
    assert not is_whole(fields, failed)
    assert not is_whole(fields, {"status": "FAILED"}, status="FAILED", error=None)
    assert not is_whole(fields, running, status="FAILED", error=None)
    assert not is_whole(fields, {"status": "COMPLETED"}, **WHOLE)
    assert not is_whole()
    assert not is_whole(**WHOLE)


def test_a_group_run_without_job_runs_is_not_whole():
    assert not read_run("GET /x", {"id": "r1", **WHOLE}, GROUP, "r1").is_whole


def test_job_runs_that_have_job_runs_without_end_are_read_all_the_same():
    job_run = {}
    for _ in range(20_000):  # more than some Pythons' JSON reads, but far less than others'
        job_run = {"runs": [job_run]}
    assert not group_run(job_run).is_whole
