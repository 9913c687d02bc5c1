"""
What a request of the waits costs, beside a bare aiohttp client; and whether the rate limit is reached.

``python benchmarks/cost.py`` takes half an hour and writes ``docs/cost.md``; in the environment of
``dev/pins/airflow3.3.txt``. ``--jobs 100 1000 --limits 6000`` takes some of the cases. Each has a service of
its own (``answering.py``) over plain http; service, waits and bare client are a process each.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
from rows import commit

HERE = Path(__file__).resolve().parent
SHARE_LEFT_FREE = 0.2
COST_LIMIT = 6000  # requests a minute; with 100 jobs and an interval of 1 s, there is always one due
JOBS_AT_LIMIT = 1000
SETTLE, MEASURE = 10.0, 20.0  # seconds of a case about costs, of which the latter come three times
FIRST_WINDOW, WINDOWS = 65.0, 120.0  # seconds of a case about a limit: until the pace is even, and measured
told_to = sys.stdout
AGENTS = {"waits": "apache-airflow-provider-datarecs", "bare": "bare"}


def connection(base: str, limit: float) -> str:
    extra = {"requests_per_minute": limit, "share_left_free": SHARE_LEFT_FREE}
    return json.dumps({"conn_type": "datarecs", "host": base, "password": "benchmark-key", "extra": extra})


def tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), file=told_to, flush=True)


def leave_output_alone() -> None:
    """Have log lines go where a file handler would send them, but leave nothing behind."""
    global told_to  # noqa: PLW0603 - what standard output was
    told_to = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)


async def measure_when_told() -> None:
    """On each line of standard input, tell the CPU time of this process."""
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        tell({"cpu": time.process_time()})


async def bare(base: str, jobs: int) -> None:
    """Send requests for runs at an even pace, and read their JSON."""
    pause, tasks = 60.0 / (COST_LIMIT * (1.0 - SHARE_LEFT_FREE)), set()
    headers = {"Authorization": "Bearer benchmark-key", "User-Agent": AGENTS["bare"]}
    told = asyncio.ensure_future(measure_when_told())
    async with aiohttp.ClientSession(headers=headers) as session:

        async def ask(job: int) -> None:
            async with session.get(f"{base}/jobs/j{job}/runs/j{job}-0?workspace_id=w") as response:
                await response.json()

        job, due = 0, time.monotonic()
        while not told.done():
            task = asyncio.ensure_future(ask(job % jobs))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            job, due = job + 1, max(due + pause, time.monotonic() - 0.1)
            await asyncio.sleep(due - time.monotonic())
        await asyncio.gather(*tasks)


async def waits(base: str, jobs: int, limit: int) -> None:
    """Wait for a run of each job; once all have been seen twice, let the limit count."""
    from airflow_provider_datarecs.polling import config, learned
    from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

    async def wait(job: int) -> None:
        since, deadline = time.time() - 60.0, time.time() + 1e7
        trigger = JobRunTrigger(
            job_id=f"j{job}", workspace_id="w", run_id=f"j{job}-0", conn_id="datarecs",
            poke_interval=1.0, since=since, deadline=deadline,
        )  # fmt: skip
        trigger.task_instance = SimpleNamespace(task_id="wait")
        async for event in trigger.run():
            raise RuntimeError(event)

    loop = asyncio.get_running_loop()
    with config.override(first_poll=(0.0, 0.1), reread_pause=0.0):
        tasks = [asyncio.ensure_future(wait(0))]
        await asyncio.sleep(5.0)  # imports
        gc.collect()
        gc.freeze()
        for job in range(1, jobs):
            tasks.append(asyncio.ensure_future(wait(job)))
            if job % 100 == 0:
                await asyncio.sleep(0)
        while sum((await loop.run_in_executor(None, count, base))["asked"].values()) < 2.1 * jobs:  # noqa: ASYNC110
            await asyncio.sleep(1.0)
        await loop.run_in_executor(None, post, f"{base}/limit/{limit}")
        await asyncio.sleep(1.0)  # until the last answer that says otherwise has come
        learned.learned_of("datarecs").limits.clear()  # that of a service without a limit
        os.environ["AIRFLOW_CONN_DATARECS"] = connection(base, limit)
        tasks.append(asyncio.ensure_future(wait(0)))  # who joins has the connection read again
        await asyncio.sleep(1.0)
    tell({"began": time.monotonic()})
    await measure_when_told()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def post(url: str) -> None:
    urllib.request.urlopen(urllib.request.Request(url, method="POST")).close()  # noqa: S310


def count(base: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{base}/count") as answer:  # noqa: S310
        return dict(json.load(answer))


class Process:
    """A part of a case, in a process of its own."""

    def __init__(self, *command: str, **more: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more
        )

    def told(self) -> dict[str, Any]:
        return dict(json.loads(self._process.stdout.readline()))

    def cpu(self) -> float:
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self.told()["cpu"])

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def started(jobs: int, limit: int, home: str) -> tuple[str, Process, Process]:
    """Start a service and the waits on it, and return when the limit counts."""
    service = Process(str(HERE / "answering.py"))
    base = f"http://127.0.0.1:{service.told()['port']}"
    environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW_CONN_DATARECS": connection(base, 10**6)}
    waiting = Process(__file__, "--waits", base, str(jobs), str(limit), env=environment)
    waiting.told()
    return base, service, waiting


def asked(base: str) -> dict[str, int]:
    """How many requests the waits and the bare client have sent."""
    told = count(base)["asked"]
    return {
        who: sum(times for name, times in told.items() if name.startswith(agent))
        for who, agent in AGENTS.items()
    }


def cost(jobs: int, home: str) -> dict[str, float]:
    """Measure what a request costs with so many jobs, three times, and give the median of the ratios."""
    base, service, waiting = started(jobs, COST_LIMIT, home)
    plain = Process(__file__, "--bare", base, str(jobs))
    time.sleep(SETTLE)
    rows = []
    for _ in range(3):
        sent, used = asked(base), {"waits": waiting.cpu(), "bare": plain.cpu()}
        time.sleep(MEASURE)
        now, spent = asked(base), {"waits": waiting.cpu(), "bare": plain.cpu()}
        row = {who: (spent[who] - used[who]) * 1000.0 / (now[who] - sent[who]) for who in AGENTS}
        rows.append(
            {**row, "ratio": row["waits"] / row["bare"], "a second": (now["waits"] - sent["waits"]) / MEASURE}
        )
    for process in (plain, waiting, service):
        process.end()
    return {"jobs": jobs, **sorted(rows, key=lambda row: row["ratio"])[1]}


def reach(limit: int, home: str) -> dict[str, float]:
    """Measure how many requests are sent under a limit, with always one due."""
    base, service, waiting = started(JOBS_AT_LIMIT, limit, home)
    time.sleep(FIRST_WINDOW)
    began, used = time.monotonic(), waiting.cpu()
    time.sleep(WINDOWS)
    seconds, spent = time.monotonic() - began, waiting.cpu()
    told = count(base)
    for process in (waiting, service):
        process.end()
    times = [at for at in told["times"] if began <= at <= began + seconds]  # one clock for all processes
    first, most = 0, 0
    for number, at in enumerate(told["times"]):
        while told["times"][first] <= at - 60.0:
            first += 1
        most = max(most, number - first + 1)
    may = limit * (1.0 - SHARE_LEFT_FREE)
    return {
        "limit": limit,
        "may": may,
        "sent": len(times) * 60.0 / seconds,
        "share": len(times) * 60.0 / seconds / may,
        "most": most,
        "refused": told["refused"],
        "cpu": (spent - used) / seconds,
    }


PAGE = """# What a request costs

