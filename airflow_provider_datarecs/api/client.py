"""The async client of the DataRecs API: one method for each call of the contract."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, TypeVar
from urllib.parse import quote

from airflow_provider_datarecs.api import contract, parsing
from airflow_provider_datarecs.api.errors import (
    AnsweredWithError,
    DataRecsError,
    ForeignAnswer,
    InvalidInput,
    LimitUsedUp,
    MaybeArrived,
    Redirected,
    Rejected,
    RequestError,
    RunMayHaveStarted,
    Unavailable,
    UnreadableAnswer,
)
from airflow_provider_datarecs.api.pages import MAX_PAGES, each_once, iter_pages, whole_next_url
from airflow_provider_datarecs.api.rate_limit import RateLimitState
from airflow_provider_datarecs.api.retry import OPERATOR, RetryPolicy, retrying
from airflow_provider_datarecs.api.runs import Run, read_run
from airflow_provider_datarecs.api.targets import Target, check_id, check_text
from airflow_provider_datarecs.api.transport import Request, Transport
from airflow_provider_datarecs.api.urls import is_same_origin, with_query

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from airflow_provider_datarecs.api.settings import ClientSettings

T = TypeVar("T")

READ_AT_ONCE = 64 * 1024  # bytes of an answer that may be read on the event loop: some milliseconds


class DataRecsClient:
    """
    Talk to the DataRecs API: an async context manager, for one event loop.

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
        self._policy = policy
        self._rate_limit_state = rate_limit_state or RateLimitState()
        self._transport = Transport(tls, self._rate_limit_state)

    async def __aenter__(self) -> DataRecsClient:
        self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._transport.close(self.settings.base_url)

    async def list_workspaces(self) -> list[dict[str, Any]]:
        """List all workspaces that the API key can see, with keys in snake_case."""
        return await self._list(self.settings.url(contract.WORKSPACES), "the list of workspaces")

    async def list_jobs(self, workspace_id: str | None = None) -> list[dict[str, Any]]:
        """
        List jobs, with keys in snake_case.

        :param workspace_id: the workspace whose jobs to list, default all
        """
        url = self.settings.url(contract.JOBS)
        if workspace_id is None:
            return await self._list(url, "the list of jobs")
        workspace_id = check_id(contract.WORKSPACE_ID, workspace_id)
        url = with_query(url, {contract.WORKSPACE_ID: workspace_id})
        jobs = await self._list(url, f"the jobs of workspace {workspace_id!r}")
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
        :param idempotency_key: the same for every attempt at the same start
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
        request = Request(
            "POST",
            self._url(target, contract.RUN),
            body={contract.RUN_LABEL: run_label} if run_label else None,
            headers={contract.IDEMPOTENCY_HEADER: idempotency_key},
        )
        try:
            return await self._request(request, parsing.new_run_id, what=str(target), before_send=before_send)
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
        return await self._list(self._url(target, contract.RUNS), f"the runs of {target}")

    async def runs_page(self, target: Target, url: str | None = None) -> parsing.Page:
        """
        Give one page of the run history of a job or job group; ``next_url`` in it is whole.

        :param target: the job or job group
        :param url: the page's URL as another page names it, default that of the first page
        """
        first = self._url(target, contract.RUNS)
        if url is not None and not is_same_origin(url, first):
            url = None  # from before the connection was changed: its host must not get the new key
        return await self._request_page(first, url or first, f"the runs of {target}")

    def iter_run_pages(self, target: Target, *, most: int) -> AsyncIterator[parsing.Page]:
        """
        Give the run history of a job or job group page by page, to its end.

        :param target: the job or job group
        :param most: how many pages to read
        :raises EndlessList: when there are more, or they lead in a circle
        """
        return self._iter_pages(self._url(target, contract.RUNS), f"the runs of {target}", most)

    async def get_run(self, target: Target, run_id: str) -> Run:
        """
        Ask for one run.

        :param target: the job or job group
        :param run_id: the run's id
        :raises UnreadableAnswer: when the answer is not about this very run
        """
        run_id = check_id(contract.RUN_ID, run_id)
        return await self._request(
            Request("GET", self._url(target, contract.RUNS, quote(run_id, safe=""))),
            lambda call, answer: read_run(call, answer, target, run_id),
            what=target.name_run(run_id),
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
        url = self._url(target, contract.RUNS, quote(run_id, safe=""), contract.CANCEL)
        request = Request("POST", url, body={contract.REASON: reason})
        try:
            await self._request(request, lambda _call, _answer: None, what=target.name_run(run_id))
        except (AnsweredWithError, ForeignAnswer) as error:
            # Whoever says it: where there is no such call, a gateway may be what answers.
            if error.status in contract.CANCEL_NOT_OFFERED:
                return False
            raise
        return True

    def _url(self, target: Target, *segments: str) -> str:
        path = "/".join((self.settings.base_url, target.path, *segments))
        return f"{path}?{target.query}"

    async def _list(self, first: str, what: str) -> list[dict[str, Any]]:
        pages = self._iter_pages(first, what, MAX_PAGES)
        return each_once([item async for page in pages for item in page.items])

    def _iter_pages(self, first: str, what: str, most: int) -> AsyncIterator[parsing.Page]:
        return iter_pages(lambda url: self._request_page(first, url, what), first, what=what, most=most)

    async def _request_page(self, first: str, url: str, what: str) -> parsing.Page:
        page = await self._request(Request("GET", url), parsing.page, what=what)
        return replace(page, next_url=whole_next_url(first, url, page))

    async def _request(
        self,
        request: Request,
        parse: Callable[[str, Any], T],
        *,
        what: str,
        before_send: Callable[[], None] = lambda: None,
    ) -> T:
        """Send a request, again where the policy says so, until ``parse`` accepts its answer."""
        send = functools.partial(self._send_once, request, parse, what, before_send)
        if self._policy.attempts == 1:
            return await send()
        return await retrying(self._policy, repeatable=request.method == "GET")(send)

    async def _send_once(
        self, request: Request, parse: Callable[[str, Any], T], what: str, before_send: Callable[[], None]
    ) -> T:
        call, closed_for = request.call, self._rate_limit_state.closed_for()
        if closed_for:
            problem = f"not sent: the rate limit is used up and opens in {closed_for:.0f} s"
            raise LimitUsedUp(call, problem, closed_for)
        before_send()
        answer = await self._transport.exchange(request, self.settings)

        def interpret(body: bytes) -> T:
            return parse(call, parsing.read(call, what, answer.status, answer.headers, body))

        try:
            if len(answer.body) <= READ_AT_ONCE and "Content-Encoding" not in answer.headers:
                return self._without_key(interpret, answer.body)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(None, self._without_key, interpret, answer.body)
        except DataRecsError:
            raise
        except Exception as error:
            reason = self._transport.unforeseen(call, error)
            raise UnreadableAnswer(call, f"the answer cannot be read: {reason}") from error

    def _without_key(self, interpret: Callable[[bytes], T], body: bytes) -> T:
        """Interpret an answer's body; what goes wrong does not show the API key, even if the body does."""
        try:
            return interpret(body)
        except RequestError:
            safe = _without(self.settings.api_key, body)
            if safe == body:
                raise
        # The service echoes the API key: the error is made anew, with no trace of it in its causes.
        return interpret(safe)


def _without(secret: str, answer: bytes) -> bytes:
    for form in (secret, secret.replace("/", "\\/")):
        answer = answer.replace(form.encode(), b"***")
    return answer
