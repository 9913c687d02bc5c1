"""What each call makes of each answer, as tables: no socket, and pauses that take no time."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass
from email.utils import formatdate
from itertools import product
from types import SimpleNamespace
from typing import Any, Callable

import aiohttp
import pytest
from support.answers import HOST, Answer, Wire, own_error
from support.clock import HastyClock

from airflow_provider_datarecs.api import errors
from airflow_provider_datarecs.api.client import DataRecsClient
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.retry import ONE_POLL, OPERATOR
from airflow_provider_datarecs.api.settings import ClientSettings
from airflow_provider_datarecs.api.targets import Target

JOB, GROUP = Target(TargetKind.JOB, "j1", "w1"), Target(TargetKind.JOB_GROUP, "g1", "w1")
ITEMS = [{"id": "a", "workspace_id": "w1"}, {"id": "b", "workspace_id": "w1"}]


@dataclass(frozen=True)
class Call:
    """
    One call of the client.

    :param make: makes it
    :param what: what a 404 says is not there
    :param good: the JSON of a good answer
    :param result: what the call then gives
    """

    make: Callable[[DataRecsClient], Any]
    what: str
    good: Any
    result: Any


async def items_of_page(client, target):
    return (await client.runs_page(target)).items


async def status_of(client, target):
    return (await client.get_run(target, "r1")).status


OF_JOB, OF_GROUP = "job 'j1' in workspace 'w1'", "job group 'g1' in workspace 'w1'"
LISTS = {
    "GET /workspaces": Call(lambda c: c.list_workspaces(), "the list of workspaces", ITEMS, ITEMS),
    "GET /jobs": Call(lambda c: c.list_jobs("w1"), "the jobs of workspace 'w1'", ITEMS, ITEMS),
    "GET /jobs/j1/runs": Call(lambda c: c.list_runs(JOB), f"the runs of {OF_JOB}", ITEMS, ITEMS),
    "GET /job-groups/g1/runs": Call(
        lambda c: items_of_page(c, GROUP), f"the runs of {OF_GROUP}", ITEMS, ITEMS
    ),
}
READS = {
    "GET /jobs/j1/runs/r1": Call(
        lambda c: status_of(c, JOB), f"run 'r1' of {OF_JOB}", {"id": "r1", "status": "FAILED"}, "FAILED"
    ),
    "GET /job-groups/g1/runs/r1": Call(
        lambda c: status_of(c, GROUP), f"run 'r1' of {OF_GROUP}", {"id": "r1", "status": "FAILED"}, "FAILED"
    ),
}
STARTS = {
    "POST /jobs/j1/run": Call(
        lambda c: c.start_run(JOB, idempotency_key="start-1"), OF_JOB, {"run_id": "r1"}, "r1"
    ),
    "POST /job-groups/g1/run": Call(
        lambda c: c.start_run(GROUP, idempotency_key="start-1"), OF_GROUP, {"run_id": "r1"}, "r1"
    ),
}
CANCELS = {
    "POST /jobs/j1/runs/r1/cancel": Call(
        lambda c: c.cancel_run(JOB, "r1", reason="cleared"), f"run 'r1' of {OF_JOB}", {}, True
    ),
    "POST /job-groups/g1/runs/r1/cancel": Call(
        lambda c: c.cancel_run(GROUP, "r1", reason="cleared"), f"run 'r1' of {OF_GROUP}", {}, True
    ),
}
CALLS = {**LISTS, **READS, **STARTS, **CANCELS}
ONE_OF_EACH = ["GET /jobs", "GET /jobs/j1/runs/r1", "POST /jobs/j1/run", "POST /jobs/j1/runs/r1/cancel"]
EACH_CALL = pytest.mark.parametrize("name", CALLS)
EACH_KIND_OF_CALL = pytest.mark.parametrize("name", ONE_OF_EACH)


@pytest.fixture(autouse=True)
def no_pause_between_attempts():
    """Nothing to patch: the clock jumps over the pauses."""


@pytest.fixture(scope="module")
def network():
    """One for all tests, since it takes time to put it in its place."""
    with Wire() as wire:
        yield wire


@pytest.fixture
def wire(network):
    network.clear()
    return network


@pytest.fixture
def settings():
    return ClientSettings.from_fields(host=HOST, api_key="demo-key")


@pytest.fixture
def ask(settings, monkeypatch):
    """Make calls one after the other, and give what the last one gives or raises."""
    clock = HastyClock(monkeypatch)

    async def make(calls, policy):
        async with DataRecsClient(settings, tls=None, policy=policy) as client:
            for call in calls:
                result = await call.make(client)
            return result

    def ask(*calls, policy=OPERATOR):
        try:
            return clock.run(make(calls, policy))
        except errors.DataRecsError as error:
            return error

    return ask


# --- what went wrong, and whether it is tried again ---

NEVER, READING, ALWAYS = "never", "only where nothing can have been started", "always"
HTML = {"Content-Type": "text/html"}
FIELDS = [{"field": "run_label", "message": "too long"}, {"field": "x", "message": "y"}]


def refused(said):
    return f"refused ({said})"


# The answer that comes ever again: what it means, what that says, and whether it is tried again.
REFUSALS = {
    "400": (own_error(400), errors.Rejected, refused("400: no"), NEVER),
    "400 with fields": (
        own_error(400, "Validation failed", errors=FIELDS),
        errors.Rejected,
        refused("400: Validation failed; run_label: too long; x: y"),
        NEVER,
    ),
    "400 with messages": (own_error(400, ["one", "two"]), errors.Rejected, refused("400: one; two"), NEVER),
    "400 with a code": (
        Answer(400, {"error_code": "E42", "message": "no"}),
        errors.Rejected,
        refused("400: no; error code E42"),
        NEVER,
    ),
    "400 with the key": (
        own_error(400, "no such key: demo-key"),
        errors.Rejected,
        refused("400: no such key: ***"),
        NEVER,
    ),
    "401": (own_error(401), errors.Unauthorized, "Invalid or expired API key", NEVER),
    "403": (
        own_error(403),
        errors.Forbidden,
        "the API key lacks the permission for this call (403: no)",
        NEVER,
    ),
    "404": (own_error(404), errors.NotFound, "Resource not found: {what}", NEVER),
    "405": (own_error(405), errors.Rejected, f"{errors.WRONG_HOST}: refused (405: no", NEVER),
    "409": (own_error(409), errors.Rejected, refused("409: no"), NEVER),
    "410": (own_error(410), errors.Rejected, refused("410: no"), NEVER),
    "413": (own_error(413), errors.Rejected, refused("413: no"), NEVER),
    "422": (
        own_error(422, errors=FIELDS),
        errors.Rejected,
        refused("422: no; run_label: too long; x: y"),
        NEVER,
    ),
    "451": (own_error(451), errors.Rejected, refused("451: no"), NEVER),
}


def unavailable(answer, said):
    return answer, errors.Unavailable, f"DataRecs cannot answer now ({answer.status}: {said}", READING


# Anybody on the way may say these.
PASSING = {
    "408": unavailable(own_error(408), "no"),
    "408, empty": unavailable(Answer(408), "empty"),
    "425": unavailable(own_error(425), "no"),
    "500": unavailable(own_error(500, "Internal Server Error"), "Internal Server Error"),
    "500, no error of ours": unavailable(Answer(500, {"oops": 1}), "'{\"oops\": 1}'"),
    "501": unavailable(own_error(501), "no"),
    "502": unavailable(Answer(502, "<html> <b>Bad\nGateway", HTML), "'<html> <b>Bad Gateway'"),
    "503": unavailable(own_error(503, "maintenance"), "maintenance"),
    "503, later": unavailable(own_error(503, "maintenance", {"Retry-After": "7"}), "maintenance"),
    "503, empty": unavailable(Answer(503), "empty"),
    "504": unavailable(Answer(504, b"\xff\xfe"), "'"),
    "520": unavailable(Answer(520, "error code: 520"), "'error code: 520'"),
    "599": unavailable(Answer(599, "x" * 1000), f"'{'x' * 200}…'"),
}


def limited(answer, said):
    return answer, errors.RateLimited, f"too many requests for this API key (429: {said}", ALWAYS


LIMITED = {
    "429": limited(own_error(429, headers={"Retry-After": "70"}), "no); the limit opens in 70 s"),
    "429, reset": limited(
        own_error(429, headers={"X-RateLimit-Reset": "70"}), "no); the limit opens in 70 s"
    ),
    "429, HTML": limited(
        Answer(429, "<html>slow down", {**HTML, "Retry-After": "70"}), "'<html>slow down'); the limit opens"
    ),
    "429, empty": limited(Answer(429, "", {"retry-after": "70.0"}), "empty); the limit opens in 70 s"),
}


def unreadable(body, shown, content_type="text/html"):
    words = f"{errors.WRONG_HOST}: the answer (200, {content_type}) is not JSON but {shown}"
    return Answer(200, body, {"Content-Type": content_type}), errors.UnreadableAnswer, words, READING


UNREADABLE = {
    "HTML": unreadable("<html>\n<p>Welcome", "'<html> <p>Welcome'"),
    "the key": unreadable("<html>you sent demo-key", "'<html>you sent ***'"),
    "text": unreadable("OK", "'OK'", "text/plain"),
    "half of a JSON text": unreadable('{"items": [', "'{\"items\": ['", "application/json"),
    "two JSON texts": unreadable("{}{}", "'{}{}'", "application/json"),
    "no text": unreadable(b"\xff\xfe\xff", "'\ufffd\ufffd\ufffd'", "application/octet-stream"),
    "bottomless JSON": unreadable("[" * 20_000, f"'{'[' * 200}…'", "application/json"),
}


def foreign(answer, shown, more=""):
    """Give an error that something on the way has said, or whoever is not DataRecs."""
    words = f"the answer ({answer.status}, text/html) is not an error as DataRecs gives it but {shown}"
    return answer, errors.ForeignAnswer, f"{errors.WRONG_HOST}{more}: {words}", READING


def elsewhere(status, shown="https://login.test/", **headers):
    words = f"redirected ({status}) to {shown}, not followed; put the API's final URL into Host"
    return Answer(status, own_error(status).body, headers), errors.Redirected, words, READING


LOGIN = {"Location": "https://login.test/?key=demo-key"}
FOREIGN = {
    "400, empty": foreign(Answer(400, "", HTML), "empty"),
    "401, HTML": foreign(
        Answer(401, "<html>Who are you", HTML), "'<html>Who are you'", ", or the API key is not valid"
    ),
    "403, HTML": foreign(Answer(403, "<html>Forbidden", HTML), "'<html>Forbidden'"),
    "404, text": foreign(Answer(404, "default backend - 404", HTML), "'default backend - 404'"),
    "405, HTML": foreign(Answer(405, "<html>Not Allowed", HTML), "'<html>Not Allowed'"),
    "409, empty object": foreign(Answer(409, "{}", HTML), "'{}'"),
    "422, list": foreign(Answer(422, ["no"], HTML), "'[\"no\"]'"),
    "451, key": foreign(Answer(451, "<p>demo-key", HTML), "'<p>***'"),
    **{str(status): elsewhere(status, **LOGIN) for status in (300, 301, 302, 303, 304, 307, 308)},
    "302, here": elsewhere(302, "/v1/jobs", Location="/v1/jobs"),
    "302, nowhere": elsewhere(302, "nowhere"),
}
# With these HTTP itself says that nothing was done.
NOTHING_DONE = ["301", "307", "308"]


def broken(kind, error, again):
    words = "no connection to {host}" if kind is errors.NeverArrived else "no answer from {host}"
    return Answer(error=error), kind, words, again


THERE = SimpleNamespace(host="127.0.0.1", port=1, ssl=None, is_ssl=True)
UNREACHED = {
    "refused": aiohttp.ClientConnectorError(THERE, ConnectionRefusedError(111, "Connection refused")),
    "no route": aiohttp.ClientConnectorError(THERE, OSError(113, "No route to host")),
    "proxy away": aiohttp.ClientProxyConnectionError(THERE, OSError(111, "Connection refused")),
    "TLS": aiohttp.ClientConnectorSSLError(THERE, ssl.SSLError(1, "wrong version number")),
    "certificate": aiohttp.ClientConnectorCertificateError(
        THERE, ssl.CertificateError("certificate has expired")
    ),
    "not in time": aiohttp.ServerTimeoutError("Connection timeout to host 127.0.0.1"),
}
SENT = SimpleNamespace(real_url=HOST)
LOST = {
    "disconnected": aiohttp.ServerDisconnectedError(),
    "reset": aiohttp.ClientOSError(104, "Connection reset by peer"),
    "no HTTP": aiohttp.ClientResponseError(SENT, (), status=400, message="Bad status line"),
    "half a body": aiohttp.ClientPayloadError("Response payload is not completed"),
    "too late": asyncio.TimeoutError(),
    "broken pipe": BrokenPipeError(32, "Broken pipe"),
}
NETWORK = {
    **{name: broken(errors.NeverArrived, error, ALWAYS) for name, error in UNREACHED.items()},
    "proxy refuses": (
        Answer(error=aiohttp.ClientHttpProxyError(SENT, (), status=407, message="Who are you")),
        errors.NeverArrived,
        "the proxy refuses a connection to {host}: 407 Who are you",
        ALWAYS,
    ),
    **{name: broken(errors.MaybeArrived, error, READING) for name, error in LOST.items()},
}
ERRORS = {**REFUSALS, **PASSING, **LIMITED, **UNREADABLE, **FOREIGN, **NETWORK}


# Tried with every call; the others with one call of each kind.
SOME = ["404", "429", "502", "HTML", "403, HTML", "302", "refused", "reset"]
PAIRS = list(dict.fromkeys([*product(CALLS, SOME), *product(ONE_OF_EACH, ERRORS)]))


def told(problem):
    """Give all that an error could tell, its causes included."""
    errors_in = [problem]
    for error in errors_in:
        errors_in += {error.__cause__, error.__context__} - {None, *errors_in}
    return "\n".join(f"{error} {error!r} {vars(error)}" for error in errors_in)


def is_sent_again(name, error):
    again = ERRORS[error][3]
    return again is ALWAYS or (again is READING and name.startswith("GET"))


def is_not_offered(name, error):
    return name in CANCELS and ERRORS[error][0].status in (404, 405, 501)


@pytest.mark.parametrize(("name", "error"), [pair for pair in PAIRS if not is_not_offered(*pair)])
def test_what_went_wrong_is_told_once_no_further_try_can_help(wire, ask, caplog, name, error):
    answer, kind, words, again = ERRORS[error]
    wire.answer(name, answer)
    call = CALLS[name]
    problem = ask(call)
    tries = 5 if is_sent_again(name, error) else 1
    assert [seen.request for seen in wire.seen] == [name] * tries
    assert caplog.text.count("trying again") == tries - 1
    assert "demo-key" not in f"{told(problem)} {caplog.text}"
    assert f"({name})" in str(problem)
    if name in STARTS and again is READING and error not in NOTHING_DONE:
        assert type(problem) is errors.RunMayHaveStarted
        assert str(problem).startswith(f"A run of {call.what} may have started")
        problem = problem.why
    assert type(problem) is kind
    assert str(problem).startswith(words.replace("{what}", call.what).replace("{host}", HOST))


@pytest.mark.parametrize(("name", "error"), [pair for pair in product(CALLS, SOME) if is_sent_again(*pair)])
def test_what_is_asked_for_again_gives_its_result_once_the_answer_is_good(wire, ask, name, error):
    answer, call = ERRORS[error][0], CALLS[name]
    wire.answer(name, answer, answer, Answer(body=call.good))
    assert ask(call) == call.result
    first, *others = wire.seen
    assert [(seen.headers, seen.json) for seen in others] == [(first.headers, first.json)] * 2


@EACH_KIND_OF_CALL
def test_a_429_is_met_however_often(wire, ask, name):
    call = CALLS[name]
    wire.answer(name, *[own_error(429, headers={"Retry-After": "10"})] * 12, Answer(body=call.good))
    assert ask(call) == call.result
    assert len(wire.seen) == 13


@EACH_KIND_OF_CALL
@pytest.mark.parametrize("error", SOME)
def test_one_look_is_one_request(wire, ask, name, error):
    wire.answer(name, ERRORS[error][0])
    ask(CALLS[name], policy=ONE_POLL)
    assert len(wire.seen) == 1


# --- whose error it is ---

OWN = [
    {"message": "no"},
    {"message": ["no"]},
    {"statusCode": 404, "message": "Not Found"},
    {"status_code": 404},
    {"errors": [{"field": "f", "message": "m"}]},
    {"error_code": "E1"},
    {"errorCode": "E1"},
]
OTHERS = {
    "nothing": "",
    "blanks": " \n ",
    "text": "default backend - 404",
    "HTML": "<html><h1>403 Forbidden</h1></html>",
    "null": "null",
    "a text": '"Not Found"',
    "a list": '["no"]',
    "an empty object": "{}",
    "another framework's": '{"detail": "Not Found"}',
    "another service's": '{"error": "Not Found", "path": "/workspaces"}',
    "an empty message": '{"message": ""}',
    "half of one": '{"message": "no"',
    "more than one": '{"message": "no"} and more',
    "bottomless": "[" * 20_000,
    "no text at all": b"\xff\xfe\xff",
}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422])
@pytest.mark.parametrize("body", OWN, ids=str)
def test_an_error_with_a_body_of_datarecs_is_its_own(wire, ask, status, body):
    wire.answer("GET /workspaces", Answer(status, body))
    problem = ask(CALLS["GET /workspaces"])
    assert type(problem) is REFUSALS[str(status)][1]
    assert problem.status == status
    assert len(wire.seen) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 422])
@pytest.mark.parametrize("body", OTHERS)
def test_an_error_with_another_body_says_nothing(wire, ask, status, body):
    wire.answer("GET /workspaces", Answer(status, OTHERS[body], HTML))
    problem = ask(CALLS["GET /workspaces"], policy=ONE_POLL)
    assert type(problem) is errors.ForeignAnswer
    assert problem.status == status


# --- when the rate limit opens ---

AT = 1_767_225_600.0  # by the service's clock, in seconds
DATE = {"Date": formatdate(AT, usegmt=True)}
# The headers of a 429, and the seconds after which the call is sent again.
PAUSES = [
    ({"Retry-After": "7"}, 7),
    ({"Retry-After": " 7 "}, 7),
    ({"retry-after": "2.5"}, 2.5),
    ({"Retry-After": "0"}, 1),
    ({"Retry-After": "290"}, 290),
    ({**DATE, "Retry-After": formatdate(AT + 90, usegmt=True)}, 90),
    ({**DATE, "Retry-After": formatdate(AT - 90, usegmt=True)}, 1),
    ({"X-RateLimit-Reset": "42"}, 42),
    ({"X-RateLimit-Reset": "0"}, 1),
    ({**DATE, "X-RateLimit-Reset": str(int(AT) + 42)}, 42),
    ({**DATE, "X-RateLimit-Reset": str(int(AT) - 42)}, 1),
    ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "42"}, 42),
    ({"Retry-After": "7", "X-RateLimit-Reset": "42"}, 7),
    ({"Retry-After": "soon", "X-RateLimit-Reset": "42"}, 42),
    ({"Retry-After": "-7"}, 15),
    ({"X-RateLimit-Reset": "nan"}, 15),
    ({}, 15),
]
# The headers of a good answer, and the seconds after which the next request is sent.
CLOSED = [
    ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "42"}, 42),
    ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "42"}, 42),
    ({**DATE, "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(AT) + 42)}, 42),
    ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999"}, 60),
    ({"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "42"}, 0),
    ({"X-RateLimit-Remaining": "0"}, 0),
    ({"X-RateLimit-Remaining": "none", "X-RateLimit-Reset": "42"}, 0),
    ({"X-RateLimit-Reset": "42"}, 0),
    ({}, 0),
]


def seconds_between(wire):
    first, second = wire.seen
    return second.at - first.at


@pytest.mark.parametrize("name", ["GET /jobs", "POST /jobs/j1/run"])
@pytest.mark.parametrize(("headers", "seconds"), PAUSES, ids=str)
def test_a_429_is_waited_out_as_long_as_it_says(wire, ask, name, headers, seconds):
    call = CALLS[name]
    wire.answer(name, own_error(429, headers=headers), Answer(body=call.good))
    assert ask(call) == call.result
    assert seconds_between(wire) == pytest.approx(seconds, abs=0.9)


@EACH_KIND_OF_CALL
@pytest.mark.parametrize("seconds", [301, 86_400])
def test_a_limit_that_opens_too_late_is_not_waited_for(wire, ask, name, seconds):
    wire.answer(name, own_error(429, headers={"Retry-After": str(seconds)}))
    assert ask(CALLS[name]).wait == seconds
    assert len(wire.seen) == 1


@pytest.mark.parametrize("name", ["GET /jobs", "POST /jobs/j1/run"])
@pytest.mark.parametrize(("headers", "seconds"), CLOSED, ids=str)
def test_nothing_is_sent_while_the_last_answer_says_that_it_would_be_refused(
    wire, ask, name, headers, seconds
):
    call = CALLS[name]
    wire.answer("GET /workspaces", Answer(body=ITEMS, headers=headers))
    wire.answer(name, Answer(body=call.good))
    assert ask(CALLS["GET /workspaces"], call) == call.result
    assert seconds_between(wire) == pytest.approx(seconds, abs=0.9)


# --- good answers ---

EACH_LIST = pytest.mark.parametrize("name", ["GET /jobs", "GET /job-groups/g1/runs"])

GOOD_LISTS = {
    "items": {"items": ITEMS},
    "data": {"data": ITEMS},
    "a bare list": ITEMS,
    "items before data": {"items": ITEMS, "data": [{"id": "other"}]},
    "no items, but data": {"items": None, "data": ITEMS},
    "more beside": {"items": ITEMS, "total": 2, "next_cursor": None, "next": ""},
    "camelCase": {"items": [{"id": "a", "workspaceId": "w1"}, {"id": "b", "workspaceId": "w1"}]},
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(ITEMS).encode(),
}
NO_LISTS = ["", " \n ", "null", "{}", "7", '"text"', "true", '{"jobs": []}', '{"items": {}}', "[7]", "[null]"]


@EACH_LIST
@pytest.mark.parametrize("body", GOOD_LISTS)
def test_a_list_in_each_form(wire, ask, name, body):
    wire.answer(name, Answer(body=GOOD_LISTS[body]))
    assert ask(LISTS[name]) == ITEMS
    assert len(wire.seen) == 1


@EACH_LIST
@pytest.mark.parametrize("body", ['{"items": []}', '{"data": []}', "[]"])
def test_an_empty_list(wire, ask, name, body):
    wire.answer(name, Answer(body=body))
    assert ask(LISTS[name]) == []
    assert len(wire.seen) == 1


@EACH_LIST
@pytest.mark.parametrize("body", NO_LISTS)
def test_what_is_no_list_of_objects(wire, ask, name, body):
    wire.answer(name, Answer(body=body))
    problem = ask(LISTS[name])
    assert type(problem) is errors.UnreadableAnswer
    assert "a list of objects was expected, not " in str(problem)
    assert len(wire.seen) == 5


STATUSES = {
    "COMPLETED": "COMPLETED",
    "completed": "COMPLETED",
    " Failed ": "FAILED",
    "ERRORED": "FAILED",
    "cancelled": "CANCELLED",
    "Canceled": "CANCELLED",
    "RUNNING": "RUNNING",
    "Rebalancing": "REBALANCING",
    "": "",
    None: "",
    7: "",
}
NO_RUNS = {
    "another run": {"id": "r2", "status": "COMPLETED"},
    "a run of something else": {"id": "r1", "job_id": "x", "job_group_id": "x", "status": "COMPLETED"},
    "no run's id": {"status": "COMPLETED"},
    "an empty object": {},
    "a list": [{"id": "r1", "status": "COMPLETED"}],
    "nothing": "",
    "null": "null",
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("status", STATUSES)
def test_a_run_in_each_status(wire, ask, name, status):
    wire.answer(name, Answer(body={"id": "r1", "status": status}))
    assert ask(READS[name]) == STATUSES[status]


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("key", ["id", "run_id", "runId"])
def test_where_a_run_has_its_id(wire, ask, name, key):
    wire.answer(name, Answer(body={key: "r1", "status": "COMPLETED"}))
    assert ask(READS[name]) == "COMPLETED"


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("body", NO_RUNS)
def test_an_answer_about_something_else_is_never_taken_for_the_run(wire, ask, name, body):
    wire.answer(name, Answer(body=NO_RUNS[body]))
    assert type(ask(READS[name])) is errors.UnreadableAnswer
    assert len(wire.seen) == 5


NEW_RUNS = [
    {"run_id": "r1"},
    {"id": "r1"},
    {"runId": "r1"},
    {"run": {"id": "r1"}},
    {"run": {"run_id": "r1"}},
    {"data": {"id": "r1"}},
    {"data": {"runId": "r1"}},
    {"run_id": "r1", "id": "of the job"},
    {"id": "", "run": {"id": "r1"}},
    {"id": "r1", "status": "QUEUED"},
]
NO_NEW_RUNS = [
    "",
    "null",
    "{}",
    "[]",
    '"r1"',
    '{"run_id": ""}',
    '{"id": null}',
    '{"id": true}',
    '{"run": "r1"}',
]


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("body", NEW_RUNS, ids=str)
def test_where_the_answer_to_a_start_has_the_runs_id(wire, ask, name, body):
    wire.answer(name, Answer(201, body))
    assert ask(STARTS[name]) == "r1"
    assert [seen.headers["Idempotency-Key"] for seen in wire.seen] == ["start-1"]


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("body", NO_NEW_RUNS)
def test_a_start_whose_answer_names_no_run_may_have_started_one(wire, ask, name, body):
    wire.answer(name, Answer(201, body))
    problem = ask(STARTS[name])
    assert type(problem) is errors.RunMayHaveStarted
    assert "the answer carries no run id" in str(problem)
    assert len(wire.seen) == 1


@pytest.mark.parametrize("name", CANCELS)
@pytest.mark.parametrize("body", ["", "null", "[]", "{}", '{"accepted": true}', '"yes"'])
def test_cancelling_needs_no_certain_answer(wire, ask, name, body):
    wire.answer(name, Answer(202, body))
    assert ask(CANCELS[name]) is True
    assert [seen.json for seen in wire.seen] == [{"reason": "cleared"}]


@pytest.mark.parametrize("name", CANCELS)
@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("body", [{"message": "no"}, "<html>"], ids=str)
def test_cancelling_that_is_not_offered_is_no_error(wire, ask, name, status, body):
    wire.answer(name, Answer(status, body))
    assert ask(CANCELS[name]) is False
    assert len(wire.seen) == 1


@EACH_CALL
@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_every_2xx_is_good(wire, ask, name, status):
    call = CALLS[name]
    wire.answer(name, Answer(status, call.good))
    assert ask(call) == call.result


@EACH_KIND_OF_CALL
@pytest.mark.parametrize("content_type", ["text/html", "application/octet-stream", "nonsense", ""])
def test_json_is_read_whatever_it_is_called(wire, ask, name, content_type):
    call = CALLS[name]
    wire.answer(name, Answer(200, call.good, {"Content-Type": content_type}))
    assert ask(call) == call.result