Made by `python benchmarks/cost.py` at commit {commit}, with the releases of `dev/pins/airflow3.3.txt`,
against a service over plain http.

## Beside a bare client

One wait for each job, all with `poke_interval=1`, so that always some are due; their jobs' histories are
known. The rate limit lets 80 requests a second through. At the same time, a bare aiohttp client in another
process on the same core asks the same service for the same runs at the same pace, and does no more than read
their JSON. CPU is that of the whole process; of three measurements of {measure:.0f} s each, the one with the
median ratio.

{costs}

## Whether the limit is reached

{jobs:,} waits, each for a run of another job, all with `poke_interval=1`; a fifth of the limit is left free.
Measured for {windows:.0f} s, beginning with the second minute. The last columns: the most requests in any 60
s, from the beginning; how many were refused; and the part of one core that the process took.

{limits}
"""


def markdown(rows: list[dict[str, float]], columns: dict[str, tuple[str, str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    lines += [f"| {' | '.join(format(row[name], form) for name, form in columns.values())} |" for row in rows]
    return "\n".join(lines)


COSTS = {
    "jobs": ("jobs", ",.0f"),
    "requests a second": ("a second", ".0f"),
    "CPU ms for each, waits": ("waits", ".2f"),
    "bare client": ("bare", ".2f"),
    "ratio": ("ratio", ".2f"),
}
LIMITS = {
    "limit, requests a minute": ("limit", ",.0f"),
    "waits may send": ("may", ",.0f"),
    "they sent": ("sent", ",.0f"),
    "share": ("share", ".1%"),
    "most in 60 s": ("most", ",.0f"),
    "refused": ("refused", ".0f"),
    "of a core": ("cpu", ".0%"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="*", default=[100, 1000, 10_000, 50_000])
    parser.add_argument("--limits", type=int, nargs="*", default=[100, 1000, 6000, 30_000])
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "cost.md")
    parser.add_argument("--waits", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--bare", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare or options.waits:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if options.bare:
        asyncio.run(bare(options.bare[0], int(options.bare[1])))
        return
    if options.waits:
        leave_output_alone()
        asyncio.run(waits(options.waits[0], *map(int, options.waits[1:])))
        return
    with tempfile.TemporaryDirectory() as home:
        costs = [cost(jobs, home) for jobs in options.jobs]
        limits = [reach(limit, home) for limit in options.limits]
    text = PAGE.format(
        commit=commit(options.out),
        costs=markdown(costs, COSTS),
        limits=markdown(limits, LIMITS),
        measure=MEASURE,
        jobs=JOBS_AT_LIMIT,
        windows=WINDOWS,
    )
    options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
