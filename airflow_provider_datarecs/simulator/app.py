"""Speaks HTTP for a simulated DataRecs."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, AsyncIterator, Awaitable, Callable

from aiohttp import web

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator.front_page import front_page
from airflow_provider_datarecs.simulator.sending import SpoiltAnswer
from airflow_provider_datarecs.simulator.webhooks import WebhookSender

if TYPE_CHECKING:
    from airflow_provider_datarecs.simulator.faults import Fault
    from airflow_provider_datarecs.simulator.runs import Job, Run
    from airflow_provider_datarecs.simulator.world import World

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PREFIXES = ("", "/v1")  # both documented forms of the API's URL
FRONT_PAGE = "/"
MAX_LABEL = 200
DID = ContextVar("did", default="")  # what was done about the request that is being answered


@dataclass(frozen=True)
class SeenRequest:
    """
    A request as it came in.

    :param path: as it was on the wire, without the query
    :param status: what it was answered with, None if it was not
    :param at: when it came, in epoch seconds of the world's clock
    :param did: what was done about it, in words, with ids; default nothing to tell
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str
    status: int | None
    at: float
    did: str = ""


class SimulatorApp:
    """
    Answer requests about a world.

    :param world: what exists
    :param faults: what goes wrong; may be changed at any time
    :param on_request: told of each request once it is answered, or once it is clear that it will not be
    """

    def __init__(
        self,
        world: World,
        faults: list[Fault] | None = None,
        on_request: Callable[[SeenRequest], None] = lambda _: None,
    ) -> None:
        self.world = world
        self.on_request = on_request
        self.faults = faults if faults is not None else []
        self.requests: list[SeenRequest] = []
        self.seen = threading.Condition()

    def make(self) -> web.Application:
        """Make the web application."""
        app = web.Application(middlewares=[self._observe, self._let_in])
        app.cleanup_ctx.append(self._post_events)
        app.router.add_get(FRONT_PAGE, self._front_page)
        for prefix in PREFIXES:
            app.router.add_get(f"{prefix}/{contract.WORKSPACES}", self._list_workspaces)
            app.router.add_get(f"{prefix}/{contract.JOBS}", self._list_jobs)
            for kind in TargetKind:
                base = f"{prefix}/{kind.path}/{{owner_id}}"
                run = f"{base}/{contract.RUNS}/{{run_id}}"
                app.router.add_post(f"{base}/{contract.RUN}", self._for(kind, self._start_run))
                app.router.add_get(f"{base}/{contract.RUNS}", self._for(kind, self._list_runs))
                app.router.add_get(run, self._for(kind, self._get_run))
                app.router.add_post(f"{run}/{contract.CANCEL}", self._for(kind, self._cancel_run))
        return app

    async def _post_events(self, _: web.Application) -> AsyncIterator[None]:
        sending = asyncio.create_task(WebhookSender(self.world).run())
        yield
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    # --- before and after every request ---

    @web.middleware
    async def _observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        body, came_at = await request.read(), self.world.clock()
        DID.set("")  # of the request before, on the same connection
        status: int | None = None
        try:
            response = await self._with_faults(request, handler)
            if request.transport is not None and not request.transport.is_closing():
                status = response.status
        finally:
            seen = SeenRequest(
                request.method,
                request.rel_url.raw_path,
                dict(request.query),
                dict(request.headers),
                body.decode(),
                status,
                came_at,
                DID.get(),
            )
            with self.seen:
                self.requests.append(seen)
                self.seen.notify_all()
            self.on_request(seen)
        return response

    async def _with_faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        now = self.world.clock()
        asked = (request.method, request.path, request.query_string)
        fault = next((one for one in self.faults if one.meets(*asked, now)), None)
        if fault is None:
            return await handler(request)
        if fault.delay:
            await asyncio.sleep(fault.delay)
        answer = await handler(request) if fault.carries_out else web.Response()
        DID.set(f"{DID.get()}, then a fault" if fault.carries_out else "a fault")
        if fault.drop in ("before", "after"):
            if request.transport is not None:
                request.transport.abort()
            return answer  # never leaves: its connection is gone
        if fault.status is not None and fault.status >= 400 and fault.body is None:
            answer = _error(fault.status, _phrase(fault.status))
        elif fault.status is not None and isinstance(fault.body, str):
            answer = web.Response(status=fault.status, text=fault.body)
        elif fault.status is not None:
            answer = _json(fault.body, status=fault.status)
        answer.headers.update(fault.headers)
        return SpoiltAnswer(answer, fault) if fault.spoils_the_way else answer

    @web.middleware
    async def _let_in(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == FRONT_PAGE:
            return await handler(request)
        scheme, _, token = request.headers.get(contract.AUTH_HEADER, "").partition(" ")
        keys = [one for one in self.world.api_keys if one.key == token]
        if scheme != contract.AUTH_SCHEME or not keys:
            DID.set("no known API key")
            return _error(401, "Unauthorized")
        limit, now = self.world.rate_limit, self.world.clock()
        if not limit.take(token, now):
            DID.set("the rate limit is used up")
            response: web.StreamResponse = _error(429, "Too Many Requests")
            response.headers[contract.RETRY_AFTER] = limit.shown(limit.seconds_left(token, now))
        elif keys[0].read_only and request.method == "POST":
            DID.set("the API key may only read")
            response = _error(403, "Forbidden")
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = _error(error.status, error.reason)
        reset = limit.seconds_left(token, now) + (now if limit.epoch_reset else 0)
        response.headers[contract.RATE_LIMIT_REMAINING] = str(limit.remaining(token, now))
        response.headers[contract.RATE_LIMIT_RESET] = limit.shown(reset)
        return response

    # --- the calls of the contract, and the page for who looks at it in a browser ---

    async def _front_page(self, request: web.Request) -> web.StreamResponse:
        routes = [
            (route.method, resource.canonical)
            for route in request.app.router.routes()
            if (resource := route.resource) and route.method in ("GET", "POST")
        ]
        calls = [
            route for route in routes if route[1] != FRONT_PAGE and not route[1].startswith(f"{PREFIXES[1]}/")
        ]
        return web.Response(text=front_page(self.world, str(request.url.origin()), calls))

    async def _list_workspaces(self, request: web.Request) -> web.StreamResponse:
        return self._page(request, list(self.world.workspaces.values()))

    async def _list_jobs(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get(contract.WORKSPACE_ID) if self.world.behaviour.filters_jobs else None
        jobs = [
            {"id": job.id, "name": job.name, "workspace_id": job.workspace_id}
            for job in self.world.owners[TargetKind.JOB].values()
            if wanted in (None, job.workspace_id)
        ]
        return self._page(request, jobs)

    async def _start_run(self, request: web.Request, kind: TargetKind, owner: Job) -> web.StreamResponse:
        try:
            body = json.loads(await request.read() or "{}")
            label = body.get(contract.RUN_LABEL)
        except (ValueError, AttributeError):
            return _error(400, "The body is not a JSON object")
        if label is not None and (not isinstance(label, str) or len(label) > MAX_LABEL):
            problem = {
                "field": contract.RUN_LABEL,
                "message": f"must be text of at most {MAX_LABEL} characters",
            }
            return _error(422, "Validation failed", errors=[problem])
        key = request.headers.get(contract.IDEMPOTENCY_HEADER)
        known = {one.id for one in self.world.runs[kind]}
        run = self.world.start_run(kind, owner, label=label, idempotency_key=key)
        DID.set(f"{'gave again' if run.id in known else 'started'} run {run.id} of {owner.id}")
        place = self.world.behaviour.run_id_in
        answers: dict[str, Any] = {
            "run_id": {"run_id": run.id},
            "id": {"id": run.id},
            "run": {"run": {"id": run.id}},
            "data": {"data": {"run_id": run.id}},
            "nowhere": {"accepted": True},
        }
        return _json(self._styled(answers[place]), status=201)

    async def _list_runs(self, request: web.Request, kind: TargetKind, owner: Job) -> web.StreamResponse:
        return self._page(request, self.world.history(kind, owner), lambda run: self._shown(kind, run))

    async def _get_run(self, request: web.Request, kind: TargetKind, owner: Job) -> web.StreamResponse:
        run = self._run(request, kind, owner)
        shown = self._shown(kind, run)
        DID.set(f"run {run.id} is {run.status(self.world.clock())}")
        return _json(self._styled(shown))

    async def _cancel_run(self, request: web.Request, kind: TargetKind, owner: Job) -> web.StreamResponse:
        if not self.world.behaviour.offers_cancel:
            raise web.HTTPNotImplemented
        run = self._run(request, kind, owner)
        self.world.cancel(run)
        DID.set(f"cancelled run {run.id}")
        return _json({"accepted": True}, status=202)

    # --- shared by the calls ---

    def _for(
        self,
        kind: TargetKind,
        handler: Callable[[web.Request, TargetKind, Job], Awaitable[web.StreamResponse]],
    ) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            workspace_id = request.query.get(contract.WORKSPACE_ID)
            if not workspace_id:
                problem = {"field": contract.WORKSPACE_ID, "message": "is required"}
                return _error(400, "Bad Request", errors=[problem])
            owner = self.world.owner(kind, request.match_info["owner_id"], workspace_id)
            if owner is None:
                raise web.HTTPNotFound
            return await handler(request, kind, owner)

        return handle

    def _run(self, request: web.Request, kind: TargetKind, owner: Job) -> Run:
        for run in self.world.history(kind, owner):
            if run.id == request.match_info["run_id"]:
                return run
        raise web.HTTPNotFound

    def _shown(self, kind: TargetKind, run: Run) -> dict[str, Any]:
        run.count_poll(self.world.clock())
        return self.world.show(kind, run)

    def _page(
        self, request: web.Request, items: list[Any], shown: Callable[[Any], Any] = lambda item: item
    ) -> web.StreamResponse:
        behaviour = self.world.behaviour
        DID.set(f"a list of {len(items)}")
        if behaviour.list_style == "bare":
            return _json([self._styled(shown(item)) for item in items])
        start = int(request.query.get(contract.CURSOR, 0))
        end = start + behaviour.page_size
        answer: dict[str, Any] = {behaviour.list_style: [shown(item) for item in items[start:end]]}
        if end < len(items):
            if behaviour.paging == "cursor":
                answer[contract.NEXT_CURSOR] = str(end)
            else:
                answer[contract.NEXT_URL] = str(request.url.update_query({contract.CURSOR: str(end)}))
        return _json(self._styled(answer))

    def _styled(self, value: Any) -> Any:
        if self.world.behaviour.key_style == "snake":
            return value
        if isinstance(value, list):
            return [self._styled(one) for one in value]
        if isinstance(value, dict):
            return {
                re.sub(r"_([a-z])", lambda m: m.group(1).upper(), key): (
                    one if key == "error" else self._styled(one)
                )
                for key, one in value.items()
            }
        return value


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.json_response(value, status=status)


def _error(status: int, message: str, **more: Any) -> web.Response:
    return _json({"statusCode": status, "message": message, **more}, status=status)
