"""
The receiver in the web server of Airflow 2, below ``/datarecs/events``.

It stands before Flask: behind it, each request without a cookie would make a row in Airflow's table of
sessions, and need an exemption from what protects Airflow's forms (CSRF).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Callable, Iterable

from airflow_provider_datarecs.webhooks.receiver import LONGEST_BODY, PATH, REFUSED

if TYPE_CHECKING:
    from airflow_provider_datarecs.webhooks.receiver import Receiver

App = Callable[[Any, Any], Iterable[bytes]]


class EventsMiddleware:
    """
    Answer what is posted to ``/datarecs/events/{conn_id}``, and pass on everything else.

    :param app: takes everything else
    :param receiver: takes events
    :param prefix: the path of the web server's URL, such as ``/airflow``; default none
    """

    def __init__(self, app: App, receiver: Receiver, prefix: str = "") -> None:
        self._app = app
        self._receiver = receiver
        self._paths = tuple({f"{PATH}/", f"{prefix.rstrip('/')}{PATH}/"})

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        path = str(environ.get("PATH_INFO", ""))
        for base in self._paths:
            if path.startswith(base):
                status = self._receive(path[len(base) :], environ)
                start_response(f"{status} {HTTPStatus(status).phrase}", [("Content-Length", "0")])
                return [b""]
        return self._app(environ, start_response)

    def _receive(self, conn_id: str, environ: Any) -> int:
        if environ.get("REQUEST_METHOD") != "POST":
            return REFUSED
        signature, length = environ.get("HTTP_X_DATARECS_SIGNATURE"), environ.get("CONTENT_LENGTH") or None
        if self._receiver.is_refused_unread(conn_id, signature, length):
            return REFUSED
        # Without a length, only a server that ends the body itself can be asked for all of it.
        longest = LONGEST_BODY + 1 if environ.get("wsgi.input_terminated") else 0
        try:
            body = environ["wsgi.input"].read(int(length) if length is not None else longest)
        except (OSError, ValueError):  # gone before it has sent all
            return REFUSED
        return self._receiver.receive_body(conn_id, signature, body)


def register(receiver: Receiver) -> Any:
    """
    Make what a plugin gives to the web server of Airflow 2, which puts the receiver before it.

    :param receiver: takes events
    """
    from urllib.parse import urlsplit

    from airflow.configuration import conf
    from flask import Blueprint  # type: ignore[import-not-found]

    prefix = urlsplit(conf.get("webserver", "base_url", fallback="")).path
    blueprint = Blueprint("datarecs_events", __name__)

    def put_before(state: Any) -> None:
        state.app.wsgi_app = EventsMiddleware(state.app.wsgi_app, receiver, prefix)

    blueprint.record_once(put_before)
    return blueprint
