from __future__ import annotations

import gzip
import json
import time
from datetime import datetime, timezone
from email.utils import format_datetime, formatdate

import pytest

from airflow_provider_datarecs.api import parsing
from airflow_provider_datarecs.api.errors import (
    WRONG_HOST,
    ForeignAnswer,
    RateLimited,
    Redirected,
    UnreadableAnswer,
)
from airflow_provider_datarecs.api.rate_limit_headers import rate_limit_wait, seconds_to_reset

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.fixture
def _frozen(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW)


@pytest.mark.usefixtures("_frozen")
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "2.5"}, 2.5),
        ({"Retry-After": formatdate(NOW + 90, usegmt=True)}, 90),
        ({"Retry-After": formatdate(NOW - 90, usegmt=True)}, 0),
        ({"Retry-After": format_datetime(datetime.fromtimestamp(NOW + 90, timezone.utc))}, 90),
        ({"X-RateLimit-Reset": "42"}, 42),
        ({"X-RateLimit-Reset": "0"}, 0),
        ({"X-RateLimit-Reset": str(int(NOW) + 42)}, 42),
        ({"X-RateLimit-Reset": str(int(NOW) - 42)}, 0),
        ({"X-RateLimit-Reset": "1000000000"}, 1_000_000_000),  # not above 10^9
        ({"X-RateLimit-Reset": "1000000001"}, 0),
        ({"Retry-After": "7", "X-RateLimit-Reset": "42"}, 7),
        ({"Retry-After": "soon", "X-RateLimit-Reset": "42"}, 42),
        ({"Retry-After": "-7", "X-RateLimit-Reset": "42"}, 42),
        ({"Retry-After": "", "X-RateLimit-Reset": "42"}, 42),
        ({"Retry-After": "\u0667"}, None),
        ({"Retry-After": "Mon, 99 Foo 99999 99:99:99 GMT"}, None),
        ({"X-RateLimit-Reset": "soon"}, None),
        ({"X-RateLimit-Reset": "nan"}, None),
        ({}, None),
    ],
)
def test_seconds_until_the_rate_limit_opens(headers, seconds):
    assert rate_limit_wait(headers) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.usefixtures("_frozen")
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-RateLimit-Reset": "42"}, 42),
        ({"X-RateLimit-Reset": " 2.5 "}, 2.5),
        ({"X-RateLimit-Reset": "0"}, 0),
        ({"X-RateLimit-Reset": str(int(NOW) + 42)}, 42),
        ({"X-RateLimit-Reset": str(int(NOW) - 42)}, 0),
        ({"X-RateLimit-Reset": "42", "Retry-After": "7"}, 42),
        ({"Retry-After": "7"}, None),
        ({"X-RateLimit-Reset": "soon"}, None),
        ({"X-RateLimit-Reset": "-1"}, None),
        ({"X-RateLimit-Reset": ""}, None),
        ({}, None),
    ],
)
def test_seconds_until_the_window_of_the_rate_limit_is_over(headers, seconds):
    assert seconds_to_reset(headers) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.usefixtures("_frozen")
@pytest.mark.parametrize("behind", [3_600, -3_600])
def test_a_wrong_clock_of_this_machine_does_not_matter_where_the_answer_has_a_date(behind):
    at_service = NOW + behind
    date = {"Date": formatdate(at_service, usegmt=True)}
    epoch_reset = {**date, "X-RateLimit-Reset": str(int(at_service) + 42)}
    assert seconds_to_reset(epoch_reset) == rate_limit_wait(epoch_reset) == 42
    assert rate_limit_wait({**date, "Retry-After": formatdate(at_service + 90, usegmt=True)}) == 90
    assert rate_limit_wait({**date, "Retry-After": formatdate(at_service - 90, usegmt=True)}) == 0
    assert rate_limit_wait({**date, "Retry-After": "7"}) == 7
    assert seconds_to_reset({**date, "X-RateLimit-Reset": "42"}) == 42


