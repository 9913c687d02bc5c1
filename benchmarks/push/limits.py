"""
A study of webhooks on a clock that jumps to the next timer: how many ends a minute does the rate limit bear?

Everything is real but the time and Airflow: the triggers, pollers with one API key, as on two triggerers or
more, the simulated DataRecs over sockets. A hint can be read half a second after the end that it is about. It
takes a minute or two: ``python benchmarks/push/limits.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import statistics
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from support.clock import HastyClock

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.polling import hints
from airflow_provider_datarecs.simulator import ApiKey, Plan, RateLimit, World
from airflow_provider_datarecs.simulator.app import SimulatorApp
from airflow_provider_datarecs.triggers.job_run import JobRunTrigger
from airflow_provider_datarecs.webhooks.events import Hint

KEY = "key"
ARRIVES = 0.5  # seconds from an end until its hint can be read
SETTLE = 60.0  # seconds until the first end


async def measure(waits: int, free: float, options: argparse.Namespace) -> dict[str, Any]:
    """Let so many runs end within the minutes, and give how soon that is noticed."""
    minutes, sliding, has_events = options.minutes, not options.fixed, not options.polling
    conn_ids = [f"triggerer_{number}" for number in range(options.triggerers)]  # a poller each
    world = World(api_keys=[ApiKey(KEY)], rate_limit=RateLimit(sliding=sliding), clock=lambda: time.time())  # noqa: PLW0108 - which is replaced
    world.add_workspace("w", "Study")
    service = SimulatorApp(world)
    runner = web.AppRunner(service.make(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    extra = json.dumps({"share_left_free": free})
    host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    content = {"conn_type": "datarecs", "host": host, "password": KEY, "extra": extra}
    for conn_id in conn_ids:
        os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(content)
    told: list[Hint] = []
    reader = (lambda place: (told[place or 0 :], len(told))) if has_events else None
    hints.load_reader = lambda _: reader  # type: ignore[assignment]
    loop, chance, now = asyncio.get_running_loop(), random.Random(1), time.time()

    async def wait(number: int) -> float:
        world.add_job(f"j{number}", f"job {number}", "w")
        job = world.owners[TargetKind.JOB][f"j{number}"]
        took = SETTLE + chance.uniform(0.0, minutes * 60.0)
        job.plan = Plan(queued=0.0, running=took)
        run = world.start_run(TargetKind.JOB, job)
        hint = Hint(run.id, job.id, "w", run.ends_at, f"e{number}")
        loop.call_later(took + ARRIVES, told.append, hint)
        trigger = JobRunTrigger(
            job_id=job.id, workspace_id="w", run_id=run.id, conn_id=conn_ids[number % len(conn_ids)],
            poke_interval=60.0, since=now, deadline=now + 86_400.0,
        )  # fmt: skip
        trigger.task_instance = SimpleNamespace(task_id="wait")
        async for event in trigger.run():
            assert event.payload["result"]["status"] == "COMPLETED"
            break
        return time.time() - run.ends_at

    delays = await asyncio.gather(*(wait(number) for number in range(waits)))
    await runner.cleanup()
    times = [seen.at for seen in service.requests if seen.status != 429]
    begin, end = now + SETTLE, now + SETTLE + minutes * 60.0
    return {
        "median": statistics.median(delays),
        "p95": statistics.quantiles(delays, n=20)[-1],
        "longest": max(delays),
        "requests": sum(begin <= at < end for at in times) / minutes,
        "most_in_a_minute": max(sum(at <= one < at + 60.0 for one in times) for at in times),
        "refused": sum(seen.status == 429 for seen in service.requests),
    }


def main() -> None:
    logging.disable(logging.CRITICAL)
    JobRunTrigger.log = logging.getLogger(__name__)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rates", type=float, nargs="+", default=[20, 40, 50, 60, 70, 80, 90, 100])
    parser.add_argument("--free", type=float, nargs="+", default=[0.2, 0.05])
    parser.add_argument("--triggerers", type=int, default=2)
    parser.add_argument("--fixed", action="store_true", help="windows that begin anew each minute")
    parser.add_argument("--polling", action="store_true", help="without events")
    options = parser.parse_args()
    for free in options.free:
        for rate in options.rates:
            waits = round(rate * options.minutes)
            with pytest.MonkeyPatch.context() as patch:
                began = time.perf_counter()
                found = HastyClock(patch).run(measure(waits, free, options))
            shown = ", ".join(f"{name} {value:.1f}" for name, value in found.items())
            took = time.perf_counter() - began
            print(f"{rate:g} ends a minute, {free:g} left free: {shown} ({took:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
