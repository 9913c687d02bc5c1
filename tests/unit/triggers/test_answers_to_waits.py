"""What a wait makes of what it is answered, as tables: the real trigger and poller, and no socket."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from itertools import product
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from support.answers import HOST, Answer, Wire, own_error
from support.clock import HastyClock

from airflow_provider_datarecs.triggers.base import RunTrigger
from airflow_provider_datarecs.triggers.job_group_run import JobGroupRunTrigger
from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

SECONDS, EVERY = 300, 60  # how long a wait lasts, and how often it looks
COUNTS = {"rows_processed": 10, "rows_matched": 8, "rows_unmatched": 2}
TIMES = {"started_at": "2026-01-01T00:00:10Z", "completed_at": "2026-01-01T00:00:40Z"}
WHOLE = {**COUNTS, **TIMES, "error": None}  # all that a result has, beside its status


@dataclass(frozen=True)
class TargetKind:
    """What there is to wait for: its trigger, its path, and how its runs name it."""

    trigger: Any
    path: str
    owner: dict[str, str]

    @property
    def noun(self):
        return self.trigger.kind.noun

    @property
    def list(self):
        return f"GET {self.path}/runs"

    @property
    def run(self):
        return f"GET {self.path}/runs/r1"


KINDS = {
    "job": TargetKind(JobRunTrigger, "/jobs/job_ledger", {"job_id": "job_ledger"}),
    "job group": TargetKind(JobGroupRunTrigger, "/job-groups/grp_nightly", {"job_group_id": "grp_nightly"}),
}
EACH_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
JOB = KINDS["job"]


def shown(status, kind=JOB, **fields):
    """Show the run as an answer to any question: about itself, and as the only one on its list."""
    run = {"id": "r1", **kind.owner, "status": status, **fields}
    return Answer(body={**run, "items": [run]})


def whole(status, kind=JOB, **fields):
    return shown(status, kind, **{**WHOLE, "runs": [{"id": "r2", "status": status, **WHOLE}], **fields})


GOES_ON, DONE = whole("RUNNING"), whole("COMPLETED")


@pytest.fixture(autouse=True)
def nothing_stays_open():
    """Nothing is opened."""


@pytest.fixture(scope="module")
def network():
    """One for all tests, since it takes time to put it in its place."""
    with Wire() as wire:
        yield wire


@pytest.fixture
def wire(network, connect):
    network.clear()
    connect(HOST)
    return network


@pytest.fixture
def event_of(monkeypatch, polling_config):
    """Give the event that a wait ends with."""
    from airflow_provider_datarecs.polling import poller

    monkeypatch.setattr(RunTrigger, "_wait_for", poller.wait_for)
    polling_config(report_every=10 * SECONDS)
    clock = HastyClock(monkeypatch)

    async def events_of(trigger):
        return [event.payload async for event in trigger.run()]

    def event_of(kind=JOB, seconds=SECONDS, **more):
        began = time.time()
        trigger = kind.trigger(
            **kind.owner,
            workspace_id="ws_production",
            run_id="r1",
            conn_id="datarecs_default",
            **{"poke_interval": EVERY, "since": began, "deadline": began + seconds, **more},
        )
        (event,) = clock.run(asyncio.wait_for(events_of(trigger), 10 * SECONDS))
        json.dumps(event, allow_nan=False)
        return event

    return event_of


def about(event):
    """Say what an event is about, and how the wait ended."""
    return event["kind"], event["workspace_id"], event["run_id"], event["outcome"]


# --- a run that is seen ---

ENDS = {
    "COMPLETED": "COMPLETED",
    "completed": "COMPLETED",
    " Completed ": "COMPLETED",
    "FAILED": "FAILED",
    "Errored": "FAILED",
    "ERRORED": "FAILED",
    "CANCELLED": "CANCELLED",
    "canceled": "CANCELLED",
}
# What the list answers, and which requests are sent until the end of the run is known.
PLACES = {
    "the list shows it": (whole, ["list"]),
    "the list shows it in part": (shown, ["list", "run"]),
    "the list is empty": (lambda *_: Answer(body=[]), ["list", "run"]),
    "the list shows another": (lambda *_: Answer(body=[{"id": "r2", "status": "FAILED"}]), ["list", "run"]),
    "the list shows no status": (lambda _, kind: shown(None, kind), ["list", "run"]),
    "the list is not there": (lambda *_: own_error(404), ["list", "run"]),
    "the list is forbidden": (lambda *_: own_error(403), ["list", "run"]),
    "the list is refused": (lambda *_: own_error(422), ["list", "run"]),
    "the list is elsewhere": (lambda *_: Answer(302, "", {"Location": "/login"}), ["list", "run"]),
    "the list is HTML": (lambda *_: Answer(200, "<html>"), ["list", "run"]),
    "the list is nothing": (lambda *_: Answer(204), ["list", "run"]),
    "the list is no list": (lambda *_: Answer(200, {"id": "r1"}), ["list", "run"]),
}


# In each status at the first places, and the others with one.
PAIRS = [*product(list(PLACES)[:3], ENDS), *product(list(PLACES)[3:], ["COMPLETED"])]


@EACH_KIND
@pytest.mark.parametrize(("place", "status"), PAIRS)
def test_a_run_that_is_over_ends_the_wait(wire, event_of, kind, status, place):
    list_of, requests = PLACES[place]
    wire.answer(kind.list, list_of(status, kind))
    wire.answer(kind.run, whole(status, kind))
    event = event_of(kind)
    assert about(event) == (kind.noun, "ws_production", "r1", "finished")
    assert event["result"]["status"] == ENDS[status]
    assert {name: event["result"][name] for name in WHOLE} == WHOLE
    assert [seen.request for seen in wire.seen] == [getattr(kind, name) for name in requests]


LAST_SEEN = {
    "QUEUED": "QUEUED",
    "running": "RUNNING",
    "PAUSED": "PAUSED",
    "COMPLETED_WITH_WARNINGS": "COMPLETED_WITH_WARNINGS",
    "done": "DONE",
}


@EACH_KIND
@pytest.mark.parametrize("status", LAST_SEEN)
def test_a_run_in_any_other_status_is_waited_for(wire, event_of, kind, status):
    wire.answer("GET *", whole(status, kind))
    event = event_of(kind)
    assert about(event) == (kind.noun, "ws_production", "r1", "timed_out")
    assert event["seen"] is True
    assert event["message"].startswith(f"{LAST_SEEN[status]}, and did not finish within ")
    assert wire.seen[-1].at - wire.seen[0].at == pytest.approx(SECONDS, abs=10)


@EACH_KIND
@pytest.mark.parametrize("status", LAST_SEEN)
def test_a_run_in_any_other_status_may_end_later(wire, event_of, kind, status):
    wire.answer("GET *", *[whole(status, kind)] * 3, whole("COMPLETED", kind))
    assert event_of(kind)["result"]["status"] == "COMPLETED"
    assert wire.seen[-1].at - wire.seen[0].at == pytest.approx(3 * EVERY, abs=10)


def jobs_of_group(*statuses):
    return [{"id": str(number), "status": status} for number, status in enumerate(statuses)]


DERIVED = [
    (jobs_of_group("COMPLETED", "COMPLETED"), "COMPLETED"),
    (jobs_of_group("COMPLETED", "FAILED"), "FAILED"),
    (jobs_of_group("CANCELLED", "FAILED"), "FAILED"),
    (jobs_of_group("COMPLETED", "CANCELLED"), "CANCELLED"),
    (jobs_of_group("RUNNING", "FAILED"), "FAILED"),
    (jobs_of_group("COMPLETED", "RUNNING"), None),
    (jobs_of_group("COMPLETED", None), None),
    ([], None),
]


@pytest.mark.parametrize("key", ["runs", "job_runs", "jobRuns"])
@pytest.mark.parametrize(("runs", "end"), DERIVED)
def test_a_group_without_a_status_is_as_its_jobs_are(wire, event_of, key, runs, end):
    group = KINDS["job group"]
    wire.answer("GET *", shown(None, group, **{key: runs}))
    event = event_of(group)
    assert event.get("result", {}).get("status") == end
    assert event["outcome"] == ("finished" if end else "timed_out")


ERRORS = ["disk full", {"code": "E1", "message": "disk full"}, {"someKey": ["kept"]}, None]


@EACH_KIND
@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_the_error_of_a_run_is_in_the_event_as_it_came(wire, event_of, kind, error):
    wire.answer("GET *", whole("FAILED", kind, error=error))
    assert event_of(kind)["result"]["error"] == error


# --- what waiting does not cure ---

# Of all answers from the first one on: the exception that it means, and its words.
REFUSALS = {
    400: ("AirflowException", "refused (400: no; run_label: too long)"),
    401: ("DataRecsConfigException", "Invalid or expired API key"),
    403: ("AirflowFailException", "the API key lacks the permission for this call (403: no"),
    404: ("AirflowException", "Resource not found: run 'r1' of {what}"),
    405: (
        "AirflowException",
        "the connection's Host may not be the URL of the DataRecs API: refused (405: no",
    ),
    409: ("AirflowException", "refused (409: no"),
    410: ("AirflowException", "refused (410: no"),
    422: ("AirflowException", "refused (422: no"),
}
EACH_REFUSAL = pytest.mark.parametrize("status", REFUSALS)


def refusal(status):
    return own_error(status, errors=[{"field": "run_label", "message": "too long"}])


def check_refused(event, kind, status):
    meaning, words = REFUSALS[status]
    assert about(event) == (kind.noun, "ws_production", "r1", "refused")
    assert event["meaning"] == meaning
    what = f"{kind.noun} {next(iter(kind.owner.values()))!r} in workspace 'ws_production'"
    assert event["message"].startswith(words.replace("{what}", what))
    assert "Connection: 'datarecs_default'" in event["message"]
    assert "demo-key" not in json.dumps(event)


@EACH_KIND
@EACH_REFUSAL
def test_a_refusal_of_everything_ends_the_wait(wire, event_of, kind, status):
    wire.answer("GET *", refusal(status))
    check_refused(event_of(kind), kind, status)
    assert wire.seen[-1].at - wire.seen[0].at < SECONDS / 2


@EACH_KIND
@EACH_REFUSAL
def test_a_refusal_of_the_run_ends_the_wait(wire, event_of, kind, status):
    wire.answer(kind.list, Answer(body=[]))
    wire.answer(kind.run, refusal(status))
    check_refused(event_of(kind), kind, status)


@EACH_KIND
@EACH_REFUSAL
def test_a_refusal_after_the_run_was_seen_ends_the_wait(wire, event_of, kind, status):
    wire.answer("GET *", whole("RUNNING", kind), refusal(status))
    check_refused(event_of(kind), kind, status)


@pytest.mark.parametrize("late", [1, 2, 5])
def test_a_run_may_appear_late(wire, event_of, late):
    wire.answer("GET *", *[own_error(404)] * late, DONE)
    assert event_of(poke_interval=10)["outcome"] == "finished"


# --- looks that fail, which say nothing about the run ---


def other(**fields):
    """Show something in the place of the run."""
    return Answer(body={**fields, "items": [fields]})


THERE = SimpleNamespace(host="127.0.0.1", port=1, ssl=None, is_ssl=True)
HTML = {"Content-Type": "text/html"}
# The answer, and what the log and the event say of it.
FAILURES = {
    "401 of a login page": (Answer(401, "<html>Who are you"), "is not an error as DataRecs gives it"),
    "403 of a firewall": (Answer(403, "<html>Forbidden"), "is not an error as DataRecs gives it"),
    "404 of an ingress": (Answer(404, "default backend - 404"), "is not an error as DataRecs gives it"),
    "302": (
        Answer(302, "", {"Location": "https://login.test/?key=demo-key"}),
        "redirected (302) to https://login.test/, not followed",
    ),
    "301": (Answer(301), "redirected (301) to nowhere, not followed"),
    "400, empty": (Answer(400), "is not an error as DataRecs gives it but empty"),
    "401, HTML": (Answer(401, "<html>Who are you", HTML), "as DataRecs gives it but '<html>Who are you'"),
    "403, HTML": (Answer(403, "<html>Forbidden", HTML), "as DataRecs gives it but '<html>Forbidden'"),
    "404, text": (Answer(404, "default backend"), "as DataRecs gives it but 'default backend'"),
    "409, empty object": (Answer(409, "{}"), "as DataRecs gives it but '{}'"),
    "422, list": (Answer(422, ["no"]), "is not an error as DataRecs gives it but"),
    "408": (own_error(408), "cannot answer now (408: no)"),
    "425": (own_error(425), "cannot answer now (425: no)"),
    "500": (own_error(500, "Internal Server Error"), "cannot answer now (500: Internal Server Error)"),
    "501": (own_error(501), "cannot answer now (501: no)"),
    "502": (Answer(502, "<html>Bad Gateway", HTML), "cannot answer now (502: '<html>Bad Gateway')"),
    "503": (own_error(503, headers={"Retry-After": "5"}), "cannot answer now (503: no)"),
    "504": (Answer(504), "cannot answer now (504: empty)"),
    "520": (Answer(520, "error code: 520"), "cannot answer now (520: 'error code: 520')"),
    "429": (own_error(429), "too many requests for this API key (429: no)"),
    "429, later": (own_error(429, headers={"Retry-After": "30"}), "the limit opens in 30 s"),
    "429, now": (own_error(429, headers={"Retry-After": "0"}), "the limit opens in 0 s"),
    "429, reset": (own_error(429, headers={"X-RateLimit-Reset": "30"}), "the limit opens in 30 s"),
    "429, HTML": (Answer(429, "<html>slow down", HTML), "(429: '<html>slow down')"),
    "HTML": (Answer(200, "<html>Welcome", HTML), "is not JSON but '<html>Welcome'"),
    "the key": (Answer(200, "your key is demo-key"), "is not JSON but 'your key is ***'"),
    "half of a JSON text": (Answer(200, '{"id": "r1", "status": "COMPL'), "is not JSON but"),
    "no text": (Answer(200, b"\xff\xfe\xff"), "is not JSON but"),
    "bottomless JSON": (Answer(200, "[" * 20_000), "is not JSON but"),
    "nothing": (Answer(204), "an object was expected, not a NoneType"),
    "a list": (Answer(200, [[]]), "an object was expected, not a list"),
    "an empty object": (Answer(200, {}), "the answer is about run None"),
    "another run": (other(id="r2", status="COMPLETED"), "the answer is about run 'r2'"),
    "a run without an id": (other(status="COMPLETED"), "the answer is about run None"),
    "a run of something else": (
        other(id="r1", job_id="x", job_group_id="x", status="COMPLETED"),
        "the answer is about run 'r1' of",
    ),
    "refused": (
        Answer(error=aiohttp.ClientConnectorError(THERE, ConnectionRefusedError(111, "Connection refused"))),
        f"no connection to {HOST}",
    ),
    "not in time": (
        Answer(error=aiohttp.ServerTimeoutError("Connection timeout")),
        f"no connection to {HOST}",
    ),
    "proxy refuses": (
        Answer(
            error=aiohttp.ClientHttpProxyError(SimpleNamespace(real_url=HOST), (), status=407, message="Who")
        ),
        f"the proxy refuses a connection to {HOST}: 407 Who",
    ),
    "disconnected": (Answer(error=aiohttp.ServerDisconnectedError()), f"no answer from {HOST}"),
    "reset": (Answer(error=aiohttp.ClientOSError(104, "Connection reset by peer")), f"no answer from {HOST}"),
    "half a body": (Answer(error=aiohttp.ClientPayloadError("not completed")), f"no answer from {HOST}"),
    "too late": (Answer(error=asyncio.TimeoutError()), f"no answer from {HOST}"),
}
EACH_FAILURE = pytest.mark.parametrize("failure", FAILURES)


@EACH_FAILURE
@EACH_KIND
def test_looks_that_fail_are_made_again(wire, event_of, kind, failure):
    answer, _ = FAILURES[failure]
    wire.answer("GET *", answer, answer, answer, whole("COMPLETED", kind))
    event = event_of(kind)
    assert about(event) == (kind.noun, "ws_production", "r1", "finished")
    assert event["result"]["status"] == "COMPLETED"


@EACH_FAILURE
def test_looks_that_fail_until_the_deadline_leave_the_fate_unknown(wire, event_of, failure):
    answer, words = FAILURES[failure]
    wire.answer("GET *", answer)
    event = event_of()
    assert about(event) == ("job", "ws_production", "r1", "timed_out")
    assert "demo-key" not in json.dumps(event)
    assert event["seen"] is False
    assert words in event["message"]
    assert "before that its status was never seen. Whether it has ended is unknown" in event["message"]


@EACH_FAILURE
def test_what_was_seen_before_the_looks_failed_is_told(wire, event_of, failure):
    answer, words = FAILURES[failure]
    wire.answer("GET *", GOES_ON, answer)
    event = event_of()
    assert (event["outcome"], event["seen"]) == ("timed_out", False)
    assert words in event["message"]
    assert "before that its status was RUNNING. Whether it has ended is unknown" in event["message"]


@EACH_FAILURE
def test_a_run_that_is_seen_again_before_the_deadline_was_seen(wire, event_of, failure):
    wire.answer("GET *", FAILURES[failure][0], FAILURES[failure][0], GOES_ON)
    event = event_of()
    assert (event["outcome"], event["seen"]) == ("timed_out", True)
    assert "RUNNING, and did not finish" in event["message"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "150"}, 150),
        ({"X-RateLimit-Reset": "150"}, 150),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "150"}, 150),
        ({"Retry-After": "1"}, EVERY),
        ({}, EVERY),
    ],
    ids=str,
)
def test_a_429_is_waited_out_as_long_as_it_says(wire, event_of, headers, seconds):
    wire.answer("GET *", own_error(429, headers=headers), DONE)
    assert event_of()["outcome"] == "finished"
    assert [seen.at - wire.seen[0].at for seen in wire.seen[1:]] == [pytest.approx(seconds, rel=0.1, abs=2)]
