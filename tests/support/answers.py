"""Answers without a socket: what comes back for each request is said beforehand."""

from __future__ import annotations

import inspect
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest.mock import Mock

import aiohttp
from aioresponses import aioresponses

HOST = "http://127.0.0.1:1"  # nobody listens there, should a request ever leave

# With these the request has not left.
NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError, aiohttp.ClientHttpProxyError)


@dataclass(frozen=True)
class Answer:
    """
    What comes back for a request.

    :param status: its status
    :param body: its body: text or bytes as they are, anything else as JSON
    :param headers: its headers
    :param error: what aiohttp raises in its place
    """

    status: int = 200
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None


def own_error(status: int, message: Any = "no", headers: dict[str, str] | None = None, **more: Any) -> Answer:
    """Give an error as DataRecs says it itself."""
    return Answer(status, {"statusCode": status, "message": message, **more}, headers or {})


class Response(aiohttp.ClientResponse):
    """One as aioresponses makes it, which does not know what aiohttp asks for since its release 3.14."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **{**more, **NOBODY})


KNOWN = inspect.signature(aiohttp.ClientResponse).parameters
# In the place of who has sent the request. That of aioresponses is debugged, which takes time.
NOBODY = {"loop": Mock(**{"get_debug.return_value": False}), "stream_writer": Mock(output_size=0)}
NOBODY = {name: mock for name, mock in NOBODY.items() if name in KNOWN}


class Seen(NamedTuple):
    """A request that was sent: its method and path, when, with which headers and which JSON."""

    request: str
    at: float
    headers: Any
    json: Any


class Wire(aioresponses):
    """Answer in the place of the network, while it is entered; ``seen`` are the requests so far."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Seen] = []

    def clear(self) -> None:
        """Forget all answers and requests."""
        super().clear()
        self.requests.clear()
        self.seen.clear()

    def answer(self, request: str, *answers: Answer) -> None:
        """
        Say what comes back for a request: one answer after the other, and the last one ever again.

        :param request: its method and path, such as ``GET /jobs``, or ``*`` for every path
        :param answers: what comes back
        """
        method, _, path = request.partition(" ")
        url = re.compile(".*" if path == "*" else re.escape(HOST + path) + r"(\?.*)?$")
        for number, answer in enumerate(answers, start=1):
            is_plain = isinstance(answer.body, (str, bytes))
            self.add(
                url,
                method,
                status=answer.status,
                body=answer.body if is_plain else json.dumps(answer.body),
                headers=answer.headers,
                exception=answer.error,
                repeat=number == len(answers),
                response_class=Response,
                callback=lambda url, headers, json=None, **_: self._note(method, url, headers, json),
            )

    def _note(self, method: str, url: Any, headers: Any, body: Any) -> None:
        path = str(url).partition("?")[0][len(HOST) :]
        self.seen.append(Seen(f"{method} {path}", time.time(), headers, body))

    async def _request_mock(self, session: Any, *arguments: Any, **more: Any) -> Any:
        has_left = True
        try:
            return await super()._request_mock(session, *arguments, **more)
        except NEVER_SENT:
            has_left = False
            raise
        finally:
            for trace in session._trace_configs if has_left else ():
                context = trace.trace_config_ctx(trace_request_ctx=more.get("trace_request_ctx"))
                await trace.on_request_headers_sent.send(session, context, None)
