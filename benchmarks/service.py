"""
The service that the benchmark's waits ask, in a process of its own: DataRecs's API or a peer's, over TLS.

The runs are the same for all. Which of them end, when and how, is drawn from a seed and told on standard
output, with the port; on the end of standard input it tells how many requests there were and stops.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import resource
import ssl
import sys
import time
from collections import Counter

from aiohttp import web

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import ApiKey, Plan, RateLimit, Webhook, World
from airflow_provider_datarecs.simulator.app import SimulatorApp
from airflow_provider_datarecs.simulator.runs import Run

API_KEY = "benchmark-key"
SHORTEST, LONGEST = 1800.0, 7200.0  # seconds that the runs of a job usually take, spread log-evenly
SPREAD = 0.1  # of that: how far a run may be off
NEVER = 10**6
UNLIMITED = 10**9


def build_world(options: argparse.Namespace) -> tuple[World, list[Run]]:
    """Make jobs with a history, and runs to wait for that have started at some time and end at another."""
    chance = random.Random(options.seed)
    limit = RateLimit(
        requests=options.limit or UNLIMITED,
        window=60.0 / options.scale,
        sliding=options.sliding,
        reset_step=1.0 / options.scale,
    )
    world = World(api_keys=[ApiKey(API_KEY)], rate_limit=limit)
    world.behaviour.page_size = 50
    world.add_workspace("w", "Benchmark")
    if options.webhook_url:
        world.webhooks.append(Webhook(options.webhook_url, options.webhook_secret))
    now = time.time()
    jobs, usual = [], []
    for number in range(options.jobs):
        world.add_job(f"j{number}", f"job {number}", "w")
        jobs.append(world.owners[TargetKind.JOB][f"j{number}"])
        usual.append(math.exp(chance.uniform(math.log(SHORTEST), math.log(LONGEST))) / options.scale)

    def add(number: int, ends: float, status: str = "COMPLETED") -> Run:
        took = usual[number] * chance.uniform(1 - SPREAD, 1 + SPREAD)
        plan = Plan(queued=0.0, running=took if ends < now + NEVER else NEVER * 2.0, status=status)
        started = ends - took if ends < now + NEVER else now - chance.uniform(0, took)
        run = Run(f"r{len(world.runs[TargetKind.JOB])}", jobs[number], plan, started)
        world.runs[TargetKind.JOB].append(run)
        return run

    for number in range(options.jobs):
        for _ in range(options.history):
            add(number, now - chance.uniform(1.0, 10.0) * LONGEST / options.scale)
    waited = []
    for number in range(options.waits):
        ends = now + NEVER
        if options.ends:
            begin = options.begin / options.scale
            ends = now + begin + chance.uniform(0, options.ends / options.scale)
        status = "FAILED" if chance.random() < options.failing else "COMPLETED"
        waited.append(add(number % options.jobs, ends, status))
    world.runs[TargetKind.JOB].sort(key=lambda run: run.created_at)
    return world, waited


def peer_app(world: World, waited: list[Run], requests: Counter[int]) -> web.Application:
    """Make a service that speaks enough of dbt Cloud's and of Databricks's API to wait for a run."""
    by_id = dict(enumerate(waited))

    @web.middleware
    async def limited(request: web.Request, handler: web.RequestHandler) -> web.StreamResponse:
        limit, now = world.rate_limit, world.clock()
        if limit.take("key", now):
            response = await handler(request)
        else:
            response = web.json_response({"message": "Too Many Requests"}, status=429)
            response.headers["Retry-After"] = limit.shown(limit.seconds_left("key", now))
        requests[response.status] += 1
        return response

    async def dbt(request: web.Request) -> web.StreamResponse:
        status = by_id[int(request.match_info["run"])].status(world.clock())
        code = {"COMPLETED": 10, "FAILED": 20}.get(status, 3)
        return web.json_response({"status": {"code": 200}, "data": {"id": 1, "status": code}})

    async def databricks(request: web.Request) -> web.StreamResponse:
        run_id = int((await request.json())["run_id"])
        status = by_id[run_id].status(world.clock())
        state = {"life_cycle_state": "RUNNING", "state_message": ""}
        if status in ("COMPLETED", "FAILED"):
            result = {"COMPLETED": "SUCCESS", "FAILED": "FAILED"}[status]
            state = {"life_cycle_state": "TERMINATED", "result_state": result, "state_message": ""}
        return web.json_response({"run_id": run_id, "job_id": 1, "state": state, "tasks": []})

    app = web.Application(middlewares=[limited])
    app.router.add_get("/api/v2/accounts/{account}/runs/{run}/", dbt)
    app.router.add_get("/api/2.2/jobs/runs/get", databricks)
    return app


async def serve(options: argparse.Namespace) -> None:
    world, waited = build_world(options)
    requests: Counter[int] = Counter()
    simulator = SimulatorApp(world)
    app = simulator.make() if options.provider == "datarecs" else peer_app(world, waited, requests)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(options.certificate)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls, backlog=10_000).start()
    runs = [[run.id, run.owner.id, run.created_at, run.ends_at, run.plan.status] for run in waited]
    print(json.dumps({"port": runner.addresses[0][1], "runs": runs}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for seen in simulator.requests:
        requests[seen.status or 0] += 1
    print(json.dumps({"requests": sum(requests.values()), "refused": requests[429]}), flush=True)
    await runner.cleanup()


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider", required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--waits", type=int, required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--history", type=int, default=20, help="finished runs of each job")
    parser.add_argument("--limit", type=int, default=0, help="requests a minute, 0 for no limit")
    parser.add_argument("--sliding", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0, help="how many times faster time passes")
    parser.add_argument("--begin", type=float, default=120.0, help="seconds until the first run may end")
    parser.add_argument("--ends", type=float, default=0.0, help="seconds in which all end, 0 for never")
    parser.add_argument("--failing", type=float, default=0.1, help="the part of the runs that fail")
    parser.add_argument("--webhook-url", help="where to post events when runs end")
    parser.add_argument("--webhook-secret", help="what signs them")
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(serve(parser.parse_args()))
