"""Which requests are planned for a job's runs, and what their answers show of each run."""

from __future__ import annotations

import time
from datetime import datetime, timezone

import pytest

from airflow_provider_datarecs.api import errors, parsing
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.parsing import Page
from airflow_provider_datarecs.api.runs import run_from
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.polling.config import PollingConfig
from airflow_provider_datarecs.polling.list_state import ServiceLists
from airflow_provider_datarecs.polling.lookup import RunLookup, TrackedRun
from airflow_provider_datarecs.polling.waits import Wait

LISTS_AGAIN, MOST_PAGES, UNHELPFUL = (
    PollingConfig.lists_again_after,
    PollingConfig.max_pages,
    PollingConfig.useless_lists,
)

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


def lists_help(service, kind=TargetKind.JOB, later=0.0):
    return service.help(kind, NOW + later)


class Waits:
    """The waits for some runs of a job, which ask by a schedule of the test's."""

    def __init__(self, service, *run_ids, target=JOB):
        self.service = service
        self.lookup = RunLookup(target, service)
        self.add(*run_ids)

    def add(self, *run_ids):
        for run_id in run_ids:
            run = self.lookup.runs[run_id] = TrackedRun(run_id, NOW, NOW)
            run.waits.append(Wait(None, lambda polls: 10.0, None, NOW))
            self.lookup.note_change(run)

    def end(self, *run_ids):
        for run_id in run_ids:
            self.lookup.note_change(self.lookup.runs.pop(run_id))

    def planned(self, now=NOW):
        self.lookup.plan(now)
        return sorted(self.lookup.requests, key=lambda request: request.runs[0].id)

    @property
    def requests(self):
        """What is to be asked: the runs and the page of each list, and the run of each other request."""
        return [
            ([run.id for run in one.runs], one.page.url) if one.page else one.runs[0].id
            for one in self.planned()
        ]

    def answer(self, answer, run_id=None):
        """Answer the request about a run, default the only request; give what it shows by run."""
        (request,) = (
            one for one in self.planned() if run_id is None or run_id in [run.id for run in one.runs]
        )
        self.lookup.begin(request)
        self.lookup.end(request, NOW)
        return {run.id: seen for run, seen in self.lookup.read(request, answer, NOW)}


@pytest.fixture
def service():
    return ServiceLists("c")


@pytest.fixture
def waits(service):
    return Waits(service, "a", "b")


# --- a list that helps ---


def test_runs_that_go_on_and_whole_ones_that_are_over_are_taken_from_the_list(waits):
    assert waits.requests == [(["a", "b"], None)]
    polls = waits.answer(page({"a": RUNNING, "other": WHOLE, "b": WHOLE}))
    assert {run_id: poll.status for run_id, poll in polls.items()} == {"a": "RUNNING", "b": "COMPLETED"}
    assert polls["b"].result["rows_unmatched"] == 2
    assert waits.requests == [(["a", "b"], None)]


@pytest.mark.parametrize(
    "fields",
    [
        {name: WHOLE[name] for name in WHOLE if name not in ("error", "started_at")},
        {**SCANT, "status": "FAILED", "error": None},
        {**SCANT, "status": "CANCELLED", "error": "by a user"},
    ],
    ids=["counts", "failed", "cancelled"],
)
def test_an_end_with_what_a_task_needs_of_it_is_taken_from_the_list(waits, fields):
    assert waits.answer(page({"a": fields, "b": RUNNING})).keys() == set("ab")


@pytest.mark.parametrize("fields", [SCANT, {**SCANT, "status": "FAILED"}, {**WHOLE, "rows_unmatched": None}])
def test_any_other_end_is_asked_for_by_itself_once(waits, fields):
    assert waits.answer(page({"a": fields, "b": RUNNING})).keys() == {"b"}
    alone = shown("a", fields)
    assert waits.answer(alone, "a") == {"a": alone}


def test_one_run_alone_is_asked_for_by_itself_once_its_list_is_known(service):
    waits = Waits(service, "a")
    assert waits.requests == [(["a"], None)]
    waits.answer(page({"a": RUNNING}))
    assert waits.requests == ["a"]
    run = shown("a", WHOLE)
    assert waits.answer(run) == {"a": run}


def test_a_list_without_the_fields_of_a_result_is_not_taken_for_the_end(waits):
    polls = waits.answer(page({"a": SCANT, "b": RUNNING}))
    assert list(polls) == ["b"]
    assert waits.requests == ["a", "b"]  # now b is alone on its list


def test_when_a_run_that_the_list_shows_as_over_ended_is_on_the_clock(waits, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: datetime(2026, 1, 1, 0, 1, 30, tzinfo=timezone.utc).timestamp())
    waits.answer(page({"a": SCANT, "b": {**SCANT, "completed_at": None}}))
    assert [waits.lookup.runs[run_id].ended for run_id in "ab"] == [NOW - 30.0, NOW]


