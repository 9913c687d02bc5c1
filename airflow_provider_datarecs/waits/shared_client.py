"""The one client that all waits on a connection share, in each event loop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, AsyncIterator
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_provider_datarecs.api.client import DataRecsClient
from airflow_provider_datarecs.api.errors import DataRecsError, Unauthorized
from airflow_provider_datarecs.api.retry import ONE_LOOK
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook

if TYPE_CHECKING:
    import ssl

    from airflow_provider_datarecs.api.runs import Run, Runnable
    from airflow_provider_datarecs.api.settings import ClientSettings

_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedClient]] = WeakKeyDictionary()


class ConnectionUnreadable(DataRecsError):
    """Airflow could not give the connection just now."""


@asynccontextmanager
async def shared_client(conn_id: str) -> AsyncIterator[SharedClient]:
    """
    Hold the client of a connection: the first holder in an event loop makes it, the last one closes it.

    :param conn_id: the connection's id
    """
    clients = _by_loop.setdefault(asyncio.get_running_loop(), {})
    shared = clients.setdefault(conn_id, SharedClient(conn_id))
    shared.holders += 1
    try:
        yield shared
    finally:
        shared.holders -= 1
        if not shared.holders:
            del clients[conn_id]
            await shared.close()


class SharedClient:
    """
    Look at runs for many waits with one session.

    :param conn_id: the connection's id; it is read when the first look needs it, and again when a key is
        refused
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self.holders = 0
        self._client: DataRecsClient | None = None
        self._reading = asyncio.Lock()

    async def look(self, runnable: Runnable, run_id: str) -> Run | DataRecsError:
        """
        Ask for one run with a single request, and give what went wrong rather than raise it.

        :param runnable: the job or job group
        :param run_id: the run's id
        """
        try:
            client = await self._open()
            settings = client.settings
            try:
                return await client.get_run(runnable, run_id)
            except Unauthorized:
                # Keys are rotated while tasks wait.
                if not await self._reread(client, settings):
                    raise
                return await client.get_run(runnable, run_id)
        except DataRecsError as error:
            return error

    async def close(self) -> None:
        """Close the session, if any look has opened it."""
        if self._client is not None:
            await self._client.__aexit__(None, None, None)

    async def _open(self) -> DataRecsClient:
        async with self._reading:
            if self._client is None:
                settings, tls = await self._read_connection()
                self._client = await DataRecsClient(settings, tls=tls, patience=ONE_LOOK).__aenter__()
            return self._client

    async def _reread(self, client: DataRecsClient, refused: ClientSettings) -> bool:
        """Read the connection again unless another wait just has, and say whether it is another one now."""
        async with self._reading:
            if client.settings == refused:
                client.settings, _ = await self._read_connection()
            return client.settings != refused

    async def _read_connection(self) -> tuple[ClientSettings, ssl.SSLContext | None]:
        # asgiref's thread is the only way to a connection that no Airflow from 2.7 to 3.3 crashes or
        # deadlocks on.
        try:
            return await sync_to_async(self._read_connection_blocking)()
        except DataRecsError:
            raise
        except Exception as error:
            # Whatever a database or the task API may raise. A missing connection is no proof either: Airflow
            # says the same when a secrets backend is away. The sensor has seen the connection; the next look
            # tries again.
            raise ConnectionUnreadable(
                f"Airflow could not give connection {self.conn_id!r}: {type(error).__name__}: {error}"
            ) from error

    def _read_connection_blocking(self) -> tuple[ClientSettings, ssl.SSLContext | None]:
        settings = DataRecsHook(conn_id=self.conn_id).read_settings()
        return settings, settings.tls()