@pytest.mark.usefixtures("_frozen")
@pytest.mark.parametrize("date", ["", "today", "Mon, 99 Foo 99999 99:99:99 GMT"])
def test_with_a_date_that_is_none_this_machines_clock_counts(date):
    headers = {"Date": date, "X-RateLimit-Reset": str(int(NOW) + 42)}
    assert seconds_to_reset(headers) == pytest.approx(42)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"statusCode": 400, "message": "Bad Request"}, "Bad Request"),
        ({"message": ["one", "two"]}, "one; two"),
        (
            {
                "statusCode": 422,
                "message": "Validation failed",
                "errors": [{"field": "run_label", "message": "too long"}, {"field": "x", "message": "y"}],
            },
            "Validation failed; run_label: too long; x: y",
        ),
        ({"errors": [{"field": "run_label", "message": "too long"}]}, "run_label: too long"),
        ({"message": "no", "errors": ["plain", 7]}, "no; plain; 7"),
        ({"message": "no", "errors": "odd"}, "no"),
        ({"error_code": "E42", "message": "no"}, "no; error code E42"),
        ({"error_code": "E42"}, "error code E42"),
        ({"oops": 1}, repr('{"oops": 1}')),
        ({"message": {"text": "no"}}, "{'text': 'no'}"),
        (["no"], repr('["no"]')),
    ],
)
def test_what_an_error_body_says(body, message):
    assert parsing.error_message(json.dumps(body).encode()) == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"<html>\n  <b>Bad Gateway</b>", repr("<html> <b>Bad Gateway</b>")),
        (b"\xff\xfe", repr("��")),
        (b"[" * 100_000, repr("[" * 200 + "…")),
        (b"x" * 100_000, repr("x" * 200 + "…")),
        (b" " * 100_000 + b"<html>", repr("<html>…")),
        (b"<p>" + b" " * 100_000 + b"</p>", repr("<p>…")),
        (json.dumps({"message": "x" * 100_000}).encode(), "x" * 2000 + "…"),
        (b'{"message": ' + b"[" * 900 + b"]" * 900 + b"}", None),
    ],
)
def test_no_more_of_an_error_body_is_shown_than_a_message_can_hold(body, message):
    shown = parsing.error_message(body)
    assert message in (shown, None)
    assert len(shown) <= 2001


@pytest.mark.parametrize("body", [b"<html>", b'{"id": "r1"', b"[" * 100_000, b"\xff\xfe\xfd", b"OK"])
def test_a_good_answer_must_be_json(body):
    with pytest.raises(UnreadableAnswer, match=rf"^{WRONG_HOST}: the answer"):
        parsing.read("GET /jobs", "it", 200, {"Content-Type": "text/html"}, body)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_an_empty_answer_is_none(status):
    assert parsing.read("POST /x", "it", status, {}, b" \n") is None


@pytest.mark.parametrize(
    "answer",
    [
        [{"id": "a"}],
        {"items": [{"id": "a"}]},
        {"data": [{"id": "a"}]},
        {"items": [{"id": "a"}], "data": [{"id": "b"}]},
        {"items": None, "data": [{"id": "a"}]},
    ],
)
def test_list_styles(answer):
    assert parsing.page("GET /jobs", answer) == parsing.Page(items=[{"id": "a"}])


@pytest.mark.parametrize(
    ("envelope", "cursor", "next_url"),
    [
        ({"next_cursor": "c1"}, "c1", None),
        ({"nextCursor": "c1"}, "c1", None),
        ({"next_cursor": 50}, "50", None),
        ({"next_cursor": 0}, "0", None),
        ({"next_cursor": None}, None, None),
        ({"next_cursor": ""}, None, None),
        ({"next": "/jobs?page=2"}, None, "/jobs?page=2"),
        ({"next": None}, None, None),
        ({"next": ""}, None, None),
        ({"next": {"href": "/jobs?page=2"}}, None, None),
    ],
)
def test_where_an_answer_names_the_next_page(envelope, cursor, next_url):
    page = parsing.page("GET /jobs", {"items": [], **envelope})
    assert (page.cursor, page.next_url) == (cursor, next_url)


@pytest.mark.parametrize(
    "answer",
    [None, {}, "text", 7, True, {"items": {"id": "a"}}, {"items": ["a"]}, ["a"], [None], {"jobs": []}],
)
def test_what_is_no_list_of_objects_is_unreadable(answer):
    with pytest.raises(UnreadableAnswer, match="a list of objects was expected"):
        parsing.page("GET /jobs", answer)


@pytest.mark.parametrize(
    ("item", "snaked"),
    [
        ({"rowsProcessed": 1}, {"rows_processed": 1}),
        ({"rows_processed": 1}, {"rows_processed": 1}),
        ({"jobGroupId": "g"}, {"job_group_id": "g"}),
        ({"rows_processed": 1, "rowsProcessed": 2}, {"rows_processed": 1}),
        ({"rowsProcessed": 2, "rows_processed": 1}, {"rows_processed": 1}),
        ({"md5Sum": "x"}, {"md5_sum": "x"}),
        ({"customField": {"innerKey": 1}}, {"custom_field": {"innerKey": 1}}),
    ],
)
def test_keys_are_read_in_both_spellings(item, snaked):
    assert parsing.snake_keys(item) == snaked


@pytest.mark.parametrize(
    "answer",
    [
        {"run_id": "r1"},
        {"id": "r1"},
        {"runId": "r1"},
        {"run": {"id": "r1"}},
        {"run": {"run_id": "r1"}},
        {"run": {"runId": "r1"}},
        {"data": {"id": "r1"}},
        {"data": {"run_id": "r1"}},
        {"data": {"runId": "r1"}},
        {"run_id": "r1", "id": "something else"},
        {"id": "", "run": {"id": "r1"}},
        {"id": None, "data": {"id": "r1"}},
        {"id": "a request", "run": {"id": "r1"}},
        {"id": "a request", "data": {"id": "a record", "run_id": "r1"}},
        {"run_id": "r1", "data": {"id": "a record"}},
    ],
)
def test_where_the_answer_to_a_trigger_has_the_run_id(answer):
    assert parsing.new_run_id("POST /x", answer) == "r1"


