"""What an answer shows of each run, and which questions it leaves."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timezone

import pytest

from airflow_provider_datarecs.api import errors, parsing
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.parsing import Page
from airflow_provider_datarecs.api.runs import run_from
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.polling.jobs import TrackedJob, TrackedRun, Wait
from airflow_provider_datarecs.polling.looks import LISTS_AGAIN, MOST_PAGES, MOST_SHAPES, UNHELPFUL, Reader

JOB = Target(TargetKind.JOB, "j", "w")
GROUP = Target(TargetKind.JOB_GROUP, "g", "w")
WHOLE = {
    "job_id": "j",
    "status": "COMPLETED",
    "rows_processed": 5,
    "rows_matched": 3,
    "rows_unmatched": 2,
    "started_at": "2026-01-01T00:00:00Z",
    "completed_at": "2026-01-01T00:01:00Z",
    "error": None,
}
SCANT = {name: WHOLE[name] for name in ("job_id", "status", "started_at", "completed_at")}
GOES_ON = {"status": "RUNNING"}
RUNNING = {"job_id": "j", **GOES_ON}
NOW = 1_000.0

LIST_REFUSED = [
    errors.NotFound("GET /x", 404, "no"),
    errors.Forbidden("GET /x", 403, "no"),
    errors.Rejected("GET /x", 405, "no"),
    errors.Redirected("GET /x", 301, "no"),
    errors.ForeignAnswer("GET /x", 404, "no"),
    errors.UnreadableAnswer("GET /x", "no"),
]
PASSING = [
    errors.Unavailable("GET /x", 503, "no"),
    errors.RateLimited("GET /x", "no", 7.0),
    errors.MaybeArrived("GET /x", "no"),
    errors.NeverArrived("GET /x", "no"),
]


def name_of(error):
    return type(error).__name__


def shown(run_id, fields, target=JOB):
    """A run as the answer to a question about it alone shows it."""
    return run_from({"id": run_id, **fields}, target)


def page(items, next_url=None):
    return Page([{"id": run_id, **fields} for run_id, fields in items.items()], next_url=next_url)


def page_of(*items):
    return parsing.page("GET /x", list(items))


def lists_help(reader, kind=TargetKind.JOB, later=0.0):
    return reader.lists_help(kind, NOW + later)


class Waits:
    """The waits for some runs of a job, which ask by a schedule of the test's."""

    def __init__(self, reader, *run_ids, target=JOB):
        self.reader = reader
        self.job = TrackedJob(target)
        self.add(*run_ids)

    def add(self, *run_ids):
        for run_id in run_ids:
            run = self.job.runs[run_id] = TrackedRun(run_id, NOW, NOW)
            run.waits.append(Wait(None, lambda polls: 10.0, None, NOW))

    def end(self, *run_ids):
        for run_id in run_ids:
            del self.job.runs[run_id]

    @property
    def _questions(self):
        return self.job.make_questions(NOW, lists_help=lists_help(self.reader))

    @property
    def questions(self):
        """What is to be asked: the runs and the page of each list, and the run of each single question."""
        return [
            ([run.id for run in one.runs], one.runs[0].page) if one.as_list else one.runs[0].id
            for one in self._questions
        ]

    def answer(self, answer, run_id=None):
        """Answer the question about a run, default the only question; give the looks by run."""
        (question,) = (
            one for one in self._questions if run_id is None or run_id in [run.id for run in one.runs]
        )
        question.begin()
        question.end(NOW)
        return {run.id: poll for run, poll in self.reader.read(question, answer, NOW)}


@pytest.fixture
def reader(caplog):
    caplog.set_level(logging.INFO, "airflow_provider_datarecs")
    return Reader("c")


@pytest.fixture
def waits(reader):
    return Waits(reader, "a", "b")


# --- a list that helps ---


def test_runs_that_go_on_and_whole_ones_that_are_over_are_taken_from_the_list(waits):
    assert waits.questions == [(["a", "b"], None)]
    polls = waits.answer(page({"a": RUNNING, "other": WHOLE, "b": WHOLE}))
    assert {run_id: poll.status for run_id, poll in polls.items()} == {"a": "RUNNING", "b": "COMPLETED"}
    assert polls["b"].result["rows_unmatched"] == 2
    assert waits.questions == [(["a", "b"], None)]


def test_one_run_alone_is_asked_for_by_itself_once_its_list_is_known(reader):
    waits = Waits(reader, "a")
    assert waits.questions == [(["a"], None)]
    waits.answer(page({"a": RUNNING}))
    assert waits.questions == ["a"]
    run = shown("a", WHOLE)
    assert waits.answer(run) == {"a": run}


