"""What each release of aiohttp must be told, so that no default of it is a limit of this provider's."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpResponseParser

LONGEST_HEADER = 256 * 1024  # bytes of one header, or of the status line; gateways send a few thousand
MOST_HEADERS = 1000  # of one answer


class Sending:
    """
    Tell how far a request has come.

    ``is_begun`` says whether the first byte of it may have left; before, it provably has not arrived.
    """

    __slots__ = ("is_begun",)

    def __init__(self) -> None:
        self.is_begun = False


def tracing() -> aiohttp.TraceConfig:
    """Make what keeps the :class:`Sending` of each request up to date, its ``trace_request_ctx``."""

    async def begin(_session: Any, context: Any, _params: Any) -> None:
        context.trace_request_ctx.is_begun = True

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(begin)
    return trace


def session_limits() -> dict[str, Any]:
    """Give the arguments of a session that let long headers through, and many; those that it knows."""
    limits = {
        "max_line_size": LONGEST_HEADER,
        "max_field_size": LONGEST_HEADER,
        "max_headers": MOST_HEADERS,  # counted from aiohttp 3.14 on
    }
    known = inspect.signature(aiohttp.ClientSession).parameters
    return {name: limit for name, limit in limits.items() if name in known}


def make_connector(**arguments: Any) -> aiohttp.TCPConnector:
    """
    Make a connector that lets long headers through where the session cannot be told to: before aiohttp 3.9.

    :param arguments: those of aiohttp's
    """
    connector = aiohttp.TCPConnector(**arguments)
    if not session_limits():
        connector._factory = functools.partial(_Responses, loop=connector._loop)  # type: ignore[assignment] # noqa: SLF001
    return connector


class _Responses(ResponseHandler):
    """Read answers as aiohttp 3.8 does, with its defaults, but for its limits."""

    def set_response_params(self, **params: Any) -> None:
        super().set_response_params(**params)
        self._parser = HttpResponseParser(
            self,
            self._loop,
            params.get("read_bufsize", 2**16),
            timer=params.get("timer"),
            payload_exception=aiohttp.ClientPayloadError,
            response_with_body=not params.get("skip_payload", False),
            read_until_eof=params.get("read_until_eof", False),
            auto_decompress=params.get("auto_decompress", True),
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
        )
