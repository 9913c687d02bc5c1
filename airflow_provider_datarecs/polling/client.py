"""Sends requests through a connection of Airflow, which may change, with one client at a time."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from typing import TYPE_CHECKING, Awaitable, Callable, TypeVar

from airflow_provider_datarecs.api.client import DataRecsClient
from airflow_provider_datarecs.api.errors import DataRecsError, RateLimited, Unauthorized, Unforeseen
from airflow_provider_datarecs.api.rate_limit import RateLimitState
from airflow_provider_datarecs.api.retry import ONE_POLL
from airflow_provider_datarecs.blocking import run_to_end
from airflow_provider_datarecs.compat import AirflowException
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.connection import ConnectionReader

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.settings import ClientSettings

T = TypeVar("T")

log = logging.getLogger(__name__)


class RefreshingClient:
    """
    Send requests, on one event loop at a time, and read the connection again where it may have changed.

    It is read when the first request needs it, when a key is refused, and when somebody may know of a change.
    ``rate_limit_state`` is what the answers say of the rate limit; ``changes`` counts how often the
    connection has become that of another service or key, for which nothing counts that is known of the one
    before.

    :param reader: reads the connection
    :param on_change: called when it has become another, default nothing
    """

    def __init__(self, reader: ConnectionReader, *, on_change: Callable[[], None] = lambda: None) -> None:
        self.rate_limit_state = RateLimitState()
        self.changes = 0
        self._reader = reader
        self._on_change = on_change
        self._opened: _OpenedClient | None = None
        self._lock: asyncio.Lock | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._failures = 0

    @classmethod
    def for_triggerer(
        cls, conn_id: str, *, known: int | None = None, on_change: Callable[[], None] = lambda: None
    ) -> RefreshingClient:
        """
        Make a client that never reads the connection on the event loop.

        :param conn_id: the connection's id
        :param known: the service that something is known of already, default None
        :param on_change: called when it has become another, default nothing
        """
        reader = ConnectionReader(DataRecsHook(conn_id=conn_id), in_thread=True, known=known)
        return cls(reader, on_change=on_change)

    @property
    def settings(self) -> ClientSettings | None:
        """The connection as it was read last, None before the first request."""
        return self._reader.settings

    @property
    def service(self) -> int | None:
        """What tells the service and key of the connection from others, None where nobody knows."""
        return self._reader.service

    async def send(
        self, call: Callable[[DataRecsClient], Awaitable[T]], *, read_since: float = float("-inf")
    ) -> T | DataRecsError:
        """
        Send one request, and give what went wrong rather than raise it.

        :param call: what to do with the open client
        :param read_since: the time of ``time.monotonic`` since which the connection must have been read
        """
        try:
            answer = await self._send_with_newest_key(call, read_since)
            self._failures = 0
        except RateLimited as error:
            self._failures = 0
            return error
        except AirflowException:  # with which Airflow 2.7 ends a task
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it says nothing about a run
            self._failures += 1
            if self._failures >= config.current().reread_after_failures:
                self.refresh_soon()
            if isinstance(error, DataRecsError):
                return error
            return Unforeseen(error, [self.settings.api_key] if self.settings else ())
        return answer

    def refresh_soon(self) -> None:
        """Read the connection again unless it just was, while requests go on with what it was."""
        if self._refreshing is None and not self._reader.was_just_tried:
            # In no task's context, as it is for all.
            self._refreshing = contextvars.Context().run(asyncio.ensure_future, self._refresh())

    async def close(self) -> None:
        """Close the session, if any request has opened it; the next request opens another one."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
            self._refreshing = None
        await self._leave()

    async def _send_with_newest_key(
        self, call: Callable[[DataRecsClient], Awaitable[T]], read_since: float
    ) -> T:
        opened, sent_at = await self._open(read_since), time.monotonic()
        try:
            return await opened.send(call)
        except Unauthorized:
            # Keys are rotated while tasks wait.
            renewed = await self._open(sent_at)
            if renewed is opened:
                raise
            return await renewed.send(call)

    async def _open(self, read_since: float) -> _OpenedClient:
        if self._opened is not None and self._reader.read_at >= read_since:
            return self._opened
        async with self._reading():
            if self._reader.settings is None or self._reader.read_at < read_since:
                await self._read()
            if self._opened is None:
                self._opened = await _OpenedClient.of(self._reader, self.rate_limit_state)
            return self._opened

    async def _refresh(self) -> None:
        try:
            async with self._reading():
                if not self._reader.was_just_tried:
                    await self._read()
        except DataRecsError as error:
            # Where there is nothing to go on with, the next request meets it.
            if self.settings is not None:
                log.warning(
                    "Connection %s cannot be read again, so its waits go on with what it was: %s",
                    self._reader.conn_id,
                    error,
                )
        except Exception:
            log.exception("Connection %s: what it has become cannot be used", self._reader.conn_id)
        finally:
            self._refreshing = None

    def _reading(self) -> asyncio.Lock:
        # Not made before there is an event loop, to one of which it belongs before Python 3.10.
        self._lock = self._lock or asyncio.Lock()
        return self._lock

    async def _read(self) -> None:
        """Read the connection, and take up what has changed."""
        is_first = self.settings is None
        if await self._reader.read():
            if not is_first:
                log.info(
                    "Connection %s has changed; its waits go on with what it is now", self._reader.conn_id
                )
            self.changes += 1
            self.rate_limit_state = RateLimitState()
            self._on_change()
            await self._leave()
        elif self._opened is not None and self.settings is not None:
            self._opened.client.settings = self.settings

    async def _leave(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.leave()


class BlockingPoller:
    """
    Poll from the task's own process, blocking, one request at a time.

    :param hook: the hook on the connection, which is not read again if it just was
    """

    def __init__(self, hook: DataRecsHook) -> None:
        self._client = RefreshingClient(ConnectionReader(hook, in_thread=False))

    def send(
        self, call: Callable[[DataRecsClient], Awaitable[T]], *, anew: bool = False
    ) -> T | DataRecsError:
        """
        Send a poll, and give what went wrong rather than raise it.

        :param call: what to do with the open client
        :param anew: read the connection again first, default False; where that fails, so does the poll
        """
        read_since = time.monotonic() if anew else float("-inf")

        async def send_and_close() -> T | DataRecsError:
            try:
                return await self._client.send(call, read_since=read_since)
            finally:
                await self._client.close()

        return run_to_end(send_and_close)


class _OpenedClient:
    """
    A client for as long as the connection is the same, and until its last request is over.

    :param client: the client, open
    """

    def __init__(self, client: DataRecsClient) -> None:
        self.client = client
        self._requests = 0
        self._is_left = False

    @classmethod
    async def of(cls, reader: ConnectionReader, rate_limit_state: RateLimitState) -> _OpenedClient:
        assert reader.settings is not None  # noqa: S101 - it has been read
        client = DataRecsClient(
            reader.settings, tls=reader.tls, policy=ONE_POLL, rate_limit_state=rate_limit_state
        )
        return cls(await client.__aenter__())

    async def send(self, call: Callable[[DataRecsClient], Awaitable[T]]) -> T:
        self._requests += 1
        try:
            return await call(self.client)
        finally:
            self._requests -= 1
            await self._close_if_done()

    async def leave(self) -> None:
        """Take no more requests, and close once those on their way are over."""
        self._is_left = True
        await self._close_if_done()

    async def _close_if_done(self) -> None:
        if self._is_left and not self._requests:
            await self.client.__aexit__(None, None, None)
