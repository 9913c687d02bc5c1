"""Signatures, and what events hint at."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from airflow_provider_datarecs.webhooks.events import hint_of, verify

BODY = b'{"type": "reconciliation.run.completed"}'


def hexed(secret=b"s3cret", body=BODY):
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def based(secret=b"s3cret", body=BODY):
    return base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()


@pytest.mark.parametrize(
    "header",
    [
        hexed(),
        hexed().upper(),
        f"sha256={hexed()}",
        f"SHA256={hexed()}",
        f"  {hexed()} ",
        based(),
        based().rstrip("="),
        f"sha256={based()}",
    ],
)
def test_each_form_of_the_right_signature_is_accepted(header):
    assert verify(["other", "s3cret"], BODY, header)
    assert not verify(["s3cret"], BODY + b" ", header)
    assert not verify(["other"], BODY, header)
    assert not verify([], BODY, header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha256=",
        hexed()[:-1],
        hexed() + "0",
        "0" * 64,
        "ä" * 64,
        "=" * 44,
        "\ud800",
        f"sha512={hexed()}",
    ],
)
def test_nothing_else_is(header):
    assert not verify(["s3cret"], BODY, header)


def event(event_type="io.datarecs.reconciliation.run.completed", **more):
    data = {"run_id": "r1", "job_id": "j1", "workspace_id": "w1"}
    return {"specversion": "1.0", "id": "e1", "type": event_type, "data": data, **more}


def hint(**more):
    return hint_of(json.dumps(event(**more)).encode())


@pytest.mark.parametrize(
    "prefix", ["com.datarecs.reconciliation.", "io.datarecs.reconciliation.", "reconciliation.", ""]
)
@pytest.mark.parametrize("end", ["completed", "failed", "errored", "cancelled", "finalised", "COMPLETED"])
def test_only_the_end_of_a_type_counts(prefix, end):
    found = hint(event_type=f"{prefix}run.{end}")
    assert (found.run_id, found.job_id, found.workspace_id, found.event_id) == ("r1", "j1", "w1", "e1")


@pytest.mark.parametrize(
    "event_type",
    [
        "reconciliation.run.triggered",
        "reconciliation.run.queued",
        "stage.completed",
        "overrun.completed",
        "",
        None,
        1,
    ],
)
def test_other_events_hint_at_nothing(event_type):
    assert hint(event_type=event_type) is None


def test_keys_in_camel_case_are_read():
    found = hint(data={"runId": "r2", "jobId": "j2", "workspaceId": "w2"})
    assert found[:3] == ("r2", "j2", "w2")


def test_the_job_and_the_workspace_may_be_missing():
    assert hint(data={"run_id": 17})[:3] == ("17", None, None)


@pytest.mark.parametrize(
    "data",
    [None, [], "r1", {}, {"run_id": None}, {"run_id": "../x"}, {"run_id": "r" * 201}, {"run_id": "a b"}],
)
def test_an_event_without_a_run_hints_at_nothing(data):
    assert hint(data=data) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 10_000, b"17"])
def test_what_is_no_event_hints_at_nothing(body):
    assert hint_of(body) is None


@pytest.mark.parametrize("event_id", [None, 1, "", "e" * 201, {}])
def test_an_event_may_have_no_id_of_use(event_id):
    assert hint(id=event_id).event_id is None