def test_a_list_without_the_fields_of_a_result_is_not_taken_for_the_end(waits):
    polls = waits.answer(page({"a": SCANT, "b": RUNNING}))
    assert list(polls) == ["b"]
    assert waits.questions == ["a", "b"]  # now b is alone on its list


def test_when_a_run_that_the_list_shows_as_over_ended_is_on_the_clock(waits, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: datetime(2026, 1, 1, 0, 1, 30, tzinfo=timezone.utc).timestamp())
    waits.answer(page({"a": SCANT, "b": {**SCANT, "completed_at": None}}))
    assert [waits.job.runs[run_id].ended for run_id in "ab"] == [NOW - 30.0, NOW]


def test_items_are_taken_once_a_single_answer_has_shown_no_more_than_they_do(waits):
    waits.add("c", "d")
    assert waits.answer(page({"a": SCANT, "b": RUNNING, "c": RUNNING, "d": RUNNING})).keys() == set("bcd")
    assert waits.answer(shown("a", SCANT), "a").keys() == {"a"}
    waits.end("a")
    assert waits.answer(page({"b": SCANT, "c": {**SCANT, "note": "more"}, "d": RUNNING})).keys() == set("bd")


def test_items_are_not_taken_when_a_single_answer_shows_more(waits):
    waits.add("c", "d")
    waits.answer(page({"a": SCANT, "b": RUNNING, "c": RUNNING, "d": RUNNING}))
    assert waits.answer(shown("a", WHOLE), "a").keys() == {"a"}
    waits.end("a")
    assert waits.answer(page({"b": SCANT, "c": RUNNING, "d": RUNNING})).keys() == set("cd")


def test_what_is_learnt_of_items_counts_for_the_other_jobs_on_the_connection(reader, waits):
    waits.answer(page({"a": SCANT, "b": RUNNING}))
    waits.answer(shown("a", SCANT), "a")
    other = Waits(reader, "x", "y", target=Target(TargetKind.JOB, "other", "w"))
    scant = {**SCANT, "job_id": "other"}
    assert other.answer(page({"x": scant, "y": scant})).keys() == set("xy")


def test_a_group_item_is_taken_only_with_its_job_runs(reader):
    waits = Waits(reader, "a", "b", target=GROUP)
    fields = {**WHOLE, "job_group_id": "g"}
    polls = waits.answer(page({"a": fields, "b": {**fields, "runs": [WHOLE]}}))
    assert list(polls) == ["b"]
    assert waits.questions[0] == "a"


def test_a_list_teaches_how_long_runs_take(waits):
    before = waits.job.history.spans(0.0, 0.0)
    waits.answer(page({"older": WHOLE, "a": RUNNING, "b": RUNNING}))
    after = waits.job.history.spans(0.0, 0.0)
    assert after != before
    waits.answer(page({"older": WHOLE, "a": RUNNING, "b": RUNNING}))
    assert waits.job.history.spans(0.0, 0.0) == after


@pytest.mark.parametrize("names", [("id", "run_id"), ("run_id", "id"), ("runId", "id")])
def test_a_run_that_has_two_ids_is_found_by_either(waits, names):
    one, other = ({**GOES_ON, names[0]: run_id, names[1]: f"other_{run_id}"} for run_id in "ab")
    polls = waits.answer(page_of(one, other))
    assert {run_id: poll.id for run_id, poll in polls.items()} == {"a": "a", "b": "b"}


def test_a_run_is_not_hidden_by_another_ones_other_id(waits):
    polls = waits.answer(
        page_of({"id": "a", "run_id": "x", **WHOLE}, {"run_id": "a", **GOES_ON}, {"id": "b"})
    )
    assert polls["a"].status == "RUNNING"


# --- a list that leaves runs out ---


@pytest.mark.parametrize(
    "items",
    [
        {},
        {"other": RUNNING},
        {"a": {**WHOLE, "job_id": "another"}},
        {"a": {"job_id": "j"}},
        {"a": {"job_id": "j", "status": None}},
        {"a": {"job_id": "j", "status": ""}},
    ],
    ids=["empty", "without it", "of another job", "without status", "status null", "status empty"],
)
def test_a_run_that_the_list_does_not_tell_about_is_asked_for_by_itself(waits, items):
    waits.add("c")
    assert waits.answer(page({**items, "b": RUNNING, "c": RUNNING})).keys() == set("bc")
    assert waits.questions == ["a", (["b", "c"], None)]


def test_runs_that_are_missing_are_looked_for_on_the_next_page(waits):
    waits.add("c")
    assert waits.answer(page({"c": RUNNING}, next_url="http://x/2")).keys() == {"c"}
    assert waits.questions == [(["a", "b"], "http://x/2"), "c"]
    assert waits.answer(page({"b": RUNNING}, next_url="http://x/3"), "a").keys() == {"b"}
    assert waits.questions == ["a", "b", "c"]  # one on each page: a list would be no cheaper