def test_a_group_item_is_taken_only_with_its_job_runs(service):
    waits = Waits(service, "a", "b", target=GROUP)
    fields = {**WHOLE, "job_group_id": "g"}
    polls = waits.answer(page({"a": fields, "b": {**fields, "runs": [WHOLE]}}))
    assert list(polls) == ["b"]
    assert waits.requests[0] == "a"


def test_a_list_teaches_how_long_runs_take(waits):
    waits.answer(page({"a": RUNNING, "b": RUNNING}))
    before = waits.lookup.durations.spans(0.0, 0.0)
    waits.answer(page({"older": WHOLE, "a": RUNNING, "b": RUNNING}))
    after = waits.lookup.durations.spans(0.0, 0.0)
    assert after != before
    waits.answer(page({"older": WHOLE, "a": RUNNING, "b": RUNNING}))
    assert waits.lookup.durations.spans(0.0, 0.0) == after


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
    assert waits.requests == ["a", (["b", "c"], None)]


def test_runs_that_are_missing_are_looked_for_on_the_next_page(waits):
    waits.add("c")
    assert waits.answer(page({"c": RUNNING}, next_url="http://x/2")).keys() == {"c"}
    assert waits.requests == [(["a", "b"], "http://x/2"), "c"]
    assert waits.answer(page({"b": RUNNING}, next_url="http://x/3"), "a").keys() == {"b"}
    assert waits.requests == ["a", "b", "c"]  # one on each page: a list would be no cheaper


def test_runs_that_are_on_no_page_are_asked_for_by_themselves(waits):
    waits.answer(page({}, next_url="http://x/2"))
    assert waits.answer(page({})) == {}
    assert waits.requests == ["a", "b"]


def test_a_long_list_is_not_read_to_its_end(waits):
    for number in range(MOST_PAGES):
        assert waits.answer(page({}, next_url=f"http://x/{number}")) == {}
        assert waits.requests == [(["a", "b"], f"http://x/{number}")]
    assert waits.answer(page({}, next_url="http://x/more")) == {}
    assert waits.requests == ["a", "b"]
    assert lists_help(waits.service)


# --- a list that cannot be had ---


@pytest.mark.parametrize("error", LIST_REFUSED, ids=name_of)
def test_where_a_list_is_refused_the_runs_are_asked_for_by_themselves(waits, error):
    assert waits.answer(error) == {}
    assert waits.requests == ["a", "b"]
    assert lists_help(waits.service)


def refused_list(service, target):
    """A list that is refused, while a run of it can be had, and refused again: no passing trouble."""
    waits = Waits(service, "p", "q", target=target)
    waits.answer(LIST_REFUSED[0])
    waits.answer(shown("p", GOES_ON, target), "p")
    waits.answer(LIST_REFUSED[0])
    return waits


def job(number, kind=TargetKind.JOB):
    return Target(kind, f"j{number}", "w")


def test_a_list_that_is_refused_again_is_left_alone_for_a_while_and_that_is_told(service, waits, lines):
    waits.answer(LIST_REFUSED[0])
    assert waits.answer(shown("a", RUNNING), "a")
    assert waits.requests == [(["a", "b"], None)]  # it may have been passing trouble
    assert lines() == []
    waits.answer(LIST_REFUSED[0])
    assert waits.requests == ["a", "b"]
    (line,) = lines()
    for part in ("Connection c", "of job 'j' in workspace 'w'", "one by one"):
        assert part in line
    assert len(waits.planned(NOW + LISTS_AGAIN - 1)) == 2
    assert len(waits.planned(NOW + LISTS_AGAIN)) == 1


def test_one_jobs_refused_list_costs_no_other_job_its_own(service):
    for _ in range(2 * UNHELPFUL):
        refused_list(service, JOB)
    assert lists_help(service)
    assert Waits(service, "a", "b", target=job(2)).requests == [(["a", "b"], None)]


def test_where_several_jobs_lists_are_refused_no_more_are_asked_for_until_later(service, lines):
    for number in range(UNHELPFUL):
        assert lists_help(service)
        refused_list(service, job(number))
    assert not lists_help(service)
    assert sum("do not help here" in line for line in lines()) == 1
    assert Waits(service, "a", "b").requests == ["a", "b"]
    assert lists_help(service, TargetKind.JOB_GROUP)
    assert not lists_help(service, later=LISTS_AGAIN - 1)
    assert lists_help(service, later=LISTS_AGAIN)


def test_a_list_that_helps_in_between_keeps_them(service):
    for number in range(3 * UNHELPFUL):
        refused_list(service, job(number))
        Waits(service, "a", "b").answer(page({"a": RUNNING, "b": RUNNING}))
    assert lists_help(service)


@pytest.mark.parametrize("error", LIST_REFUSED, ids=name_of)
def test_where_a_run_alone_is_refused_as_well_the_list_is_tried_again(waits, error):
    waits.answer(error)
    assert waits.answer(error, "a") == {"a": error}
    assert waits.requests == [(["a", "b"], None)]
    assert lists_help(waits.service)


