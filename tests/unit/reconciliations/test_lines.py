"""What the page is told of results: lines, their points, and what is said of each."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.results import NOW, result

from airflow_provider_datarecs.reconciliations.lines import lines_of
from airflow_provider_datarecs.reconciliations.reading import Found

LIMIT = {"max_unmatched_rows": 20, "max_unmatched_ratio": None}
AGREED = {"agreed": True, **LIMIT}
DISAGREED = {"agreed": False, **LIMIT}


def found(value, ago=0, dag_id="dag", run="run", task_id="wait", map_index=-1, url=None):
    return Found(dag_id, run, task_id, map_index, NOW - timedelta(days=ago), value, url)


def history(*results):
    """Give results of one job, a day each, the newest first."""
    return [found(result(run_id=str(ago), **more), ago, run=str(ago)) for ago, more in enumerate(results)]


def only(results):
    (line,) = lines_of(results)
    return line


@pytest.mark.parametrize(
    ("more", "state"),
    [
        (AGREED, "agreed"),
        (DISAGREED, "disagreed"),
        ({**DISAGREED, "rows_unmatched": None}, "disagreed"),
        ({**AGREED, "agreed": None}, "missing"),
        ({**AGREED, "agreed": "true"}, "missing"),
        ({**AGREED, "agreed": 1}, "missing"),
        ({**AGREED, "status": "RUNNING"}, "missing"),
        ({**AGREED, "status": ""}, "missing"),
        ({**AGREED, "status": ["COMPLETED"]}, "missing"),
        ({**AGREED, "status": "FAILED"}, "failed"),
        ({"status": "CANCELLED"}, "cancelled"),
        ({}, "unlimited"),
        ({"rows_unmatched": 0}, "unlimited"),
        ({"rows_unmatched": None}, "missing"),
        ({"rows_unmatched": -1}, "missing"),
        ({"rows_unmatched": True}, "missing"),
    ],
)
def test_only_a_task_says_that_the_data_agree(more, state):
    line = only([found(result(**more))])
    assert (line["state"], line["points"][0]["state"]) == (state, state)


def test_a_job_of_a_dag_has_one_line_whichever_tasks_tell_of_it():
    results = [
        found(result(run_id="2", **AGREED), task_id="balances.result", run="second", ago=0),
        found(result(run_id="2"), task_id="balances.wait", run="second", ago=0.01),
        found(result(run_id="1", status="FAILED"), task_id="balances.wait", run="first", ago=1),
    ]
    line = only(results)
    assert [(point["run_id"], point["state"], point["task_id"]) for point in line["points"]] == [
        ("2", "agreed", "balances.result"),
        ("1", "failed", "balances.wait"),
    ]
    assert (line["group"], line["total"]) == ("balances", 2)


def test_of_a_run_that_is_told_of_twice_what_was_held_to_a_limit_counts():
    judged, waited = result(run_id="2", **AGREED), result(run_id="2")
    line = only([found(waited, task_id="wait"), found(judged, task_id="result", ago=0.01)])
    assert [(point["state"], point["task_id"]) for point in line["points"]] == [("agreed", "result")]


@pytest.mark.parametrize(
    "other",
    [
        found(result(), dag_id="other"),
        found(result(), task_id="group.wait"),
        found(result(job_id="job_2")),
        found(result(workspace_id="ws_2")),
        found(result(job_id=None, job_group_id="job_1")),
        found(result(job_id=None)),
    ],
)
def test_lines_are_told_apart(other):
    lines = lines_of([found(result(), run="another"), other])
    assert len({line["key"] for line in lines}) == 2


def test_the_line_with_the_newest_result_comes_first():
    lines = lines_of(
        [found(result(job_id="new")), found(result(job_id="old"), 1), found(result(job_id="new"), 2)]
    )
    assert [line["id"] for line in lines] == ["new", "old"]


@pytest.mark.parametrize(
    ("results", "days", "is_since_ever"),
    [
        ([AGREED], 0, True),
        ([AGREED, AGREED, DISAGREED, AGREED], 1, False),
        ([DISAGREED, {"status": "FAILED"}, DISAGREED], 0, False),
        ([DISAGREED] * 40, 39, True),
    ],
)
def test_a_line_says_since_when_it_is_so(results, days, is_since_ever):
    line = only(history(*results))
    assert line["since"] == (NOW - timedelta(days=days)).isoformat()
    assert (line["is_since_ever"], line["total"], len(line["points"])) == (
        is_since_ever, len(results), min(30, len(results)),
    )  # fmt: skip


def test_a_line_has_the_newest_name_that_a_result_gives():
    line = only(history({}, {"job_name": "balances", "workspace_name": "Production"}, {"job_name": "before"}))
    assert (line["name"], line["workspace"]) == ("balances", "Production")


NAMED = {"workspace_id": "ws_1", "job_id": "job_1", "job_name": "balances", "workspace_name": "Production"}


@pytest.mark.parametrize(
    ("more", "jobs", "names"),
    [
        ({}, [NAMED, {**NAMED, "job_name": "before"}], ("balances", "Production")),
        ({"job_name": "given"}, [NAMED], ("given", "Production")),
        ({"workspace_name": "Given"}, [NAMED], ("balances", "Given")),
        ({}, [{**NAMED, "workspace_id": "ws_2"}, {**NAMED, "job_id": "job_2"}], ("", "ws_1")),
        ({"job_id": None, "job_group_id": "job_1"}, [NAMED], ("", "ws_1")),
        ({}, ["text", None, {}, {**NAMED, "job_name": ["a"], "workspace_name": None}], ("", "ws_1")),
    ],
)
def test_a_job_without_a_name_has_that_by_which_it_was_started(more, jobs, names):
    (line,) = lines_of([found(result(**more))], jobs)
    assert (line["name"], line["workspace"]) == names


@pytest.mark.parametrize(
    ("results", "days"),
    [([AGREED, DISAGREED], 0), ([DISAGREED, {"status": "FAILED"}, AGREED, AGREED], 2), ([DISAGREED], None)],
)
def test_a_line_says_when_the_data_agreed_last(results, days):
    agreed_at = None if days is None else (NOW - timedelta(days=days)).isoformat()
    assert only(history(*results))["agreed_at"] == agreed_at


def test_a_point_has_what_was_found_and_by_which_limit():
    (point,) = only([found(result(**DISAGREED), url="https://console.example/1")])["points"]
    counts = (point["processed"], point["matched"], point["unmatched"], point["limits"])
    assert counts == (1000, 990, 10, {"rows": 20, "ratio": None})
    assert point["url"] == "https://console.example/1"
    assert "limits" not in only([found(result())])["points"][0]


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", " https://x", 3, None, "https://" + "x" * 3000]
)
def test_a_link_leads_to_a_page_or_is_none(url):
    assert only([found(result(), url=url)])["points"][0]["url"] == ""


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (None, ""),
        ("no source", "no source"),
        ({"code": "E1", "message": "no source"}, "E1: no source"),
        ({"message": {"deep": "er"}}, ""),
        (["no", "source"], ""),
        ("x" * 5000, "x" * 300),
    ],
)
def test_an_error_is_shown_as_text(error, shown):
    assert only([found(result(status="FAILED", error=error))])["points"][0]["error"] == shown
