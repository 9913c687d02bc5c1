"""Holds requests that are no polls, until their turn within the rate limit comes."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Awaitable, Callable

from airflow_provider_datarecs.api.errors import DataRecsError

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient


class NotSent(DataRecsError):
    """The turn of a request did not come; it was not sent."""


class QueuedRequest:
    """
    One request.

    :param call: what to do with the open client
    :param answer: gets what comes of it
    """

    __slots__ = ("answer", "call")

    def __init__(
        self, call: Callable[[DataRecsClient], Awaitable[Any]], answer: asyncio.Future[Any | DataRecsError]
    ) -> None:
        self.call = call
        self.answer = answer

    def end(self, answer: Any | DataRecsError) -> None:
        """Hand over what came of it, if somebody still wants it."""
        if not self.answer.done():
            self.answer.set_result(answer)


class RequestQueue:
    """Hold the requests that are not on their way."""

    def __init__(self) -> None:
        self._queue: deque[QueuedRequest] = deque()

    async def send_in_turn(self, call: Callable[[DataRecsClient], Awaitable[Any]], within: float) -> Any:
        """
        Queue a request, and give what comes of it, which may be an error.

        :param call: what to do with the open client
        :param within: seconds after which it is not sent any more
        """
        loop = asyncio.get_running_loop()
        request = QueuedRequest(call, loop.create_future())
        self._queue.append(request)
        alarm = loop.call_later(within, self._expire, request, within)
        try:
            return await request.answer
        finally:
            alarm.cancel()

    def next(self) -> QueuedRequest | None:
        """Take out the one whose turn it is, None where there is none."""
        while self._queue:
            request = self._queue.popleft()
            if not request.answer.done():  # nobody waits for one that was cancelled
                return request
        return None

    def _expire(self, request: QueuedRequest, within: float) -> None:
        if request in self._queue:
            waited = timedelta(seconds=max(0, round(within)))
            request.end(NotSent(f"its turn within the rate limit has not come for {waited}"))
