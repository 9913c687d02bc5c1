"""Runs a simulated DataRecs beside the code that uses it."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from aiohttp import web

from airflow_provider_datarecs.simulator.app import SeenRequest, SimulatorApp
from airflow_provider_datarecs.simulator.scenario import default_world

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from airflow_provider_datarecs.simulator.faults import Fault
    from airflow_provider_datarecs.simulator.world import World


class Simulator:
    """
    Serve a simulated DataRecs from a thread of its own, as a context manager or with ``start`` and ``stop``.

    :param world: what exists, default the world of ``default.json``
    :param faults: what goes wrong; add to :attr:`faults` at any time
    :param host: the address to listen on, default loopback
    :param port: the port to listen on, default any free one
    :param tls: serve https with this context, default plain http
    """

    def __init__(
        self,
        world: World | None = None,
        faults: list[Fault] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.world = world or default_world()
        self._app = SimulatorApp(self.world, faults)
        self._host = host
        self._port = port
        self._tls = tls
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def faults(self) -> list[Fault]:
        """What goes wrong from now on."""
        return self._app.faults

    @property
    def requests(self) -> list[SeenRequest]:
        """All requests so far, the oldest first."""
        return self._app.requests

    def wait_for_requests(self, count: int, timeout: float = 30.0) -> None:
        """
        Block until so many requests have been answered.

        :param count: how many in all
        :param timeout: seconds to wait
        :raises TimeoutError: when there are fewer by then
        """
        with self._app.seen:
            if not self._app.seen.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"only {len(self.requests)} of {count} requests came in {timeout} s")

    @property
    def url(self) -> str:
        """What to put into a connection's Host."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    @property
    def connection(self) -> str:
        """
        What to put into the environment variable ``AIRFLOW_CONN_...`` of a connection that leads here, with
        the first API key that is let in.
        """
        keys = [one.key for one in self.world.api_keys] or ["no key is let in"]
        return json.dumps({"conn_type": "datarecs", "host": self.url, "password": keys[0]})

    def start(self) -> None:
        """
        Start serving, and return when requests are answered.

        :raises OSError: when the port is taken
        """
        listening: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listening)), name="datarecs-simulator", daemon=True
        )
        self._thread.start()
        try:
            self._port = listening.result()
        except Exception:
            self._thread.join()
            self._thread = None
            raise

    def stop(self) -> None:
        """Stop serving, and return when all connections are closed."""
        if self._thread and self._loop and self._stopping:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        self._thread = None

    def __enter__(self) -> Simulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self, listening: Future[int]) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(self._app.make(), access_log=None)
        try:
            await runner.setup()
            assert runner.server is not None  # noqa: S101 - it has been set up
            server = await self._loop.create_server(
                runner.server, self._host, self._port, ssl=self._tls, backlog=128
            )
            listening.set_result(server.sockets[0].getsockname()[1])
        except Exception as error:  # noqa: BLE001
            listening.set_exception(error)  # for start() to raise
        else:
            await self._stopping.wait()
            server.close()
            for _ in range(2):  # until who has just connected can be closed with the rest
                await asyncio.sleep(0)
            # A slow answer must not keep the thread: aiohttp would wait for it.
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        finally:
            await runner.cleanup()