def test_runs_that_are_on_no_page_are_asked_for_by_themselves(waits):
    waits.answer(page({}, next_url="http://x/2"))
    assert waits.answer(page({})) == {}
    assert waits.questions == ["a", "b"]


def test_a_long_list_is_not_read_to_its_end(waits):
    for number in range(MOST_PAGES):
        assert waits.answer(page({}, next_url=f"http://x/{number}")) == {}
        assert waits.questions == [(["a", "b"], f"http://x/{number}")]
    assert waits.answer(page({}, next_url="http://x/more")) == {}
    assert waits.questions == ["a", "b"]
    assert lists_help(waits.reader)


# --- a list that cannot be had ---


@pytest.mark.parametrize("error", LIST_REFUSED, ids=name_of)
def test_where_a_list_is_refused_the_runs_are_asked_for_by_themselves(waits, error):
    assert waits.answer(error) == {}
    assert waits.questions == ["a", "b"]
    assert lists_help(waits.reader)


def refused_list(reader, target):
    """A list that is refused, while a run of it can be had, and refused again: no passing trouble."""
    waits = Waits(reader, "p", "q", target=target)
    waits.answer(LIST_REFUSED[0])
    waits.answer(shown("p", GOES_ON, target), "p")
    waits.answer(LIST_REFUSED[0])
    return waits


def job(number, kind=TargetKind.JOB):
    return Target(kind, f"j{number}", "w")


def test_a_list_that_is_refused_again_is_left_alone_for_a_while_and_that_is_told(reader, waits, caplog):
    waits.answer(LIST_REFUSED[0])
    assert waits.answer(shown("a", RUNNING), "a")
    assert waits.questions == [(["a", "b"], None)]  # it may have been passing trouble
    assert caplog.messages == []
    waits.answer(LIST_REFUSED[0])
    assert waits.questions == ["a", "b"]
    (line,) = caplog.messages
    for part in ("Connection c", "of job 'j' in workspace 'w'", "one by one"):
        assert part in line
    assert len(waits.job.make_questions(NOW + LISTS_AGAIN, lists_help=True)) == 1


def test_one_jobs_refused_list_costs_no_other_job_its_own(reader):
    for _ in range(2 * UNHELPFUL):
        refused_list(reader, JOB)
    assert lists_help(reader)
    assert Waits(reader, "a", "b", target=job(2)).questions == [(["a", "b"], None)]


def test_where_several_jobs_lists_are_refused_no_more_are_asked_for_until_later(reader, caplog):
    for number in range(UNHELPFUL):
        assert lists_help(reader)
        refused_list(reader, job(number))
    assert not lists_help(reader)
    assert sum("do not help here" in line for line in caplog.messages) == 1
    assert Waits(reader, "a", "b").questions == ["a", "b"]
    assert lists_help(reader, TargetKind.JOB_GROUP)
    assert not lists_help(reader, later=LISTS_AGAIN - 1)
    assert lists_help(reader, later=LISTS_AGAIN)


def test_a_list_that_helps_in_between_keeps_them(reader):
    for number in range(3 * UNHELPFUL):
        refused_list(reader, job(number))
        Waits(reader, "a", "b").answer(page({"a": RUNNING, "b": RUNNING}))
    assert lists_help(reader)


@pytest.mark.parametrize("error", LIST_REFUSED, ids=name_of)
def test_where_a_run_alone_is_refused_as_well_the_list_is_tried_again(waits, error):
    waits.answer(error)
    assert waits.answer(error, "a") == {"a": error}
    assert waits.questions == [(["a", "b"], None)]
    assert lists_help(waits.reader)


@pytest.mark.parametrize("error", PASSING, ids=name_of)
def test_a_single_question_that_fails_in_passing_settles_nothing(waits, error, caplog):
    waits.answer(LIST_REFUSED[0])
    assert waits.answer(error, "a") == {"a": error}
    assert waits.questions == ["a", "b"]
    assert lists_help(waits.reader)
    assert caplog.messages == []


@pytest.mark.parametrize("error", PASSING, ids=name_of)
def test_a_list_that_fails_in_passing_is_a_failed_look_at_each_run(waits, error):
    assert waits.answer(error) == {"a": error, "b": error}
    assert waits.questions == [(["a", "b"], None)]


def test_trouble_that_passes_between_a_list_and_a_run_does_not_cost_the_lists(reader, waits):
    for _ in range(3):
        waits.answer(LIST_REFUSED[4])
        waits.answer(shown("a", RUNNING), "a")
        assert len(waits.answer(page({"a": RUNNING, "b": RUNNING}))) == 2
    assert lists_help(reader)


