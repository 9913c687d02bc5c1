"""
Lets in what DataRecs posts: one for all ways in which it comes.

Whoever posts is a stranger until the signature says otherwise. What is refused is refused alike, without a
word on why; nothing of a body is looked at before its signature is right.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import AsyncIterator, Callable, Container, Mapping, NamedTuple

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.webhooks.events import Hint, hint_of, verify
from airflow_provider_datarecs.webhooks.hints import write_hints
from airflow_provider_datarecs.webhooks.report import ReceiverReport
from airflow_provider_datarecs.webhooks.secrets import SecretCache

log = logging.getLogger(__name__)

PATH = "/datarecs/events"
"""Below which the one path of each connection is: ``/datarecs/events/{conn_id}``."""
LONGEST_BODY = 64 * 1024
"""Bytes of an event; DataRecs's have some hundreds."""
BODY_WITHIN = 10.0
"""Seconds in which a body must have come."""
AT_ONCE = 64
"""How many bodies are read at once; those beyond are refused, and DataRecs sends them again."""
THREADS = 4
"""That read connections and write hints, of our own: Airflow's are for Airflow's requests."""
CONN_ID = re.compile(r"[\w.\-]{1,250}", re.ASCII)

ACCEPTED, REFUSED, FAILED = 204, 401, 503


class Receiver:
    """
    Check what is posted, and write down what it hints at.

    :param allowed: the ids of connections that may have events
    :param secrets: the secrets of connections, default those that Airflow has
    :param write: writes hints for a connection, and blocks; default for all triggerers to read
    """

    def __init__(
        self,
        allowed: Container[str],
        secrets: SecretCache | None = None,
        write: Callable[[str, list[Hint]], None] = write_hints,
    ) -> None:
        self._allowed = allowed
        self._secrets = secrets or SecretCache()
        self._writer = _GroupWriter(write)
        self._report = ReceiverReport(PATH)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="datarecs-webhooks")
        self._reading = 0

    async def receive(self, conn_id: str, headers: Mapping[str, str], chunks: AsyncIterator[bytes]) -> int:
        """
        Take what was posted to the path of a connection, and give the HTTP status of the answer.

        :param conn_id: the connection's id, as it is in the path
        :param headers: the request's, with their names in lower case
        :param chunks: the body
        """
        signature = headers.get(contract.SIGNATURE_HEADER.lower())
        if self.is_refused_unread(conn_id, signature, headers.get("content-length")):
            return REFUSED
        if self._reading >= AT_ONCE:
            return self._refuse("too many at once")
        self._reading += 1
        try:
            body = await asyncio.wait_for(_read(chunks), BODY_WITHIN)
        except asyncio.TimeoutError:
            return self._refuse("a body that did not come")
        finally:
            self._reading -= 1
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self.receive_body, conn_id, signature, body)

    def is_refused_unread(self, conn_id: str, signature: str | None, length: str | None) -> bool:
        """
        Say whether a request is refused whatever its body is; never blocks.

        :param conn_id: the connection's id, as it is in the path
        :param signature: what the signature's header holds, None if there is none
        :param length: what ``Content-Length`` holds, None if there is none
        """
        if not CONN_ID.fullmatch(conn_id) or conn_id not in self._allowed:
            self._refuse("a path of no connection that takes events")
        elif not signature:
            self._refuse("no signature")
        elif length is not None and not _is_short(length):
            self._refuse("too long a body")
        elif self._secrets.is_known_to_have_none(conn_id):
            self._refuse("a connection of which no webhook_secret is known")
        else:
            return False
        return True

    def receive_body(self, conn_id: str, signature: str | None, body: bytes) -> int:
        """
        Do what :meth:`receive` does, with the whole of a body. Blocks.

        :param conn_id: the connection's id
        :param signature: what the signature's header holds
        :param body: the body as it came; one that is longer than allowed is refused
        """
        if len(body) > LONGEST_BODY:
            return self._refuse("too long a body")
        secrets = self._secrets.get(conn_id)
        if not secrets:
            return self._refuse("a connection of which no webhook_secret is known")
        if not verify(secrets, body, signature):
            return self._refuse("a signature by another secret")
        hint = hint_of(body)
        if hint is None:
            self._report.useless()
            return ACCEPTED  # rightly signed, and of no use: DataRecs is not to send it again
        try:
            self._writer.write(conn_id, hint)
        except Exception:
            log.exception("Connection %s: the end of run %s cannot be passed on", conn_id, hint.run_id)
            return FAILED  # DataRecs sends it again
        self._report.accepted()
        log.debug("Connection %s: DataRecs says that run %s has ended", conn_id, hint.run_id)
        return ACCEPTED

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False)

    def _refuse(self, why: str) -> int:
        self._report.refused(why)
        return REFUSED


def _is_short(length: str) -> bool:
    return length.isascii() and length.isdecimal() and len(length) < 10 and int(length) <= LONGEST_BODY


async def _read(chunks: AsyncIterator[bytes]) -> bytes:
    """Read a body, and of one that is too long only so much that this shows."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk[: LONGEST_BODY + 1 - len(body)]
        if len(body) > LONGEST_BODY:
            break
    return bytes(body)


class _Batch(NamedTuple):
    hints: list[Hint]
    is_written: list[bool]


class _GroupWriter:
    """
    Write together what comes while something is written, so that a storm costs few changes of a row.

    :param write: writes hints for a connection; it blocks
    """

    def __init__(self, write: Callable[[str, list[Hint]], None]) -> None:
        self._write = write
        self._pending: dict[str, _Batch] = {}
        self._changing = threading.Lock()
        self._writing = threading.Lock()

    def write(self, conn_id: str, hint: Hint) -> None:
        """Write a hint, and return when it is written, by this thread or another."""
        with self._changing:
            batch = self._pending.setdefault(conn_id, _Batch([], []))
            batch.hints.append(hint)
        with self._writing:
            if batch.is_written:
                return
            with self._changing:
                if self._pending.get(conn_id) is batch:
                    del self._pending[conn_id]
            self._write(conn_id, batch.hints)
            batch.is_written.append(True)
