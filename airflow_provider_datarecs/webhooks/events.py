"""Checks and reads one event that DataRecs posts. Pure functions, no I/O."""

from __future__ import annotations

import base64
import hmac
import time
from typing import Any, Mapping, NamedTuple, Optional, Sequence

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.bodies import loads
from airflow_provider_datarecs.api.errors import InvalidInput
from airflow_provider_datarecs.api.parsing import id_text, snake_keys
from airflow_provider_datarecs.api.targets import check_id

HEX_DIGITS = 64  # of an HMAC-SHA256
LONGEST_ID = 200  # characters; those of DataRecs have 36


class Hint(NamedTuple):
    """
    Somebody who knows the secret says that a run has ended: worth a look, and no more.

    :param run_id: the run's id
    :param job_id: its job's, None where the event has none
    :param workspace_id: its workspace's, None where the event has none
    :param at: when the event came, in epoch seconds
    :param event_id: the event's, the same each time that it is sent; None where it has none
    """

    run_id: str
    job_id: Optional[str]
    workspace_id: Optional[str]
    at: float
    event_id: Optional[str] = None


def verify(secrets: Sequence[str], body: bytes, header: str | None) -> bool:
    """
    Say whether one of the secrets signs a body, in a time that tells nothing of them.

    :param secrets: those that the connection has at present
    :param body: as it came, byte for byte
    :param header: the value of the signature's header, None if there is none
    """
    given = _signature(header)
    if given is None:
        return False
    fits = [hmac.compare_digest(sign(secret, body), given) for secret in secrets]  # all, not the first
    return any(fits)


def sign(secret: str, body: bytes) -> bytes:
    """
    Give the signature of a body.

    :param secret: the endpoint's signing secret
    :param body: the body, byte for byte
    """
    return hmac.digest(secret.encode("utf-8", "surrogatepass"), body, "sha256")


def hint_of(body: bytes) -> Hint | None:
    """
    Give what an event that is rightly signed hints at, None if it is not about the end of a run.

    :param body: a CloudEvents 1.0 JSON document
    """
    try:
        event = loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, Mapping) or not _ends_run(event.get(contract.EVENT_TYPE)):
        return None
    data = event.get(contract.EVENT_DATA)
    if not isinstance(data, Mapping):
        return None
    data = snake_keys(data)
    run_id = _id(data.get(contract.RUN_ID))
    if run_id is None:
        return None
    job_id, workspace_id = _id(data.get(contract.JOB_ID)), _id(data.get(contract.WORKSPACE_ID))
    event_id = event.get(contract.EVENT_ID)
    is_text = isinstance(event_id, str) and 0 < len(event_id) <= LONGEST_ID
    return Hint(run_id, job_id, workspace_id, time.time(), event_id if is_text else None)


def _ends_run(event_type: Any) -> bool:
    if not isinstance(event_type, str):
        return False
    return event_type.lower() in contract.ENDS_OF_RUNS or event_type.lower().endswith(
        tuple(f".{end}" for end in contract.ENDS_OF_RUNS)
    )


def _signature(header: str | None) -> bytes | None:
    """Read a signature in whichever form it came."""
    text = (header or "").strip()
    if text.lower().startswith(contract.SIGNATURE_PREFIX):
        text = text[len(contract.SIGNATURE_PREFIX) :]
    try:
        if len(text) == HEX_DIGITS:
            return bytes.fromhex(text)
        padding = "=" * (-len(text) % 4)  # which some leave out
        return base64.b64decode(text + padding, validate=True) if text else None
    except ValueError:
        return None


def _id(value: Any) -> str | None:
    """Read an id, None if it is none."""
    text = id_text(value)
    try:
        return check_id(contract.ID, text) if text and len(text) <= LONGEST_ID else None
    except InvalidInput:
        return None
