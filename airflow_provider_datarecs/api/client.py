"""The async client of the DataRecs API: one method for each call of the contract."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Mapping, TypeVar
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from airflow_provider_datarecs import __version__
from airflow_provider_datarecs.api import answers, contract
from airflow_provider_datarecs.api.errors import (
    AnsweredWithError,
    LimitUsedUp,
    MaybeArrived,
    NeverArrived,
    RequestError,
    RunMayHaveStarted,
    Unavailable,
    UnreadableAnswer,
)
from airflow_provider_datarecs.api.rate_limit import SeenLimit
from airflow_provider_datarecs.api.retry import CONNECT_TIMEOUT, OPERATOR, REQUEST_TIMEOUT, Patience, retrying
from airflow_provider_datarecs.api.runs import Run, Runnable, check_id, check_text, read_run
from airflow_provider_datarecs.api.urls import is_same_origin, on_same_origin, with_query

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from airflow_provider_datarecs.api.settings import ClientSettings

T = TypeVar("T")

MAX_ANSWER = 16 * 1024 * 1024  # bytes; a page of any list is far below, and a triggerer must survive anything
USER_AGENT = f"apache-airflow-provider-datarecs/{__version__}"


class DataRecsClient:
    """
    Talk to the DataRecs API over one session with keep-alive: an async context manager, for one event loop.

    :param settings: where the API is and how to be let in; may be replaced while the client is open
    :param tls: the trusted certificates, from ``settings.tls()``; None for plain http
    :param patience: how long each call goes on trying
    :param seen_limit: takes down what each answer says of the rate limit; while it is known to let nothing
        through, nothing is sent. Default one of this client's own
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        tls: ssl.SSLContext | None,
        patience: Patience = OPERATOR,
        seen_limit: SeenLimit | None = None,
    ) -> None:
        self.settings = settings
        self._tls = tls
        self._patience = patience
        self._seen_limit = seen_limit or SeenLimit()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> DataRecsClient:
        # Without a TLS context aiohttp would load certificates on the event loop.
        connector = aiohttp.TCPConnector(ssl=self._tls) if self._tls else aiohttp.TCPConnector()
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
            headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

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
        query = {contract.WORKSPACE_ID: check_id("workspace_id", workspace_id)}
        jobs = await self._list([contract.JOBS], query, what=f"the jobs of workspace {workspace_id!r}")
        # A service that does not know the filter answers with the jobs of every workspace.
        return [job for job in jobs if answers.id_text(job.get("workspace_id")) in (None, workspace_id)]

    async def start_run(
        self, runnable: Runnable, *, idempotency_key: str, run_label: str | None = None
    ) -> str:
        """
        Start a run and give its id.

        :param runnable: the job or job group
        :param idempotency_key: the same for every attempt at the same wish
        :param run_label: a label for the run, default none
        :raises InvalidInput: when the label is a template's None
        :raises RunMayHaveStarted: when the request may have arrived but its answer is lost or unreadable
        """
        if run_label:
            check_text("run_label", run_label)
        try:
            return await self._ask(
                "POST",
                self._url([runnable.kind.path, runnable.id, contract.RUN], runnable),
                answers.new_run_id,
                what=str(runnable),
                body={contract.RUN_LABEL: run_label} if run_label else None,
                headers={contract.IDEMPOTENCY_HEADER: idempotency_key},
            )
        except (MaybeArrived, Unavailable) as error:
            raise RunMayHaveStarted(runnable, error) from error

    async def list_runs(self, runnable: Runnable) -> list[dict[str, Any]]:
        """
        List the run history of a job or job group, with keys in snake_case.

        :param runnable: the job or job group
        """
        query = {contract.WORKSPACE_ID: runnable.workspace_id}
        return await self._list(
            [runnable.kind.path, runnable.id, contract.RUNS], query, what=f"the runs of {runnable}"
        )

    async def runs_page(self, runnable: Runnable, url: str | None = None) -> answers.Page:
        """
        Give one page of the run history of a job or job group; ``next_url`` in it is whole.

        :param runnable: the job or job group
        :param url: the page's URL as another page names it, default that of the first page
        """
        first = self._url([runnable.kind.path, runnable.id, contract.RUNS], runnable)
        if url is not None and not is_same_origin(url, first):
            url = None  # from before the connection was changed: its host must not get the new key
        page = await self._ask("GET", url or first, answers.page, what=f"the runs of {runnable}")
        return replace(page, next_url=_next_url(first, url or first, page))

    async def get_run(self, runnable: Runnable, run_id: str) -> Run:
        """
        Ask for one run.

        :param runnable: the job or job group
        :param run_id: the run's id
        :raises UnreadableAnswer: when the answer is not about this very run
        """
        check_id("run_id", run_id)
        return await self._ask(
            "GET",
            self._url([runnable.kind.path, runnable.id, contract.RUNS, run_id], runnable),
            lambda call, answer: read_run(call, answer, runnable, run_id),
            what=f"run {run_id!r} of {runnable}",
        )

    async def cancel_run(self, runnable: Runnable, run_id: str, *, reason: str) -> bool:
        """
        Ask DataRecs to cancel a run, which it does in its own time.

        :param runnable: the job or job group
        :param run_id: the run's id
        :param reason: shown at DataRecs
        :return: False if DataRecs does not offer to cancel this run
        """
        check_id("run_id", run_id)
        try:
            await self._ask(
                "POST",
                self._url(
                    [runnable.kind.path, runnable.id, contract.RUNS, run_id, contract.CANCEL], runnable
                ),
                lambda _call, _answer: None,
                what=f"run {run_id!r} of {runnable}",
                body={contract.REASON: reason},
            )
        except AnsweredWithError as error:
            if error.status in contract.CANCEL_NOT_OFFERED:
                return False
            raise
        return True

    def _url(self, segments: list[str], runnable: Runnable | None = None) -> str:
        url = self.settings.url(*segments)
        return with_query(url, {contract.WORKSPACE_ID: runnable.workspace_id}) if runnable else url

    async def _list(
        self, segments: list[str], query: dict[str, str] | None = None, *, what: str
    ) -> list[dict[str, Any]]:
        first = url = with_query(self._url(segments), query or {})
        items: list[dict[str, Any]] = []
        asked: set[str] = set()
        previous: list[dict[str, Any]] = []
        while url not in asked:
            asked.add(url)
            page = await self._ask("GET", url, answers.page, what=what)
            if not page.items or page.items == previous:
                break
            items += page.items
            previous = page.items
            url = _next_url(first, url, page) or url
        return items

    async def _ask(
        self,
        method: str,
        url: str,
        parse: Callable[[str, Any], T],
        *,
        what: str,
        body: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> T:
        """Send a request, again where the policy says so, until ``parse`` accepts its answer."""
        call = f"{method} {urlsplit(url).path}"

        async def once() -> T:
            closed_for = self._seen_limit.closed_for()
            if closed_for:
                problem = f"not sent: the rate limit is used up and opens in {closed_for:.0f} s"
                raise LimitUsedUp(call, problem, closed_for)
            status, answer_headers, answer = await self._exchange(call, method, url, body, headers)
            try:
                return parse(call, answers.read(call, what, status, answer_headers, answer))
            except RequestError:
                safe = _without(self.settings.api_key, answer)
                if safe == answer:
                    raise
            # The service echoes the API key: the error is made anew, with no trace of it in its causes.
            return parse(call, answers.read(call, what, status, answer_headers, safe))

        if self._patience.attempts == 1:
            return await once()
        return await retrying(self._patience, repeatable=method == "GET")(once)

    async def _exchange(
        self, call: str, method: str, url: str, body: dict[str, str] | None, headers: dict[str, str] | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        if self._session is None:
            raise RuntimeError("DataRecsClient is not open; use it with 'async with'")
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                json=body,
                skip_auto_headers=() if body else ("Content-Type",),
                headers={**self.settings.headers(), **(headers or {})},
                allow_redirects=False,
                proxy=self.settings.proxy.url if self.settings.proxy else None,
                proxy_headers=self.settings.proxy_headers(),
            ) as response:
                self._seen_limit.note(response.headers)
                return response.status, response.headers, await _read_body(call, response)
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError) as error:
            # No read timeout is set, so a ServerTimeoutError is always one of connecting.
            raise NeverArrived(
                call, f"no connection to {self.settings.base_url}: {_reason(error)}"
            ) from error
        except aiohttp.ClientHttpProxyError as error:
            # No tunnel was made. The error's own text has the proxy's URL, and a password with it.
            refusal = f"{error.status} {error.message}"
            raise NeverArrived(
                call, f"the proxy refuses a connection to {self.settings.base_url}: {refusal}"
            ) from None
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise MaybeArrived(call, f"no answer from {self.settings.base_url}: {_reason(error)}") from error


def _next_url(first: str, url: str, page: answers.Page) -> str | None:
    if page.cursor is not None:
        return with_query(first, {contract.CURSOR: page.cursor})
    return None if page.next_url is None else on_same_origin(url, page.next_url)


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
