"""
A service for ``cost.py`` that costs little itself, in a process of its own: runs that go on for ever.

Job ``j7`` has the run ``j7-0``, which goes on, and 19 that have ended. ``POST /limit/6000`` sets the limit,
and begins to count anew; ``GET /count`` tells the requests for runs since then, by their ``User-Agent``. The
port is the first line of standard output; the end of standard input is the service's end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter, deque
from datetime import datetime, timezone

from aiohttp import web

from airflow_provider_datarecs.simulator import RateLimit

UNLIMITED = 10**6
HISTORY = 19  # ended runs of each job


def run_of(job_id: str, number: int, began: float) -> dict[str, object]:
    """Give the run of a job that goes on, which has the number 0, or one before it."""
    ended = began - number * 3600.0
    took = 600.0 + 7.0 * (hash((job_id, number)) % 97)
    return {
        "id": f"{job_id}-{number}",
        "job_id": job_id,
        "workspace_id": "w",
        "status": "COMPLETED" if number else "RUNNING",
        "rows_processed": 123_456,
        "rows_matched": 123_000,
        "rows_unmatched": 456,
        "started_at": _iso(ended - took if number else began),
        "completed_at": _iso(ended) if number else None,
        "error": None,
    }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).isoformat().replace("+00:00", "Z")


class Service:
    """Answer, and count what was asked."""

    def __init__(self) -> None:
        self._began = time.time()
        self._set_limit(UNLIMITED)

    def _set_limit(self, requests: int, *, sliding: bool = False) -> None:
        self._limit = RateLimit(requests=requests, sliding=sliding)
        self._asked: Counter[str] = Counter()
        self._times: deque[float] = deque()
        self._refused = 0

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        kind, *ids = request.path.strip("/").split("/")
        if kind == "limit":
            self._set_limit(int(ids[0]), sliding="sliding" in request.query)
            return web.Response()
        if kind == "count":
            told = {"asked": self._asked, "times": list(self._times), "refused": self._refused}
            return web.json_response(told)
        return self._answer_limited(request, ids)

    def _answer_limited(self, request: web.BaseRequest, ids: list[str]) -> web.StreamResponse:
        key, now = request.headers["User-Agent"], time.monotonic()
        is_let_through = self._limit.take(key, now)
        headers = {
            "X-RateLimit-Remaining": str(self._limit.remaining(key, now)),
            "X-RateLimit-Reset": self._limit.shown(self._limit.seconds_left(key, now)),
        }
        self._asked[key] += 1
        self._times.append(now)
        if not is_let_through:
            self._refused += 1
            headers["Retry-After"] = headers["X-RateLimit-Reset"]
            return web.json_response({"message": "Too Many Requests"}, status=429, headers=headers)
        job_id, *rest = ids[:1] + ids[2:]
        if rest:
            return web.json_response(
                run_of(job_id, int(rest[0].rpartition("-")[2]), self._began), headers=headers
            )
        runs = [run_of(job_id, number, self._began) for number in range(HISTORY + 1)]
        return web.json_response({"items": runs}, headers=headers)


async def serve() -> None:
    server = web.Server(Service().answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1000).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
