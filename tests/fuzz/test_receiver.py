"""Whatever strangers post: it is refused without a word, and nothing is written without a right signature."""

from __future__ import annotations

import http.client

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.events import FRONTS, PATH, SECRET, event, serving, signed

from airflow_provider_datarecs.webhooks.events import hint_of, verify
from airflow_provider_datarecs.webhooks.receiver import Receiver
from airflow_provider_datarecs.webhooks.secrets import SecretCache
from airflow_provider_datarecs.webhooks.settings import Allowed

METHODS = st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "HEAD", "OPTIONS", "BREW"])
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80)
PATHS = st.one_of(
    st.just(f"{PATH}/known"),
    st.builds(lambda rest: f"{PATH}/{rest}", VISIBLE),
    st.builds(lambda more: f"{PATH}/known{more}", VISIBLE),
)
EVENTS = st.sampled_from(
    [event(), event(end="queued"), event(data=None), event(run_id="../x"), b"{}", b"[[["]
)
LONG = st.builds(lambda size: b"x" * size, st.integers(60_000, 70_000))
BODIES = st.one_of(st.binary(max_size=300), EVENTS, LONG)
SIGNATURES = st.one_of(
    st.none(),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=100),
    st.text("0123456789abcdefABCDEF", min_size=64, max_size=64),
    st.just("right"),
)


@pytest.fixture(params=FRONTS)
def served(request):
    written, known = [], {"known": (SECRET, "another")}
    receiver = Receiver(
        Allowed(None),
        SecretCache(lambda conn_id: known.get(conn_id, ())),
        lambda conn_id, hints: written.extend(hints),
    )
    with serving(request.param, receiver) as port:
        yield port, written


@given(method=METHODS, path=PATHS, body=BODIES, signature=SIGNATURES)
def test_nothing_is_written_without_a_right_signature_and_nothing_ends_in_5xx(
    served, method, path, body, signature
):
    port, written = served
    headers = {} if signature is None else {"X-Datarecs-Signature": signature.encode("latin-1")}
    if signature == "right":
        headers = signed(body)
    is_right = signature == "right" and (method, path) == ("POST", f"{PATH}/known") and len(body) <= 65536
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        status, content = answer.status, answer.read()
    except (http.client.InvalidURL, ValueError):
        return  # never sent
    except ConnectionError:
        status, content = 401, b""  # closed before all of a body was sent that is too long
        assert len(body) > 10_000
    finally:
        connection.close()
    assert status < 500
    if is_right:
        assert (status, content) == (204, b"")
        assert len(written) == (hint_of(body) is not None)
    else:
        # What is no HTTP the server in front says itself: a path of a question mark, a control character.
        assert status in (401, 400) or (status, "?" in path or "#" in path) == (204, True)
        assert status != 401 or content == b""
    if status != 204:
        assert written == []
    written.clear()


@given(body=st.binary(max_size=200), header=st.text(max_size=100), secrets=st.lists(st.text(), max_size=3))
def test_any_header_is_read_and_none_that_is_made_up_is_right(body, header, secrets):
    assert not verify(secrets, body, header)


@given(body=st.binary(max_size=200))
def test_any_body_is_read(body):
    hint_of(body)
