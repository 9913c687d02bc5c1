"""Asks DataRecs through a connection of Airflow, which is read off the event loop and may change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Awaitable, Callable, TypeVar

from asgiref.sync import sync_to_async

from airflow_provider_datarecs.api.client import DataRecsClient
from airflow_provider_datarecs.api.errors import ConnectionUnreadable, DataRecsError, Unauthorized
from airflow_provider_datarecs.api.rate_limit import SeenLimit
from airflow_provider_datarecs.api.retry import ONE_LOOK
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook

if TYPE_CHECKING:
    import ssl

    from airflow_provider_datarecs.api.settings import ClientSettings

T = TypeVar("T")


class Connection:
    """
    Send requests with one client, on one event loop.

    ``settings`` are those that the client has, None before the first request; ``seen_limit`` is what the
    answers say of the rate limit.

    :param conn_id: the connection's id; it is read when the first request needs it, and again when a key is
        refused
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self.seen_limit = SeenLimit()
        self._client: DataRecsClient | None = None
        self._reading = asyncio.Lock()

    @property
    def settings(self) -> ClientSettings | None:
        """What the client was told last."""
        return self._client.settings if self._client else None

    async def ask(self, call: Callable[[DataRecsClient], Awaitable[T]]) -> T | DataRecsError:
        """
        Send one request, and give what went wrong rather than raise it.

        :param call: what to do with the open client
        """
        try:
            client = await self._open()
            settings = client.settings
            try:
                return await call(client)
            except Unauthorized:
                # Keys are rotated while tasks wait.
                if not await self._reread(client, settings):
                    raise
                return await call(client)
        except DataRecsError as error:
            return error

    async def close(self) -> None:
        """Close the session, if any request has opened it."""
        if self._client is not None:
            await self._client.__aexit__(None, None, None)

    async def _open(self) -> DataRecsClient:
        async with self._reading:
            if self._client is None:
                settings, tls = await self._read_connection()
                client = DataRecsClient(settings, tls=tls, patience=ONE_LOOK, seen_limit=self.seen_limit)
                self._client = await client.__aenter__()
            return self._client

    async def _reread(self, client: DataRecsClient, refused: ClientSettings) -> bool:
        """Read the connection again unless another request just has, and say whether it has changed."""
        async with self._reading:
            if client.settings == refused:
                client.settings, _ = await self._read_connection()
                self.seen_limit.forget()
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
