"""
The receiver in the API server of Airflow 3, below ``/datarecs/events``.

Plain ASGI: there is one path and one method, so that a framework would only add answers of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncIterator, Awaitable, Callable

from airflow_provider_datarecs.webhooks.receiver import PATH, REFUSED

if TYPE_CHECKING:
    from airflow_provider_datarecs.webhooks.receiver import Receiver

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class EventsApp:
    """
    Answer what is posted to ``/{conn_id}`` below the path that this is mounted at.

    :param receiver: takes it
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
            return
        _, is_whole, rest = scope["path"].partition(f"{PATH}/")
        conn_id = rest if is_whole else scope["path"][1:]  # by what release of Starlette it is mounted
        status = REFUSED
        if scope["method"] == "POST":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            status = await self._receiver.receive(conn_id, headers, _chunks(receive))
        headers_sent = [(b"content-length", b"0")] if status != 204 else []
        await send({"type": "http.response.start", "status": status, "headers": headers_sent})
        await send({"type": "http.response.body", "body": b""})


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
        yield message.get("body", b"")
