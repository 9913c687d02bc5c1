"""The receiver as a process of its own, for deployments whose API server nobody outside may reach."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiohttp import web

from airflow_provider_datarecs.webhooks.receiver import PATH, REFUSED, Receiver

if TYPE_CHECKING:
    from typing import Callable

log = logging.getLogger(__name__)


class EventsServer:
    """
    Answer what is posted to ``/datarecs/events/{conn_id}``.

    :param receiver: takes it
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def run(self, host: str, port: int, announce: Callable[[str], None]) -> None:
        """
        Serve until interrupted or terminated.

        :param host: the address to listen on
        :param port: the port to listen on
        :param announce: told the URL when it listens
        """

        def tell(_: str) -> None:  # by run_app, when it listens
            shown = f"[{host}]" if ":" in host else host
            announce(f"Receiving events of DataRecs on http://{shown}:{port}{PATH}/<connection id>")

        web.run_app(self.app(), host=host, port=port, print=tell, access_log=None)

    def app(self) -> web.Application:
        """Make the web application."""
        app = web.Application(client_max_size=0)  # which is read in chunks here
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        base, _, conn_id = request.path.rpartition("/")
        status = REFUSED
        if request.method == "POST" and base == PATH:
            headers = {name.lower(): value for name, value in request.headers.items()}
            # Not iter_chunks(), which in aiohttp 3.8 gives an empty body for ever.
            status = await self._receiver.receive(conn_id, headers, request.content.iter_any())
        return web.Response(status=status)