@pytest.mark.parametrize("error", PASSING, ids=name_of)
def test_a_single_request_that_fails_in_passing_settles_nothing(waits, error, lines):
    waits.answer(LIST_REFUSED[0])
    assert waits.answer(error, "a") == {"a": error}
    assert waits.requests == ["a", "b"]
    assert lists_help(waits.service)
    assert lines() == []


@pytest.mark.parametrize("error", PASSING, ids=name_of)
def test_a_list_that_fails_in_passing_is_a_failed_poll_of_each_run(waits, error):
    assert waits.answer(error) == {"a": error, "b": error}
    assert waits.requests == [(["a", "b"], None)]


def test_trouble_that_passes_between_a_list_and_a_run_does_not_cost_the_lists(service, waits):
    for _ in range(3):
        waits.answer(LIST_REFUSED[4])
        waits.answer(shown("a", RUNNING), "a")
        assert len(waits.answer(page({"a": RUNNING, "b": RUNNING}))) == 2
    assert lists_help(service)


def test_a_further_page_that_is_refused_has_its_runs_asked_for_alone(service, waits):
    waits.answer(page({"z": RUNNING}, next_url="http://x/2"))
    waits.answer(LIST_REFUSED[0])
    assert waits.requests == ["a", "b"]
    waits.add("c", "d")
    assert waits.requests == ["a", "b", (["c", "d"], None)]


# --- lists that tell nothing ---


def useless_list(service, number):
    waits = Waits(service, "p", "q", target=job(number))
    waits.answer(page({"other": RUNNING}))
    waits.answer(shown("p", GOES_ON, job(number)), "p")


def test_lists_are_not_given_up_over_runs_that_cannot_be_seen_alone_either(service):
    for number in range(2 * UNHELPFUL):
        waits = Waits(service, "p", "q", target=job(number))
        waits.answer(page({"other": RUNNING}))
        waits.answer(errors.NotFound("GET /x", 404, "no"), "p")
    assert lists_help(service)


def test_lists_are_given_up_after_some_jobs_in_a_row_whose_tell_nothing(service, lines):
    for number in range(UNHELPFUL):
        assert lists_help(service)
        assert lines() == []
        useless_list(service, number)
    assert not lists_help(service)
    (line,) = lines()
    assert f"those of {UNHELPFUL} jobs in a row do not show the runs, or cannot be read" in line
    assert Waits(service, "a", "b").requests == ["a", "b"]


@pytest.mark.parametrize("fields", [RUNNING, WHOLE, SCANT], ids=["running", "whole", "scant"])
def test_a_list_that_tells_about_one_run_is_useful(service, fields):
    for _ in range(3):
        for number in range(UNHELPFUL - 1):
            useless_list(service, number)
        Waits(service, "a", "b").answer(page({"a": fields}))
    assert lists_help(service)


def test_a_page_that_names_another_one_is_not_useless(service):
    for _ in range(2 * UNHELPFUL):
        Waits(service, "a", "b").answer(page({}, next_url="http://x/2"))
    assert lists_help(service)


def test_lists_that_were_on_their_way_when_lists_were_given_up_are_not_told_of(service, lines):
    waits = [Waits(service, "a", "b", target=job(number)) for number in range(2 * UNHELPFUL)]
    on_their_way = [(one, *one.planned()) for one in waits]
    for one, request in on_their_way:
        one.lookup.read(request, page({}), NOW)
        one.answer(shown("a", GOES_ON, one.lookup.target), "a")
    assert len(lines()) == 1


# --- what is remembered ---


def test_what_lists_have_shown_is_forgotten_with_the_service_that_showed_it(waits):
    waits.add("c")
    waits.answer(page({"c": SCANT}, next_url="http://x/2"))
    assert waits.requests == [(["a", "b"], "http://x/2"), "c"]
    waits.lookup.forget_list()
    assert waits.requests == [(["a", "b", "c"], None)]
    assert [waits.lookup.runs[run_id].ended for run_id in "abc"] == [None] * 3


# --- what is known before the list has been read ---


def test_the_last_run_says_which_is_likely_to_be_over(waits):
    waits.lookup.learn({"run_id": "before", "ended": 0.0, "seconds": 600.0})
    fresh, due = waits.lookup.runs.values()
    fresh.started, due.started = NOW - 10.0, NOW - 900.0
    assert waits.lookup.curve([fresh]).loss(NOW + 1.0) < 1.0
    assert waits.lookup.curve([due]).loss(NOW + 1.0) > 100.0


def test_the_last_run_counts_once_where_the_list_has_it_too(waits):
    waits.lookup.learn({"run_id": "before", "ended": 0.0, "seconds": 600.0})
    known = waits.lookup.durations.spans(0.0, 0.0)
    times = {"started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:10:00Z"}
    ended = {"status": "COMPLETED", **times}
    waits.answer(page({"before": ended, "a": {"status": "RUNNING"}, "b": {"status": "RUNNING"}}))
    assert waits.lookup.durations.spans(0.0, 0.0) == known
