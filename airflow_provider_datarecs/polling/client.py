"""Asks DataRecs through a connection of Airflow, which is read off the event loop and may change."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Awaitable, Callable, TypeVar

from asgiref.sync import sync_to_async

from airflow_provider_datarecs.api.client import DataRecsClient
from airflow_provider_datarecs.api.errors import (
    DataRecsError,
    RateLimited,
    Unauthorized,
    Unforeseen,
)
from airflow_provider_datarecs.api.rate_limit import RateLimitConfig, RateLimitState
from airflow_provider_datarecs.api.retry import ONE_POLL
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook

if TYPE_CHECKING:
    import ssl

    from airflow_provider_datarecs.api.settings import ClientSettings

T = TypeVar("T")

log = logging.getLogger(__name__)

READ_AGAIN_AFTER = 30.0  # seconds; no sooner for those that only may find another connection
FAILURES = 3  # requests in a row without an answer, after which the connection may be another


class RefreshingClient:
    """
    Send requests with one client at a time, on one event loop.

    ``settings`` are those that the client has, None before the first request; ``seen_limit`` is what the
    answers say of the rate limit; ``changes`` counts how often the connection has become that of another
    service or key, for which nothing counts that is known of the one before.

    :param conn_id: the connection's id; it is read when the first request needs it, when a key is refused,
        and when somebody may know of a change
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self.rate_limit_state = RateLimitState()
        self.changes = 0
        self._opened: _Opened | None = None
        self._reading = asyncio.Lock()
        self._read_at = self._tried_at = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None
        self._failures = 0

    @property
    def settings(self) -> ClientSettings | None:
        """What the client was told last."""
        return self._opened.client.settings if self._opened else None

    async def ask(
        self, call: Callable[[DataRecsClient], Awaitable[T]], *, read_since: float = float("-inf")
    ) -> T | DataRecsError:
        """
        Send one request, and give what went wrong rather than raise it.

        :param call: what to do with the open client
        :param read_since: the time of ``time.monotonic`` since which the connection must have been read
        """
        answer = await self._ask(call, read_since)
        is_failure = isinstance(answer, DataRecsError) and not isinstance(answer, RateLimited)
        self._failures = self._failures + 1 if is_failure else 0
        if self._failures >= FAILURES:
            self.refresh_soon()
        return answer

    def refresh_soon(self) -> None:
        """Read the connection again unless it just was, while requests go on with what it was."""
        if self._refreshing is None and time.monotonic() >= self._tried_at + READ_AGAIN_AFTER:
            # In no task's context, as it is for all.
            self._refreshing = contextvars.Context().run(asyncio.ensure_future, self._refresh())

    async def close(self) -> None:
        """Close the session, if any request has opened it."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        if self._opened is not None:
            await self._opened.leave()

    async def _ask(
        self, call: Callable[[DataRecsClient], Awaitable[T]], read_since: float
    ) -> T | DataRecsError:
        try:
            opened, sent_at = await self._open(read_since), time.monotonic()
            try:
                return await opened.send(call)
            except Unauthorized:
                # Keys are rotated while tasks wait.
                renewed = await self._open(sent_at)
                if renewed is opened:
                    raise
                return await renewed.send(call)
        except DataRecsError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever it is, it says nothing about a run
            return Unforeseen(error, [self.settings.api_key] if self.settings else ())

    async def _open(self, read_since: float) -> _Opened:
        if self._opened is None or self._read_at < read_since:
            async with self._reading:
                if self._opened is None or self._read_at < read_since:
                    return await self._read()
        return self._opened

    async def _refresh(self) -> None:
        try:
            async with self._reading:
                if time.monotonic() >= self._tried_at + READ_AGAIN_AFTER:
                    await self._read()
        except DataRecsError as error:
            # Where there is nothing to go on with, the next request meets it.
            if self._opened is not None:
                log.warning(
                    "Connection %s cannot be read again, so its waits go on with what it was: %s",
                    self.conn_id,
                    error,
                )
        except Exception:
            log.exception("Connection %s: what it has become cannot be used", self.conn_id)
        finally:
            self._refreshing = None

    async def _read(self) -> _Opened:
        """Read the connection, and take up what has changed."""
        self._tried_at = began = time.monotonic()
        settings, tls = await self._read_connection()
        opened = self._opened
        if opened is None or tls is not opened.tls or _service(settings) != _service(opened.client.settings):
            if opened is not None:
                log.info("Connection %s has changed; its waits go on with what it is now", self.conn_id)
                self.changes += 1
                self.rate_limit_state = RateLimitState()
                await opened.leave()
            opened = self._opened = await _Opened.new(settings, tls, self.rate_limit_state)
        opened.client.settings = settings
        self._read_at = began
        return opened

    async def _read_connection(self) -> tuple[ClientSettings, ssl.SSLContext | None]:
        # asgiref's thread is the only way to a connection that no Airflow from 2.7 to 3.3 crashes or
        # deadlocks on. The sensor has seen it; where it cannot be had, the next look tries again.
        return await sync_to_async(self._read_connection_blocking)()

    def _read_connection_blocking(self) -> tuple[ClientSettings, ssl.SSLContext | None]:
        settings = DataRecsHook(conn_id=self.conn_id).reread_settings()
        return settings, settings.tls()


class _Opened:
    """
    A client for as long as the connection is the same, and until its last request is over.

    :param client: the client, open
    :param tls: the trusted certificates that it has
    """

    def __init__(self, client: DataRecsClient, tls: ssl.SSLContext | None) -> None:
        self.client = client
        self.tls = tls
        self._requests = 0
        self._is_left = False

    @classmethod
    async def new(
        cls, settings: ClientSettings, tls: ssl.SSLContext | None, rate_limit_state: RateLimitState
    ) -> _Opened:
        client = DataRecsClient(settings, tls=tls, policy=ONE_POLL, rate_limit_state=rate_limit_state)
        return cls(await client.__aenter__(), tls)

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


def _service(settings: ClientSettings) -> ClientSettings:
    """Give what settings say of where requests go and as whom."""
    return replace(settings, rate_limit=RateLimitConfig(), console_url=None)
