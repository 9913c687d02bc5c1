"""Holds the secrets of connections, so that what is posted does not reach Airflow's secrets backend."""

from __future__ import annotations

import logging
import threading
import time
from typing import Callable, NamedTuple, Tuple

log = logging.getLogger(__name__)

HELD_FOR = 60.0
"""Seconds for which a connection is not read again, or is taken not to be there."""
SEARCHES_PER_MINUTE = 60
"""How many ids that have had no secret so far are looked up in a minute; those beyond are refused unseen."""
UNKNOWN_HELD = 1000
"""How many of these are remembered."""


class _Held(NamedTuple):
    secrets: Tuple[str, ...]
    until: float


def read_secrets(conn_id: str) -> tuple[str, ...]:
    """
    Read the secrets of a connection, none if it is not there or no DataRecs connection. Blocks.

    :param conn_id: the connection's id
    """
    # Servers read their own database, which hooks of Airflow 3 do not.
    from airflow.models.connection import Connection

    from airflow_provider_datarecs.api.settings import webhook_secrets
    from airflow_provider_datarecs.compat import AirflowNotFoundException
    from airflow_provider_datarecs.provider_info import CONN_TYPE

    try:
        connection = Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:
        return ()
    if str(connection.conn_type or "").strip().lower() not in ("", CONN_TYPE):
        return ()
    return webhook_secrets(connection.extra)


class SecretCache:
    """
    Hold the secrets of connections for a minute, and the ids of those that have none as well.

    :param read: reads those of a connection; it blocks
    :param clock: gives seconds
    """

    def __init__(
        self,
        read: Callable[[str], tuple[str, ...]] = read_secrets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._known: dict[str, _Held] = {}  # connections that have secrets
        self._unknown: dict[str, float] = {}  # until when an id is taken to have none, the oldest first
        self._reading = threading.Lock()
        self._searching = threading.Lock()
        self._searches: list[float] = []

    def is_known_to_have_none(self, conn_id: str) -> bool:
        """Say whether there is no need to read more of what is posted; never blocks."""
        return self._unknown.get(conn_id, float("-inf")) > self._clock()

    def get(self, conn_id: str) -> tuple[str, ...]:
        """
        Give the secrets of a connection. Blocks when they are to be read.

        :param conn_id: the connection's id
        """
        held = self._known.get(conn_id)
        if held is not None and held.until > self._clock():
            return held.secrets
        if self.is_known_to_have_none(conn_id):
            return ()
        return self._search(conn_id) if held is None else self._read_again(conn_id)

    def _read_again(self, conn_id: str) -> tuple[str, ...]:
        with self._reading:
            held = self._known.get(conn_id)
            if held is not None and held.until > self._clock():  # another thread was faster
                return held.secrets
            return self._take(conn_id)

    def _search(self, conn_id: str) -> tuple[str, ...]:
        # One at a time, so that a slow backend and ids that somebody makes up keep no thread from its work.
        if not self._searching.acquire(blocking=False):
            return ()
        try:
            now = self._clock()
            self._searches = [at for at in self._searches if at > now - HELD_FOR]
            if len(self._searches) >= SEARCHES_PER_MINUTE:
                return ()
            self._searches.append(now)
            return self._take(conn_id)
        finally:
            self._searching.release()

    def _take(self, conn_id: str) -> tuple[str, ...]:
        try:
            secrets = self._read(conn_id)
        except Exception as error:  # noqa: BLE001 - whatever a secrets backend or a field may raise
            # Not its text, in which the connection may be.
            log.warning("Connection %s cannot be read for webhooks: %s", conn_id, type(error).__name__)
            secrets = ()
        until = self._clock() + HELD_FOR
        if secrets:
            self._known[conn_id] = _Held(secrets, until)
            return secrets
        self._known.pop(conn_id, None)
        self._unknown.pop(conn_id, None)
        self._unknown[conn_id] = until
        while len(self._unknown) > UNKNOWN_HELD:
            self._unknown.pop(next(iter(self._unknown)), None)
        return ()
