"""What is let in and what is refused, behind each front and over real sockets."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time

import pytest
from support.events import FRONTS, PATH, SECRET, event, post, serving, signed

from airflow_provider_datarecs.webhooks import receiver as receiver_module
from airflow_provider_datarecs.webhooks.receiver import LONGEST_BODY, Receiver
from airflow_provider_datarecs.webhooks.secrets import SecretCache
from airflow_provider_datarecs.webhooks.settings import Allowed

REFUSED = (401, b"")
BODY = event()


@pytest.fixture(params=FRONTS)
def front(request):
    return request.param


@pytest.fixture
def port(front, receiver):
    with serving(front, receiver) as port:
        yield port


def test_a_signed_event_is_written_down(port, written):
    assert post(port, BODY, signed(BODY)) == (204, b"")
    ((conn_id, hint),) = written.hints
    assert conn_id == "datarecs_default"
    assert (hint.run_id, hint.job_id, hint.workspace_id, hint.event_id) == ("run_1", "job_1", "ws_1", "evt_1")
    assert abs(hint.at - time.time()) < 30


def test_one_that_is_about_something_else_is_taken_and_forgotten(port, written):
    body = event(end="queued")
    assert post(port, body, signed(body)) == (204, b"")
    assert written.hints == []


def chunked(body):
    yield from (body[:10], body[10:])


def test_a_body_in_chunks_is_read(front, port, written):
    headers = {**signed(BODY), "Transfer-Encoding": "chunked"}
    if front != "wsgi":
        assert post(port, chunked(BODY), headers, encode_chunked=True) == (204, b"")
        return
    # wsgiref, unlike gunicorn, does not say where such a body ends.
    with contextlib.suppress(ConnectionError):  # closed while it was still being sent
        assert post(port, chunked(BODY), headers, encode_chunked=True) == REFUSED
    assert written.hints == []


JUNK = {
    "no signature": (BODY, {}),
    "an empty signature": (BODY, {"X-Datarecs-Signature": ""}),
    "a signature by another secret": (BODY, signed(BODY, "another")),
    "another body than the signed one": (BODY + b" ", signed(BODY)),
    "no body": (b"", signed(BODY)),
    "a signature that is none": (BODY, {"X-Datarecs-Signature": "sha256=zz"}),
    "a body that is too long": (b"x" * (LONGEST_BODY + 1), signed(b"x" * (LONGEST_BODY + 1))),
}


@pytest.mark.parametrize("kind", JUNK)
def test_junk_is_refused_alike(port, written, kind):
    assert post(port, *JUNK[kind]) == REFUSED
    assert written.hints == []


@pytest.mark.parametrize("length", ["70000", "-1", "9" * 30])
def test_a_length_that_cannot_be_is_refused_unread(front, port, written, length):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        head = f"POST {PATH}/datarecs_default HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
        one.sendall(f"{head}X-Datarecs-Signature: {'0' * 64}\r\n\r\n".encode())
        status = one.makefile("rb").readline()
    # aiohttp and uvicorn themselves say that it is no HTTP.
    assert b" 401 " in status or (front != "wsgi" and length != "70000" and b" 400 " in status)
    assert written.hints == []


def test_a_body_that_is_longer_than_it_said_is_refused(front, port, written):
    body = b"x" * (LONGEST_BODY + 1)
    headers = {**signed(body), "Transfer-Encoding": "chunked"}
    with contextlib.suppress(ConnectionError):  # closed while it was still being sent
        assert post(port, chunked(body), headers, encode_chunked=True) == REFUSED
    assert written.hints == []


@pytest.mark.parametrize(
    "path",
    [
        PATH,
        f"{PATH}/",
        f"{PATH}/unknown",
        f"{PATH}/bare",
        f"{PATH}/datarecs_default/more",
        f"{PATH}/more/datarecs_default",
        f"{PATH}{PATH}/datarecs_default",
        f"{PATH}/%00",
        f"{PATH}/%2e%2e",
        f"{PATH}/{'c' * 251}",
    ],
)
def test_there_is_no_other_path(front, port, written, path):
    status, _ = post(port, BODY, signed(BODY), path)
    assert status == 401 or (path == PATH and status in (307, 404, 418))  # by who is in front
    assert written.hints == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"])
def test_there_is_no_other_method(port, written, method):
    assert post(port, BODY, signed(BODY), method=method) == REFUSED
    assert written.hints == []


def test_the_web_server_keeps_all_other_paths(receiver):
    with serving("wsgi", receiver) as port:
        assert post(port, path="/home", method="GET") == (418, b"")
        assert post(port, BODY, signed(BODY), "/airflow/datarecs/events/datarecs_default") == (204, b"")


def test_only_the_named_connections_are_looked_up(written):
    receiver = Receiver(Allowed(frozenset({"other"})), SecretCache(written.read), written.write)
    with serving("process", receiver) as port:
        assert post(port, BODY, signed(BODY)) == REFUSED
    assert written.lookups == []


def test_while_a_secret_is_replaced_both_sign(written, receiver):
    written.secrets["datarecs_default"] = (SECRET, "new")
    with serving("process", receiver) as port:
        assert [post(port, BODY, signed(BODY, by))[0] for by in (SECRET, "new", "old")] == [204, 204, 401]


def test_connections_are_read_once_a_minute_and_unknown_ones_as_well(port, written):
    for path in ("datarecs_default", "unknown", "bare"):
        for _ in range(5):
            post(port, BODY, signed(BODY), f"{PATH}/{path}")
    assert sorted(written.lookups) == ["bare", "datarecs_default", "unknown"]


def test_what_cannot_be_passed_on_is_to_come_again(caplog, written):
    def fail(conn_id, hints):
        raise ConnectionError("no database")

    receiver = Receiver(Allowed(None), SecretCache(written.read), fail)
    with serving("process", receiver) as port:
        assert post(port, BODY, signed(BODY)) == (503, b"")
    assert "the end of run run_1 cannot be passed on" in caplog.text


def test_what_comes_while_something_is_written_is_written_together(written):
    batches, go_on, begun = [], threading.Event(), threading.Event()

    def write(conn_id, hints):
        begun.set()
        assert go_on.wait(20)
        batches.append([hint.run_id for hint in hints])

    receiver = Receiver(Allowed(None), SecretCache(written.read), write)
    statuses = []

    def send(number):
        body = event(f"run_{number}", f"evt_{number}")
        statuses.append(receiver.receive_body("datarecs_default", signed(body)["X-Datarecs-Signature"], body))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(20)]
    threads[0].start()
    assert begun.wait(20)
    for thread in threads[1:]:
        thread.start()
    deadline = time.monotonic() + 20
    while len(receiver._writer._pending["datarecs_default"].hints) < 19:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert statuses == [204] * 20
    assert [len(batch) for batch in batches] == [1, 19]
    receiver.close()


def test_what_failed_is_tried_again_when_it_comes_again(written):
    calls = []

    def write(conn_id, hints):
        calls.append(len(hints))
        raise ConnectionError

    receiver = Receiver(Allowed(None), SecretCache(written.read), write)
    signature = signed(BODY)["X-Datarecs-Signature"]
    assert [receiver.receive_body("datarecs_default", signature, BODY) for _ in range(2)] == [503, 503]
    assert calls == [1, 1]
    receiver.close()


def test_a_body_that_does_not_come_is_refused_in_time(monkeypatch, receiver, written):
    monkeypatch.setattr(receiver_module, "BODY_WITHIN", 0.1)
    with serving("process", receiver) as port, socket.create_connection(
        ("127.0.0.1", port), timeout=20
    ) as one:
        head = f"POST {PATH}/datarecs_default HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
        one.sendall(f"{head}X-Datarecs-Signature: {'0' * 64}\r\n\r\nhalf".encode())
        assert b" 401 " in one.makefile("rb").readline()
    assert written.hints == []


def test_only_so_many_bodies_are_read_at_once(monkeypatch, receiver):
    monkeypatch.setattr(receiver_module, "AT_ONCE", 0)
    with serving("process", receiver) as port:
        assert post(port, BODY, signed(BODY)) == REFUSED


def test_the_log_says_once_a_minute_what_was_refused_and_no_secret(caplog, port):
    with caplog.at_level(logging.DEBUG):
        for _ in range(50):
            post(port, BODY, signed(BODY, "another"))
        post(port, BODY, signed(BODY))
    told = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    (line,) = told
    assert line.startswith("Posted to /datarecs/events and refused: 1 with a signature by another secret")
    assert SECRET not in caplog.text
    assert signed(BODY)["X-Datarecs-Signature"] not in caplog.text
