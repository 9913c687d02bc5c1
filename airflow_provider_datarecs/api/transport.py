"""Sends one request over HTTP and gives its answer, or says how far the request has come."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Mapping

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpResponseParser
from yarl import URL

from airflow_provider_datarecs import __version__
from airflow_provider_datarecs.api.bodies import ASKED_ENCODING, MAX_ANSWER
from airflow_provider_datarecs.api.errors import (
    DataRecsError,
    MaybeArrived,
    NameUnresolved,
    NeverArrived,
    UnreadableAnswer,
)
from airflow_provider_datarecs.api.retry import CONNECT_TIMEOUT, REQUEST_TIMEOUT

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.rate_limit import RateLimitState
    from airflow_provider_datarecs.api.settings import ClientSettings

log = logging.getLogger(__name__)

LONGEST_HEADER = 256 * 1024  # bytes of one header, or of the status line; gateways send a few thousand
MOST_HEADERS = 1000  # of one answer
EXPECTED = (aiohttp.ClientError, asyncio.TimeoutError, OSError)  # what a network does to a request
# What OpenSSL, old and new, says of an answer that is no TLS.
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST"})
USER_AGENT = f"apache-airflow-provider-datarecs/{__version__}"


@dataclass(frozen=True)
class Request:
    """
    A request to DataRecs.

    :param method: the HTTP method
    :param url: the whole URL
    :param body: what to send as JSON, default nothing
    :param headers: its headers, beside those that every request has
    """

    method: str
    url: str
    body: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def call(self) -> str:
        """The request in short, for messages."""
        host_and_path = self.url.partition("?")[0].partition("://")[2]
        return f"{self.method} /{host_and_path.partition('/')[2]}"


@dataclass(frozen=True)
class Answer:
    """
    What came back.

    :param status: the HTTP status
    :param headers: read without regard to case
    :param body: as it came, compressed or not
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """
    Send requests, without retries, and own the connections they take: for one event loop.

    GETs share connections, which are kept alive. What changes something gets a connection of its own: a
    server closes one that was idle at any moment, and a request that was just being sent on it is lost, which
    no answer tells from one that was carried out.

    :param tls: the trusted certificates; None for plain http
    :param rate_limit_state: takes down what each answer says of the rate limit
    """

    def __init__(self, tls: ssl.SSLContext | None, rate_limit_state: RateLimitState) -> None:
        self._tls = tls
        self._rate_limit_state = rate_limit_state
        self._session: aiohttp.ClientSession | None = None
        self._session_for_posts: aiohttp.ClientSession | None = None
        self._logged_kinds: set[type[Exception]] = set()

    def open(self) -> None:
        """Get ready to send; needs an event loop that runs."""
        self._session = self._open_session()

    async def close(self, name: str) -> None:
        """
        Close all connections; what goes wrong with that is only logged.

        :param name: where they lead, for the log
        """
        for session in filter(None, (self._session, self._session_for_posts)):
            try:
                await session.close()
            except Exception:  # noqa: PERF203 - whatever was asked has been answered
                log.exception("The connections to %s cannot be closed", name)

    async def exchange(self, request: Request, settings: ClientSettings) -> Answer:
        """
        Send a request and give its answer, whatever its status.

        :param request: the request
        :param settings: where the API is and how to be let in
        :raises NeverArrived: when no connection was made
        :raises MaybeArrived: when the request may have arrived, and its answer is lost
        :raises UnreadableAnswer: when its answer is too large
        """
        call, session, sending = request.call, self._session_for(request.method), _Sending()
        try:
            async with session.request(
                request.method,
                URL(request.url, encoded=True),
                json=request.body,
                skip_auto_headers=() if request.body else ("Content-Type",),
                headers={**settings.headers(), **request.headers},
                allow_redirects=False,
                proxy=settings.proxy.url if settings.proxy else None,
                proxy_headers=settings.proxy_headers(),
                trace_request_ctx=sending,
            ) as response:
                self._rate_limit_state.note(response.headers)
                return Answer(response.status, response.headers, await _read_body(call, response))
        except DataRecsError:
            raise
        except aiohttp.ClientHttpProxyError as error:
            # No tunnel was made. The error's own text has the proxy's URL, and a password with it.
            refusal = f"{error.status} {error.message}"
            raise NeverArrived(
                call, f"the proxy refuses a connection to {settings.base_url}: {refusal}"
            ) from None
        except Exception as error:
            is_expected = isinstance(error, EXPECTED)
            reason = (str(error) or type(error).__name__) if is_expected else self.unforeseen(call, error)
            if sending.is_begun:
                raise MaybeArrived(call, f"no answer from {settings.base_url}: {reason}") from error
            raise _no_connection(call, settings, error, reason) from error

    def unforeseen(self, call: str, error: Exception) -> str:
        """
        Name an error that nobody has foreseen, and log where it came from, once for each kind.

        :param call: the request in short
        :param error: the error
        """
        if type(error) not in self._logged_kinds:
            self._logged_kinds.add(type(error))
            log.warning("%s: an error that this provider does not know, as no answer", call, exc_info=error)
        return f"{type(error).__name__}: {error}"

    def _session_for(self, method: str) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("DataRecsClient is not open; use it with 'async with'")
        if method == "GET":
            return self._session
        if self._session_for_posts is None:
            self._session_for_posts = self._open_session(is_kept_alive=False)
        return self._session_for_posts

    def _open_session(self, *, is_kept_alive: bool = True) -> aiohttp.ClientSession:
        # Without a TLS context aiohttp would load certificates on the event loop.
        tls: dict[str, Any] = {"ssl": self._tls} if self._tls else {}
        return aiohttp.ClientSession(
            connector=_make_connector(force_close=not is_kept_alive, **tls),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
            headers={
                "User-Agent": USER_AGENT,
                "Accept": "application/json",
                "Accept-Encoding": ASKED_ENCODING,
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            # What aiohttp can decompress differs by what else is installed, and it does so on the event loop.
            auto_decompress=False,
            trace_configs=[_tracing()],
            **_session_limits(),
        )


def _no_connection(call: str, settings: ClientSettings, error: Exception, reason: str) -> NeverArrived:
    """Make the error of a request for which there was no connection, with what to do about it."""
    problem, cause = f"no connection to {settings.base_url}: {reason}", getattr(error, "os_error", error)
    if isinstance(cause, ssl.SSLError) and any(sign in str(cause) for sign in NO_TLS):
        return NeverArrived(
            call,
            f"{problem}. https was spoken to a port that does not speak it. If it speaks plain http, write "
            "http:// before the Host, in a URI datarecs://http://:key@host:port",
        )
    if isinstance(cause, socket.gaierror) and not settings.proxy:
        return NameUnresolved(
            call, f"{problem}. The name in it has no address here: look at the connection's Host"
        )
    return NeverArrived(call, problem)


async def _read_body(call: str, response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_ANSWER:
                break
        else:
            return bytes(body)
    finally:
        body.clear()  # what has been read would live as long as an error's traceback
    raise UnreadableAnswer(call, f"the answer is larger than {MAX_ANSWER} bytes")


class _Sending:
    """How far a request has come: once ``is_begun``, its first byte may have left."""

    __slots__ = ("is_begun",)

    def __init__(self) -> None:
        self.is_begun = False


def _tracing() -> aiohttp.TraceConfig:
    async def begin(_session: Any, context: Any, _params: Any) -> None:
        context.trace_request_ctx.is_begun = True

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(begin)
    return trace


def _session_limits() -> dict[str, Any]:
    # No default of aiohttp's is to be a limit of this provider's; which it knows differs by release.
    limits = {
        "max_line_size": LONGEST_HEADER,
        "max_field_size": LONGEST_HEADER,
        "max_headers": MOST_HEADERS,  # counted from aiohttp 3.14 on
    }
    known = inspect.signature(aiohttp.ClientSession).parameters
    return {name: limit for name, limit in limits.items() if name in known}


def _make_connector(**arguments: Any) -> aiohttp.TCPConnector:
    connector = aiohttp.TCPConnector(**arguments)
    if not _session_limits():  # before aiohttp 3.9
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
