"""Whatever an answer holds, it is read as what was asked for, or refused as unreadable."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_datarecs.api import contract, parsing
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import AnsweredWithError, ForeignAnswer, UnreadableAnswer
from airflow_provider_datarecs.api.runs import read_run, run_from
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.api.times import epoch_seconds

JOB = Target(TargetKind.JOB, "j1", "w1")
GROUP = Target(TargetKind.JOB_GROUP, "g1", "w1")
TARGETS = st.sampled_from([JOB, GROUP])
DAY = timedelta(hours=23, minutes=59)
IDS = st.sampled_from(["r1", "r2", "", "j1", "j2", "g1", "g2", 1, 0, 2**70, True, None, [], {}])
TIMES = st.one_of(
    st.datetimes(timezones=st.timedeltas(-DAY, DAY).map(timezone)).map(datetime.isoformat),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-01-01", "now", "Z", ""]),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63) - 1, 10**400, float("nan"), float("inf"), 1e308]),
    st.floats(),
    st.text(alphabet=st.characters(), max_size=8),
    st.sampled_from(["\ud83d", "\udc00x", "\x00", "COMPLETED", "completed ", "r1"]),
)
KEYS = st.one_of(
    st.sampled_from([
        "id", "run_id", "runId", "Run_Id", "job_id", "jobId", "job_group_id", "workspace_id", "status",
        "items", "data", "run", "runs", "job_runs", "jobRuns", "next", "next_cursor", "nextCursor",
        "rows_processed", "rowsProcessed", "rows_compared", "rows_matched", "rows_unmatched", "started_at",
        "completedAt", "error", "message", "errors", "error_code",
    ]),
    st.text(max_size=3),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(SCALARS, IDS, TIMES),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=10,
)
STATUSES = st.sampled_from(["COMPLETED", "failed", "Canceled", "ERRORED", "RUNNING", "?", "", None, 7, []])
RUNS = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS,
        "run_id": IDS,
        "runId": IDS,
        "job_id": IDS,
        "jobGroupId": IDS,
        "job_group_id": IDS,
        "status": STATUSES,
        "rows_processed": VALUES,
        "rowsCompared": VALUES,
        "rows_unmatched": VALUES,
        "started_at": st.one_of(TIMES, VALUES),
        "completedAt": st.one_of(TIMES, VALUES),
        "error": VALUES,
        "runs": VALUES,
        "job_runs": st.lists(st.dictionaries(KEYS, st.one_of(TIMES, STATUSES, VALUES)), max_size=3),
    },
)
ANY = st.one_of(VALUES, RUNS, st.lists(RUNS, max_size=3), st.fixed_dictionaries({"items": st.lists(RUNS)}))
BODIES = st.one_of(
    ANY.map(lambda value: json.dumps(value).encode()),
    ANY.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.binary(max_size=30),
    st.text(alphabet='{}[]",:0123456789.eE+-tfn\\u d8', max_size=30).map(str.encode),
)
NESTS = st.sampled_from([
    (b"[", b"]"), (b'{"id":"r1","runs":[', b"]}"), (b'{"id":"r1","error":', b"}"), (b'{"items":[', b"]}"),
    (b'["\\ud800",', b"]"), (b'{"run":', b"}"),
])  # fmt: skip


def answer_of(body):
    return parsing.read("GET /x", "it", 200, {}, body)


@given(BODIES, TARGETS)
def test_a_run_is_the_one_that_was_asked_for_or_unreadable(check_storable, body, target):
    try:
        run = read_run("GET /x", answer_of(body), target, "r1")
    except UnreadableAnswer as error:
        str(error).encode()
        return
    assert run.id == "r1"
    check_storable(run.result)
    assert set(run.result) - {"runs", "unreadable", *contract.NAMES, *target.ids_of("r1")} == {
        "status", "rows_processed", "rows_matched", "rows_unmatched", "started_at", "completed_at", "error",
    }  # fmt: skip
    assert parsing.id_text(run.item.get(target.kind.id_field)) in (None, target.id)


@given(RUNS.map(lambda run: {**run, "id": "r1"}), TARGETS)
def test_a_run_of_another_job_or_group_is_none_of_it(run, target):
    item = parsing.snake_keys(run)
    owner = item.get(target.kind.id_field)
    read = run_from(item, target, "r1")
    if isinstance(owner, str) and owner not in ("", target.id):
        assert read is None
    elif read is not None:
        assert read.id == "r1"
        epoch_seconds(read.result["started_at"])
        assert read.is_whole in (True, False)
        assert read.is_finished == (read.status in ("COMPLETED", "FAILED", "CANCELLED"))


@given(BODIES)
def test_a_page_is_a_list_of_objects_or_unreadable(check_storable, body):
    try:
        page = parsing.page("GET /x", answer_of(body))
    except UnreadableAnswer as error:
        str(error).encode()
        return
    assert all(isinstance(item, dict) for item in page.items)
    check_storable(page.items)
    for pointer in (page.cursor, page.next_url):
        assert pointer is None or pointer.encode()
    for item in page.items:
        for target in (JOB, GROUP):
            run = run_from(item, target)
            assert run is None or run.id


@given(BODIES)
def test_a_new_runs_id_is_text_or_the_answer_unreadable(body):
    try:
        run_id = parsing.new_run_id("POST /x", answer_of(body))
    except UnreadableAnswer as error:
        str(error).encode()
        return
    assert run_id.encode()


@given(BODIES, st.integers(100, 599).filter(lambda status: not 200 <= status < 300))
def test_the_body_of_an_error_can_be_told_whatever_it_is(body, status):
    error = parsing.error_for("GET /x", "it", status, {}, body)
    assert isinstance(error, (AnsweredWithError, ForeignAnswer))
    assert error.status == status
    str(error).encode()


@given(NESTS, st.integers(1, 3000), st.sampled_from([b"", b"1", b'"x"', b'{"id":"r1"}']), TARGETS)
@example((b'{"id":"r1","runs":[', b"]}"), 900, b"", GROUP)
def test_however_deep_an_answer_is_nested(nest, depth, core, target):
    opening, closing = nest
    body = opening * depth + core + closing * depth
    for read in (
        lambda answer: read_run("GET /x", answer, target, "r1").is_whole,
        lambda answer: parsing.page("GET /x", answer),
        lambda answer: parsing.new_run_id("POST /x", answer),
    ):
        with suppress(UnreadableAnswer):
            read(answer_of(body))
    parsing.error_for("GET /x", "it", 500, {}, body)


@pytest.mark.parametrize("depth", range(100, 1100, 20))
def test_what_is_nearly_too_deep_to_be_read_is_read_or_unreadable(check_storable, depth):
    body = b'{"id":"r1","job_id":"j1","status":"COMPLETED","error":' + b"[" * depth + b"]" * depth + b"}"
    try:
        run = read_run("GET /x", answer_of(body), JOB, "r1")
    except UnreadableAnswer:
        return
    check_storable(run.result)
