"""Sends the requests of a poller, each when the rate limit has room for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Coroutine, TypeVar

from airflow_provider_datarecs.api.errors import LimitUsedUp, RateLimited
from airflow_provider_datarecs.api.retry import limit_wait
from airflow_provider_datarecs.polling.client import RefreshingClient
from airflow_provider_datarecs.polling.pacer import RequestPacer

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.errors import DataRecsError
    from airflow_provider_datarecs.polling.learned import Learned
    from airflow_provider_datarecs.polling.metrics import PollerMetrics

T = TypeVar("T")


class RequestSender:
    """
    Send requests through one client, at a pace.

    ``changed`` is set when an answer lets the next request go sooner.

    :param conn_id: the connection's id
    :param metrics: counts the requests
    :param on_change: called when the connection has become that of another service or key
    :param learned: what is known of the service
    """

    def __init__(
        self, conn_id: str, metrics: PollerMetrics, on_change: Callable[[], None], learned: Learned
    ) -> None:
        self.changed = asyncio.Event()
        self.client = RefreshingClient.for_triggerer(
            conn_id, known=learned.service, on_change=self._connection_changed
        )
        self._learned = learned
        self.pacer = RequestPacer(self.client.rate_limit_state, learned.limits)
        self._metrics = metrics
        self._on_change = on_change
        self._in_flight: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        """Say whether as many requests wait for their answers as may at once."""
        return len(self._in_flight) >= self.pacer.config.max_concurrent_requests

    @property
    def in_flight(self) -> int:
        """How many requests wait for their answers."""
        return len(self._in_flight)

    def start(self, work: Coroutine[Any, Any, None], on_end: Callable[[], None]) -> None:
        """
        Start what sends one request now.

        :param work: calls :meth:`send`
        :param on_end: called when it has ended
        """
        self.pacer.sent(time.monotonic())
        request = asyncio.get_running_loop().create_task(work)
        self._in_flight.add(request)

        def end(request: asyncio.Task[None]) -> None:
            self._in_flight.discard(request)
            on_end()

        request.add_done_callback(end)

    async def send(
        self, call: Callable[[DataRecsClient], Awaitable[T]], *, read_since: float = float("-inf")
    ) -> T | DataRecsError:
        """
        Send a request, and give what went wrong rather than raise it.

        :param call: what to do with the open client
        :param read_since: the time of ``time.monotonic`` since which the connection must have been read
        """
        pacer = self.pacer
        try:
            answer = await self.client.send(call, read_since=read_since)
        finally:
            opens_at = pacer.opens_for_urgent_at()
            pacer.answered(time.monotonic())
        settings = self.client.settings
        if settings is not None and settings.rate_limit != self.pacer.config:
            self.pacer.configure(settings.rate_limit)
        if isinstance(answer, RateLimited) and not isinstance(answer, LimitUsedUp):
            self.pacer.refused(time.monotonic(), limit_wait(answer))
        self._metrics.count(answer)
        if self.pacer.opens_for_urgent_at() < opens_at:  # who waits for a later time sees for itself
            self.changed.set()
        return answer

    async def close(self) -> None:
        """Stop what is on its way, and close the client."""
        for request in self._in_flight:
            request.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        self._learned.service = self.client.service
        await self.client.close()

    def _connection_changed(self) -> None:
        self._on_change()
        self.pacer = RequestPacer(self.client.rate_limit_state, self._learned.limits)
        self.changed.set()  # whose pause was the other one's