def test_a_run_id_that_is_a_number_becomes_text():
    assert parsing.new_run_id("POST /x", {"run_id": 17}) == "17"


@pytest.mark.parametrize(
    "answer", [None, {}, [], "r1", {"run_id": ""}, {"run_id": True}, {"run_id": ["r1"]}, {"run": "r1"}]
)
def test_a_trigger_answer_without_a_run_id_is_unreadable(answer):
    with pytest.raises(UnreadableAnswer, match="carries no run id"):
        parsing.new_run_id("POST /x", answer)


# Airflow 3 cannot pass these between its processes, and stops the whole triggerer over one of them.
@pytest.mark.parametrize(
    ("body", "read"),
    [
        (rb'{"error": "cut \ud83d"}', {"error": "cut ?"}),
        (rb'{"error": "cut \uD83D"}', {"error": "cut ?"}),
        (rb'{"error": ["\udc00", {"\ud83d": 1}]}', {"error": ["?", {"?": 1}]}),
        (rb'{"error": "whole \ud83d\ude00"}', {"error": "whole \U0001f600"}),
        (b'{"error": "cut \xed\xa0\xbd"}', {"error": "cut ?"}),
        ('{"error": "whole \uc5f4 \ud7ff"}'.encode(), {"error": "whole \uc5f4 \ud7ff"}),
        (rb'{"count": 9223372036854775807}', {"count": 2**63 - 1}),
        (rb'{"count": 9223372036854775808}', {"count": "9223372036854775808"}),
        (rb'{"count": -9223372036854775809}', {"count": "-9223372036854775809"}),
        (b'{"count": -9223372036854775808}', {"count": -(2**63)}),
        (b'{"count": ' + b"9" * 5000 + b"}", {"count": "9" * 5000}),  # more than Python reads
        (
            rb'{"count": NaN, "more": [Infinity, -Infinity, 1e999, 1.5]}',
            {"count": None, "more": [None] * 3 + [1.5]},
        ),
    ],
)
def test_what_airflow_could_not_pass_on_becomes_what_it_can(body, read):
    answer = parsing.read("GET /x", "x", 200, {}, body)
    assert answer == read
    json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()


def test_a_header_that_is_no_utf8_can_be_shown():
    with pytest.raises(Redirected) as caught:
        parsing.read("GET /x", "x", 302, {"Location": "http://x/\udcff"}, b"")
    str(caught.value).encode()


def test_a_byte_order_mark_is_no_part_of_an_answer():
    assert parsing.read("GET /jobs", "jobs", 200, {}, b'\xef\xbb\xbf{"items": []}') == {"items": []}


def compressed(text, level=9):
    return gzip.compress(text, level, mtime=0)  # the same each time, since it is in a test's name


ITEMS = b'{"items": []}'
BOMB = compressed(b" " * (17 * 1024 * 1024))


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " gzip "])
@pytest.mark.parametrize("body", [compressed(ITEMS), compressed(ITEMS[:5]) + compressed(ITEMS[5:])])
def test_a_compressed_answer_is_read(encoding, body):
    assert parsing.read("GET /x", "x", 200, {"Content-Encoding": encoding}, body) == {"items": []}


@pytest.mark.parametrize("encoding", ["identity", ""])
def test_an_answer_that_is_not_compressed_may_say_so(encoding):
    assert parsing.read("GET /x", "x", 200, {"Content-Encoding": encoding}, ITEMS) == {"items": []}


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "x\udcff"])
def test_an_encoding_that_was_not_asked_for_is_named(encoding):
    with pytest.raises(UnreadableAnswer, match=r"the encoding .* which was not asked for") as caught:
        parsing.read("GET /x", "x", 200, {"Content-Encoding": encoding}, b"\x8b\x00")
    assert encoding.partition("\udcff")[0] in str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (ITEMS, "says that it is gzip, and is not"),
        (compressed(ITEMS)[:-5], "ends too early"),
        (compressed(ITEMS) + b"more", "says that it is gzip, and is not"),
        (BOMB, "is larger than 16777216 bytes"),
        (compressed(b" " * (16 * 1024 * 1024)) + compressed(b" "), "is larger than 16777216 bytes"),
    ],
    ids=["not compressed", "cut off", "with more", "a bomb", "two halves of a bomb"],
)
def test_a_compressed_answer_that_is_none_is_unreadable(body, problem):
    with pytest.raises(UnreadableAnswer, match=problem):
        parsing.read("GET /x", "x", 200, {"Content-Encoding": "gzip"}, body)


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (404, ForeignAnswer)])
def test_an_error_in_an_odd_encoding_is_what_its_status_says(status, kind):
    with pytest.raises(kind, match="the encoding 'br', which was not asked for"):
        parsing.read("GET /x", "x", status, {"Content-Encoding": "br"}, b"\x8b\x00")


def test_a_compressed_error_is_read():
    body = compressed(b'{"message": "slow down"}')
    with pytest.raises(RateLimited, match="slow down"):
        parsing.read("GET /x", "x", 429, {"Content-Encoding": "gzip"}, body)
