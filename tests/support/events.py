"""Signed events, and the receiver behind each of its fronts, for tests that post over real sockets."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import threading
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from aiohttp import web

from airflow_provider_datarecs.webhooks.asgi import EventsApp
from airflow_provider_datarecs.webhooks.events import sign
from airflow_provider_datarecs.webhooks.server import EventsServer
from airflow_provider_datarecs.webhooks.wsgi import EventsMiddleware

SECRET = "whsec_only-this-test-knows-it"
PATH = "/datarecs/events"
FRONTS = ["process", "wsgi", *(["asgi"] if importlib.util.find_spec("uvicorn") else [])]


def event(run_id="run_1", event_id="evt_1", end="completed", **more):
    """Give the body of an event."""
    data = {"run_id": run_id, "job_id": "job_1", "workspace_id": "ws_1"}
    event_type = f"io.datarecs.reconciliation.run.{end}"
    content = {"specversion": "1.0", "id": event_id, "type": event_type, "data": data, **more}
    return json.dumps(content).encode()


def signed(body, secret=SECRET):
    """Give the headers of a signed body."""
    return {"Content-Type": "application/json", "X-Datarecs-Signature": sign(secret, body).hex()}


def post(port, body=b"", headers=None, path=f"{PATH}/datarecs_default", method="POST", **more):
    """Send a request, and give the status and the body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {}, **more)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@contextmanager
def serving(front, receiver):
    """Serve a receiver, and give the port."""
    with {"process": _process, "wsgi": _wsgi, "asgi": _asgi}[front](receiver) as port:
        yield port
    receiver.close()


@contextmanager
def _process(receiver):
    loop, ports, stopping = asyncio.new_event_loop(), [], asyncio.Event()
    started = threading.Event()

    async def serve():
        runner = web.AppRunner(EventsServer(receiver).app(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(runner.addresses[0][1])
        started.set()
        await stopping.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(20)
    yield ports[0]
    loop.call_soon_threadsafe(stopping.set)
    thread.join(20)
    loop.close()


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


def behind(environ, start_response):
    """Stand for Airflow's web server."""
    start_response("418 I'm a Teapot", [("Content-Length", "0")])
    return [b""]


@contextmanager
def _wsgi(receiver):
    app = EventsMiddleware(behind, receiver, "/airflow")
    with make_server("127.0.0.1", 0, app, server_class=_Threads, handler_class=_Silent) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def _asgi(receiver):
    import uvicorn
    from starlette.applications import Starlette

    app = Starlette()
    app.mount(PATH, EventsApp(receiver))  # as Airflow's API server does
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(20)
