"""
Carries hints from those who receive events to those who wait.

The hints of a connection are one small text, which ``compat/shared_text.py`` keeps where each Airflow has a
place for it. Receivers, of which there may be many, add to it; each event loop with waits reads it once a
second. It holds the last minute alone: who was away for longer has polled by then.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any, Iterator, NamedTuple, Sequence

from airflow_provider_datarecs.compat import shared_text
from airflow_provider_datarecs.webhooks import settings
from airflow_provider_datarecs.webhooks.events import Hint

KEPT_FOR = 60.0
"""Seconds for which a hint is kept."""
KEPT = 2000
"""Hints that are kept for a connection at most, the newest; DataRecs sends 50 events a second by default."""


class _Kept(NamedTuple):
    """A hint, with the version of the text by which it came."""

    version: int
    hint: Hint


def are_on(conn_id: str) -> bool:
    """
    Say whether hints for a connection may come on this Airflow, by its configuration.

    Not where reading them would ask a custom secrets backend each second.

    :param conn_id: the connection's id
    """
    return conn_id in settings.allowed() and not shared_text.reading_asks_secrets_backend()


def read_hints(conn_id: str, after: int | None = None) -> tuple[list[Hint], int]:
    """
    Give the hints that have come for a connection, the oldest first, and from where to read on.

    It blocks for some milliseconds: call it by ``sync_to_async``, as whatever asks Airflow from a triggerer.
    Whatever Airflow raises is passed on; the next call may go well.

    :param conn_id: the connection's id
    :param after: what the last call gave second; default None, all that are kept, of the last minute
    """
    known = after or 0
    shared = shared_text.read(_name(conn_id), known)
    if shared is None:
        return [], known
    return [kept.hint for kept in _kept(shared.text) if kept.version > known], shared.version


def write_hints(conn_id: str, hints: Sequence[Hint]) -> None:
    """
    Add hints for a connection. Blocks.

    :param conn_id: the connection's id
    :param hints: the hints; one whose event is known already changes nothing
    :raises TooManyChanges: when others write all the time, and these are lost
    """

    def with_hints(before: shared_text.Shared) -> str | None:
        now = time.time()
        kept = [one for one in _kept(before.text) if now - one.hint.at <= KEPT_FOR]
        known = {one.hint.event_id for one in kept} - {None}
        new = [_Kept(before.version, hint) for hint in hints if hint.event_id not in known]
        return json.dumps([[one.version, *one.hint] for one in (kept + new)[-KEPT:]]) if new else None

    description = f"Written by the webhooks of the DataRecs provider, for the connection {conn_id}"
    shared_text.change(_name(conn_id), description, with_hints)


def _name(conn_id: str) -> str:
    # By a hash: of any length, and without a word that Airflow takes for the name of a secret.
    return f"datarecs_hints_{hashlib.sha256(conn_id.encode('utf-8', 'replace')).hexdigest()[:16]}"


def _kept(text: str) -> Iterator[_Kept]:
    """Read the hints of a text; what somebody has written into it by hand is passed over."""
    try:
        entries: Any = json.loads(text or "[]")
        for version, run_id, job_id, workspace_id, at, event_id in entries:
            yield _Kept(int(version), Hint(run_id, job_id, workspace_id, float(at), event_id))
    except (ValueError, TypeError):
        return
