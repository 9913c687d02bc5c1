"""What a summary of many results says, as it is read in a log or a chat."""

from __future__ import annotations

import pytest

from airflow_provider_datarecs.summary import summarize

JOBS = [{"id": "j1", "name": "balances"}, {"id": "j2", "name": "ledger"}, {"id": "j3", "name": "fees"}]


def result(job_id, status="COMPLETED", counts=(120_000, 119_988, 12), **more):
    names = ("rows_processed", "rows_matched", "rows_unmatched")
    return {
        "run_id": f"run of {job_id}",
        "job_id": job_id,
        "status": status,
        **dict(zip(names, counts)),
        **more,
    }


def test_each_job_has_a_line_in_the_order_of_the_jobs_and_the_statuses_are_counted():
    results = [result("j2", "FAILED", (None, None, None)), None, result("j1", agreed=True)]
    assert summarize(results, JOBS).splitlines() == [
        "job       status     processed  matched  unmatched  agreed",
        "--------  ---------  ---------  -------  ---------  ------",
        "balances  COMPLETED    120,000  119,988         12  yes",
        "ledger    FAILED             -        -          -  -",
        "fees      no result          -        -          -  -",
        "",
        "3 in all: 1 COMPLETED, 1 FAILED, 1 no result",
    ]


@pytest.mark.parametrize(
    ("more", "agreed"),
    [({}, "-"), ({"agreed": None}, "-"), ({"agreed": False}, "no"), ({"agreed": True}, "yes")],
)
def test_it_says_whether_the_data_agree_only_where_that_is_known(more, agreed):
    assert summarize([result("j1", **more)]).splitlines()[2].split()[-1] == agreed


def test_without_jobs_the_results_tell_whose_they_are():
    named = [result("j1", job_name="balances"), result("j2")]
    group = {"run_id": "g", "job_group_id": "grp", "status": ""}
    lines = summarize([*named, group, {"status": "COMPLETED"}]).splitlines()[2:6]
    assert [line.split()[:2] for line in lines] == [
        ["balances", "COMPLETED"],
        ["j2", "COMPLETED"],
        ["grp", "unknown"],
        ["?", "COMPLETED"],
    ]


def test_of_several_results_of_one_run_the_last_counts():
    lines = summarize([result("j1"), result("j1", agreed=True)], JOBS[:1]).splitlines()
    assert lines[2].endswith("yes")
    assert lines[-1] == "1 in all: 1 COMPLETED"


def test_results_of_jobs_that_are_not_listed_come_last():
    assert summarize([result("other"), result("j1")], JOBS[:1]).splitlines()[3].startswith("other")


@pytest.mark.parametrize("results", [None, [], [None]])
def test_nothing_is_told_as_such(results):
    assert summarize(results).splitlines()[-1] == "none"
