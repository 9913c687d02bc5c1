"""
A service that costs little itself, in a process of its own, for ``cost.py`` and ``triggerer/run.py``.

Job ``j7`` has the run ``j7-0``, which goes on until its time comes, and 19 that have ended; dbt Cloud's run 7
is the same. ``POST /limit/6000`` sets the limit, and begins to count anew; ``GET /count`` tells the requests
for runs since then, by their ``User-Agent``, and ``GET /asked?since=`` who has been asked for since a time by
``time.monotonic``. The port is in the first line of standard output; the end of standard input is the
service's end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import ssl
import sys
import time
from collections import Counter, deque
from datetime import datetime, timezone

from aiohttp import web

from airflow_provider_datarecs.simulator import RateLimit

UNLIMITED = 10**6
HISTORY = 19  # ended runs of each job


def end_of(number: int, begin: float, within: float) -> float:
    """Give when the run of a job ends, in epoch seconds: the ends are spread evenly, in no order."""
    return begin + within * (number * 0.618_033_988_75 % 1.0)


def run_of(job_id: str, number: int, began: float, end: float = float("inf")) -> dict[str, object]:
    """Give the run of a job that may go on, which has the number 0, or one before it."""
    ended = began - number * 3600.0 if number else end
    took = 600.0 + 7.0 * (hash((job_id, number)) % 97)
    has_ended = ended <= time.time()
    return {
        "id": f"{job_id}-{number}",
        "job_id": job_id,
        "workspace_id": "w",
        "status": "COMPLETED" if has_ended else "RUNNING",
        "rows_processed": 123_456,
        "rows_matched": 123_000,
        "rows_unmatched": 456,
        "started_at": _iso(ended - took if number else began),
        "completed_at": _iso(ended) if has_ended else None,
        "error": None,
    }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).isoformat().replace("+00:00", "Z")


class Service:
    """
    Answer, and count what was asked.

    :param begin: epoch seconds at which the first run may end
    :param within: seconds in which all end
    """

    def __init__(self, begin: float, within: float) -> None:
        self._began = time.time()
        self._begin, self._within = begin, within
        self._last: dict[str, float] = {}  # when each job was asked for, by the clock of this machine
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
        if kind == "asked":
            since = float(request.query["since"])
            told = {
                "jobs": sum(at >= since for at in self._last.values()),
                "times": [at - since for at in self._times if at >= since],
            }
            return web.json_response(told)
        if kind == "api":
            return self._answer_as_dbt(ids[-1])
        return self._answer_limited(request, ids)

    def _end_of(self, job_id: str) -> float:
        return end_of(int(job_id[1:]), self._begin, self._within)

    def _note(self, job_id: str) -> float:
        now = self._last[job_id] = time.monotonic()
        self._times.append(now)
        return now

    def _answer_as_dbt(self, number: str) -> web.StreamResponse:
        self._note(f"j{number}")
        code = 10 if self._end_of(f"j{number}") <= time.time() else 3
        return web.json_response({"status": {"code": 200}, "data": {"id": int(number), "status": code}})

    def _answer_limited(self, request: web.BaseRequest, ids: list[str]) -> web.StreamResponse:
        key, now = request.headers["User-Agent"], self._note(ids[0])
        is_let_through = self._limit.take(key, now)
        headers = {
            "X-RateLimit-Remaining": str(self._limit.remaining(key, now)),
            "X-RateLimit-Reset": self._limit.shown(self._limit.seconds_left(key, now)),
        }
        self._asked[key] += 1
        if not is_let_through:
            self._refused += 1
            headers["Retry-After"] = headers["X-RateLimit-Reset"]
            return web.json_response({"message": "Too Many Requests"}, status=429, headers=headers)
        job_id, *rest = ids[:1] + ids[2:]
        if rest:
            number = int(rest[0].rpartition("-")[2])
            run = run_of(job_id, number, self._began, self._end_of(job_id))
            return web.json_response(run, headers=headers)
        runs = [run_of(job_id, number, self._began, self._end_of(job_id)) for number in range(HISTORY + 1)]
        return web.json_response({"items": runs}, headers=headers)


async def serve(options: argparse.Namespace) -> None:
    server = web.Server(Service(options.begin, options.within).answer)
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls, backlog=10_000).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--begin", type=float, default=float("inf"), help="epoch seconds of the first end")
    parser.add_argument("--within", type=float, default=0.0, help="seconds in which all runs end")
    parser.add_argument("--certificate", help="for TLS")
    asyncio.run(serve(parser.parse_args()))
