"""The async client of the DataRecs API: one method for each call of the contract."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Mapping, TypeVar
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from airflow_provider_datarecs import __version__
from airflow_provider_datarecs.api import contract, parsing
from airflow_provider_datarecs.api.bodies import ASKED_ENCODING, MAX_ANSWER
from airflow_provider_datarecs.api.errors import (
    AnsweredWithError,
    DataRecsError,
    ForeignAnswer,
    InvalidInput,
    LimitUsedUp,
    MaybeArrived,
    NeverArrived,
    Redirected,
    Rejected,
    RequestError,
    RunMayHaveStarted,
    Unavailable,
    UnreadableAnswer,
)
from airflow_provider_datarecs.api.pages import MAX_PAGES, each_once, walk, whole_next_url
from airflow_provider_datarecs.api.rate_limit import RateLimitState
from airflow_provider_datarecs.api.retry import (
    CONNECT_TIMEOUT,
    OPERATOR,
    REQUEST_TIMEOUT,
    RetryPolicy,
    retrying,
)
from airflow_provider_datarecs.api.runs import Run, read_run
from airflow_provider_datarecs.api.targets import Target, check_id, check_text
from airflow_provider_datarecs.api.transport import Sending, make_connector, session_limits, tracing
from airflow_provider_datarecs.api.urls import is_same_origin, with_query

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from airflow_provider_datarecs.api.settings import ClientSettings

T = TypeVar("T")

log = logging.getLogger(__name__)

READ_AT_ONCE = 64 * 1024  # bytes of an answer that may be read on the event loop: some milliseconds
EXPECTED = (aiohttp.ClientError, asyncio.TimeoutError, OSError)  # what a network does to a request
USER_AGENT = f"apache-airflow-provider-datarecs/{__version__}"


class DataRecsClient:
    """
    Talk to the DataRecs API: an async context manager, for one event loop.

    Questions share connections, which are kept alive. What changes something gets a connection of its own: a
    server closes one that was idle at any moment, and a request that was just being sent on it is lost, which
    no answer tells from one that was carried out.

    :param settings: where the API is and how to be let in; may be replaced while the client is open
    :param tls: the trusted certificates, from ``settings.tls()``; None for plain http
    :param policy: how long each call goes on trying
    :param rate_limit_state: takes down what each answer says of the rate limit; while it is known to let
        nothing through, nothing is sent. Default one of this client's own
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        tls: ssl.SSLContext | None,
        policy: RetryPolicy = OPERATOR,
        rate_limit_state: RateLimitState | None = None,
    ) -> None:
        self.settings = settings
        self._tls = tls
        self._patience = policy
        self._rate_limit_state = rate_limit_state or RateLimitState()
        self._session: aiohttp.ClientSession | None = None
        self._session_for_posts: aiohttp.ClientSession | None = None
        self._surprises: set[type[Exception]] = set()

    async def __aenter__(self) -> DataRecsClient:
        self._session = self._open_session()
        return self

    def _session_of(self, method: str) -> aiohttp.ClientSession:
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
            connector=make_connector(force_close=not is_kept_alive, **tls),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
            headers={
                "User-Agent": USER_AGENT,
                "Accept": "application/json",
                "Accept-Encoding": ASKED_ENCODING,
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            # What aiohttp can decompress differs by what else is installed, and it does so on the event loop.
            auto_decompress=False,
            trace_configs=[tracing()],
            **session_limits(),
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for session in filter(None, (self._session, self._session_for_posts)):
            try:
                await session.close()
            except Exception:  # noqa: PERF203 - whatever was asked has been answered
                log.exception("The connections to %s cannot be closed", self.settings.base_url)

    async def list_workspaces(self) -> list[dict[str, Any]]:
        """List all workspaces that the API key can see, with keys in snake_case."""
        return await self._list([contract.WORKSPACES], what="the list of workspaces")

    async def list_jobs(self, workspace_id: str | None = None) -> list[dict[str, Any]]:
        """
        List jobs, with keys in snake_case.

        :param workspace_id: the workspace whose jobs to list, default all
        """
        if workspace_id is None:
            return await self._list([contract.JOBS], what="the list of jobs")
        workspace_id = check_id(contract.WORKSPACE_ID, workspace_id)
        query = {contract.WORKSPACE_ID: workspace_id}
        jobs = await self._list([contract.JOBS], query, what=f"the jobs of workspace {workspace_id!r}")
        # A service that does not know the filter answers with the jobs of every workspace.
        owners = (None, workspace_id)
        return [job for job in jobs if parsing.id_text(job.get(contract.WORKSPACE_ID)) in owners]

    async def start_run(
        self,
        target: Target,
        *,
        idempotency_key: str,
        run_label: str | None = None,
        before_send: Callable[[], None] = lambda: None,
    ) -> str:
        """
        Start a run and give its id.

        :param target: the job or job group
        :param idempotency_key: the same for every attempt at the same wish
        :param run_label: a label for the run, default none
        :param before_send: called each time the request is about to be sent, default nothing
        :raises InvalidInput: when the label is a template's None, or the key cannot be a header
        :raises RunMayHaveStarted: when the request may have arrived but its answer is lost or unreadable, or
            says that one with this key is being carried out
        """
        if run_label not in (None, ""):
            run_label = check_text(contract.RUN_LABEL, run_label)
        if not idempotency_key.isprintable():
            raise InvalidInput(f"idempotency_key is {idempotency_key!r}, which no HTTP header can carry")
        try:
            return await self._ask(
                "POST",
                self._url([target.kind.path, target.id, contract.RUN], target),
                parsing.new_run_id,
                what=str(target),
                body={contract.RUN_LABEL: run_label} if run_label else None,
                headers={contract.IDEMPOTENCY_HEADER: idempotency_key},
                before_send=before_send,
            )
        except (MaybeArrived, Unavailable) as error:
            if isinstance(error, Redirected) and error.status in contract.SENT_ELSEWHERE:
                raise
            raise RunMayHaveStarted(target, error) from error
        except Rejected as error:
            if error.status == contract.CONFLICT and contract.NAMES_A_KEY.search(error.problem):
                raise RunMayHaveStarted(target, error) from error
            raise

    async def list_runs(self, target: Target) -> list[dict[str, Any]]:
        """
        List the run history of a job or job group, with keys in snake_case.

        :param target: the job or job group
        """
        query = {contract.WORKSPACE_ID: target.workspace_id}
        return await self._list(
            [target.kind.path, target.id, contract.RUNS], query, what=f"the runs of {target}"
        )

    async def runs_page(self, target: Target, url: str | None = None) -> parsing.Page:
        """
        Give one page of the run history of a job or job group; ``next_url`` in it is whole.

        :param target: the job or job group
        :param url: the page's URL as another page names it, default that of the first page
        """
        first = self._url([target.kind.path, target.id, contract.RUNS], target)
        if url is not None and not is_same_origin(url, first):
            url = None  # from before the connection was changed: its host must not get the new key
        return await self._page(first, url or first, f"the runs of {target}")

    def run_pages(self, target: Target, *, most: int) -> AsyncIterator[parsing.Page]:
        """
        Give the run history of a job or job group page by page, to its end.

        :param target: the job or job group
        :param most: how many pages to read
        :raises EndlessList: when there are more, or they lead in a circle
        """
        first = self._url([target.kind.path, target.id, contract.RUNS], target)
        return self._pages(first, f"the runs of {target}", most)

    async def get_run(self, target: Target, run_id: str) -> Run:
        """
        Ask for one run.

        :param target: the job or job group
        :param run_id: the run's id
        :raises UnreadableAnswer: when the answer is not about this very run
        """
        run_id = check_id(contract.RUN_ID, run_id)
        return await self._ask(
            "GET",
            self._url([target.kind.path, target.id, contract.RUNS, run_id], target),
            lambda call, answer: read_run(call, answer, target, run_id),
            what=f"run {run_id!r} of {target}",
        )

    async def cancel_run(self, target: Target, run_id: str, *, reason: str) -> bool:
        """
        Ask DataRecs to cancel a run, which it does in its own time.

        :param target: the job or job group
        :param run_id: the run's id
        :param reason: shown at DataRecs
        :return: False if DataRecs does not offer to cancel this run
        """
        run_id = check_id(contract.RUN_ID, run_id)
        try:
            await self._ask(
                "POST",
                self._url([target.kind.path, target.id, contract.RUNS, run_id, contract.CANCEL], target),
                lambda _call, _answer: None,
                what=f"run {run_id!r} of {target}",
                body={contract.REASON: reason},
            )
        except (AnsweredWithError, ForeignAnswer) as error:
            # Whoever says it: where there is no such call, a gateway may be what answers.
            if error.status in contract.CANCEL_NOT_OFFERED:
                return False
            raise
        return True

    def _url(self, segments: list[str], target: Target | None = None) -> str:
        url = self.settings.url(*segments)
        return with_query(url, {contract.WORKSPACE_ID: target.workspace_id}) if target else url

    async def _list(
        self, segments: list[str], query: dict[str, str] | None = None, *, what: str
    ) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        async for page in self._pages(with_query(self._url(segments), query or {}), what, MAX_PAGES):
            items += page.items
        return each_once(items)

    def _pages(self, first: str, what: str, most: int) -> AsyncIterator[parsing.Page]:
        return walk(lambda url: self._page(first, url, what), first, what=what, most=most)

    async def _page(self, first: str, url: str, what: str) -> parsing.Page:
        page = await self._ask("GET", url, parsing.page, what=what)
        return replace(page, next_url=whole_next_url(first, url, page))

    async def _ask(
        self,
        method: str,
        url: str,
        parse: Callable[[str, Any], T],
        *,
        what: str,
        body: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        before_send: Callable[[], None] = lambda: None,
    ) -> T:
        """Send a request, again where the policy says so, until ``parse`` accepts its answer."""
        call = f"{method} {urlsplit(url).path}"

        async def once() -> T:
            closed_for = self._rate_limit_state.closed_for()
            if closed_for:
                problem = f"not sent: the rate limit is used up and opens in {closed_for:.0f} s"
                raise LimitUsedUp(call, problem, closed_for)
            before_send()
            status, answer_headers, answer = await self._exchange(call, method, url, body, headers)

            def interpret(answer: bytes) -> T:
                return parse(call, parsing.read(call, what, status, answer_headers, answer))

            is_small = len(answer) <= READ_AT_ONCE and "Content-Encoding" not in answer_headers
            try:
                if is_small:
                    return self._without_key(interpret, answer)
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(None, self._without_key, interpret, answer)
            except DataRecsError:
                raise
            except Exception as error:
                raise UnreadableAnswer(
                    call, f"the answer cannot be read: {self._surprise(call, error)}"
                ) from error

        if self._patience.attempts == 1:
            return await once()
        return await retrying(self._patience, repeatable=method == "GET")(once)

    def _without_key(self, interpret: Callable[[bytes], T], answer: bytes) -> T:
        """Interpret an answer; what goes wrong does not show the API key, even if the answer does."""
        try:
            return interpret(answer)
        except RequestError:
            safe = _without(self.settings.api_key, answer)
            if safe == answer:
                raise
        # The service echoes the API key: the error is made anew, with no trace of it in its causes.
        return interpret(safe)

    async def _exchange(
        self, call: str, method: str, url: str, body: dict[str, str] | None, headers: dict[str, str] | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        session, sending = self._session_of(method), Sending()
        try:
            async with session.request(
                method,
                URL(url, encoded=True),
                json=body,
                skip_auto_headers=() if body else ("Content-Type",),
                headers={**self.settings.headers(), **(headers or {})},
                allow_redirects=False,
                proxy=self.settings.proxy.url if self.settings.proxy else None,
                proxy_headers=self.settings.proxy_headers(),
                trace_request_ctx=sending,
            ) as response:
                self._rate_limit_state.note(response.headers)
                return response.status, response.headers, await _read_body(call, response)
        except DataRecsError:
            raise
        except aiohttp.ClientHttpProxyError as error:
            # No tunnel was made. The error's own text has the proxy's URL, and a password with it.
            refusal = f"{error.status} {error.message}"
            raise NeverArrived(
                call, f"the proxy refuses a connection to {self.settings.base_url}: {refusal}"
            ) from None
        except Exception as error:
            reason = _reason(error) if isinstance(error, EXPECTED) else self._surprise(call, error)
            if sending.is_begun:
                raise MaybeArrived(call, f"no answer from {self.settings.base_url}: {reason}") from error
            raise NeverArrived(call, f"no connection to {self.settings.base_url}: {reason}") from error

    def _surprise(self, call: str, error: Exception) -> str:
        """Name an error that nobody has foreseen, and log where it came from, once for each kind."""
        if type(error) not in self._surprises:
            self._surprises.add(type(error))
            log.warning("%s: an error that this provider does not know, as no answer", call, exc_info=error)
        return f"{type(error).__name__}: {error}"


async def _read_body(call: str, response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            body.clear()  # what has been read would live as long as the error's traceback
            raise UnreadableAnswer(call, f"the answer is larger than {MAX_ANSWER} bytes")
    return bytes(body)


def _without(secret: str, answer: bytes) -> bytes:
    for form in (secret, secret.replace("/", "\\/")):
        answer = answer.replace(form.encode(), b"***")
    return answer


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