def test_a_further_page_that_is_refused_has_its_runs_asked_for_alone(reader, waits):
    waits.answer(page({"z": RUNNING}, next_url="http://x/2"))
    waits.answer(LIST_REFUSED[0])
    assert waits.questions == ["a", "b"]
    assert not waits.job.ask_singly


# --- lists that tell nothing ---


def useless_list(reader, number):
    waits = Waits(reader, "p", "q", target=job(number))
    waits.answer(page({"other": RUNNING}))
    waits.answer(shown("p", GOES_ON, job(number)), "p")


def test_lists_are_not_given_up_over_runs_that_cannot_be_seen_alone_either(reader):
    for number in range(2 * UNHELPFUL):
        waits = Waits(reader, "p", "q", target=job(number))
        waits.answer(page({"other": RUNNING}))
        waits.answer(errors.NotFound("GET /x", 404, "no"), "p")
    assert lists_help(reader)


def test_lists_are_given_up_after_some_jobs_in_a_row_whose_tell_nothing(reader, caplog):
    for number in range(UNHELPFUL):
        assert lists_help(reader)
        assert caplog.messages == []
        useless_list(reader, number)
    assert not lists_help(reader)
    (line,) = caplog.messages
    assert f"those of {UNHELPFUL} jobs in a row do not show the runs, or cannot be read" in line
    assert Waits(reader, "a", "b").questions == ["a", "b"]


@pytest.mark.parametrize("fields", [RUNNING, WHOLE, SCANT], ids=["running", "whole", "scant"])
def test_a_list_that_tells_about_one_run_is_useful(reader, fields):
    for _ in range(3):
        for number in range(UNHELPFUL - 1):
            useless_list(reader, number)
        Waits(reader, "a", "b").answer(page({"a": fields}))
    assert lists_help(reader)


def test_a_page_that_names_another_one_is_not_useless(reader):
    for _ in range(2 * UNHELPFUL):
        Waits(reader, "a", "b").answer(page({}, next_url="http://x/2"))
    assert lists_help(reader)


def test_lists_that_were_on_their_way_when_lists_were_given_up_are_not_told_of(reader, caplog):
    waits = [Waits(reader, "a", "b", target=job(number)) for number in range(2 * UNHELPFUL)]
    on_their_way = [(one, *one._questions) for one in waits]
    for one, question in on_their_way:
        reader.read(question, page({}), NOW)
        one.answer(shown("a", GOES_ON, one.job.target), "a")
    assert len(caplog.messages) == 1


def test_a_last_look_is_not_put_off_to_find_out_about_another_run(reader):
    waits = Waits(reader, "a", "b", "c")
    waits.answer(page({"a": SCANT, "b": SCANT, "c": SCANT}))
    assert waits.questions == ["a", (["b", "c"], None)]  # the first one for all
    waits.job.runs["b"].urgent = True
    waits.answer(page({"b": SCANT, "c": SCANT}), "b")
    assert waits.questions == ["a", "b", "c"]


# --- what is remembered ---


def test_a_service_that_shows_ever_new_fields_does_not_fill_the_memory(reader):
    for number in range(3 * MOST_SHAPES):
        shape = {**SCANT, f"field_{number}": 1}
        asked_for = Waits(reader, "a", "b", "c")
        asked_for.answer(page({"a": shape, "b": RUNNING, "c": RUNNING}))
        asked_for.answer(shown("a", shape if number % 2 else WHOLE), "a")
        Waits(reader, "x", "y").answer(page({"x": {**shape, "other": 1}, "y": RUNNING}))  # never asked for
    for known in (reader._whole_shapes, reader._partial_shapes, reader._examples):
        assert 0 < len(known) <= MOST_SHAPES


def test_a_run_that_was_asked_for_to_find_out_about_others_is_not_held_on_to(reader):
    waits = Waits(reader, "a", "b")
    waits.answer(page({"a": SCANT, "b": RUNNING}))
    assert [run.id for run in reader._examples.values()] == ["a"]
    waits.answer(shown("a", WHOLE), "a")
    assert reader._examples == {}


def test_what_lists_have_shown_is_forgotten_with_the_service_that_showed_it(waits):
    waits.add("c")
    waits.answer(page({"c": SCANT}, next_url="http://x/2"))
    assert waits.questions == ["c", (["a", "b"], "http://x/2")]
    waits.job.forget_lists()
    assert waits.questions == [(["a", "b", "c"], None)]
    assert [waits.job.runs[run_id].ended for run_id in "abc"] == [None] * 3
