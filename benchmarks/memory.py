"""
What waits take of a triggerer's memory, and of a pass of its garbage collector, beside a trigger that sleeps.

``python benchmarks/memory.py 10000`` in the environment of ``dev/pins/airflow3.3.txt`` prints a line of JSON
for each case. Each is a process of its own: triggers for runs of as many jobs on one event loop, all of which
have been asked for once, most of them by the list of their job, from ``answering.py``.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve().parent
CASES = ("sleeping", "datarecs", "datarecs, freeze_waits=1000")
LIMIT = 60_000  # requests a minute
PATIENCE = 600.0  # seconds


def trigger_of(case: str, number: int) -> Any:
    from triggerer.sleeping import SleepingTrigger

    from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

    if case == "sleeping":
        trigger: Any = SleepingTrigger(end=time.time() + 1e7)
    else:
        trigger = JobRunTrigger(
            job_id=f"j{number}", workspace_id="w", run_id=f"j{number}-0", conn_id="datarecs",
            poke_interval=30.0, since=time.time() - 60.0, deadline=time.time() + 1e7,
        )  # fmt: skip
    trigger.task_instance = SimpleNamespace(task_id="wait")
    return trigger


async def first_event(trigger: Any) -> Any:
    async for event in trigger.run():
        return event
    return None


def collected() -> float:
    """Give the milliseconds that a whole pass of the garbage collector takes, the least of five."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        gc.collect()
        times.append(time.perf_counter() - began)
    return min(times) * 1000.0


async def measure(case: str, count: int, base: str) -> dict[str, Any]:
    warm = asyncio.ensure_future(first_event(trigger_of(case, count)))
    await asyncio.sleep(14.0)  # imports, and the first poll
    before = collected()
    tracemalloc.start()
    tasks = []
    for number in range(count):
        tasks.append(asyncio.ensure_future(first_event(trigger_of(case, number))))
        if number % 100 == 99:
            await asyncio.sleep(0)
    began = time.monotonic()
    while case != "sleeping" and time.monotonic() < began + PATIENCE:
        await asyncio.sleep(2.0)
        asked = await asyncio.to_thread(urllib.request.urlopen, f"{base}/asked?since={began}")
        if json.load(asked)["jobs"] >= count:
            break
    await asyncio.sleep(2.0)
    gc.collect()
    traced, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    figures = {
        "case": case, "waits": count, "KB for each": round(traced / 1024 / count, 2),
        "collection, ms": round(collected()), "of it without the waits": round(before),
    }  # fmt: skip
    for task in (warm, *tasks):
        task.cancel()
    await asyncio.wait([warm, *tasks])
    return figures


def run(case: str, count: int) -> None:
    """Measure one case in this process, and print it."""
    service = subprocess.Popen(
        [sys.executable, str(HERE / "answering.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert service.stdout is not None
    base = f"http://127.0.0.1:{json.loads(service.stdout.readline())['port']}"
    os.environ["AIRFLOW_CONN_DATARECS"] = json.dumps(
        {
            "conn_type": "datarecs", "host": base, "password": "benchmark-key",
            "extra": {"requests_per_minute": LIMIT},
        }
    )  # fmt: skip
    if "freeze_waits" in case:
        os.environ["AIRFLOW__DATARECS__FREEZE_WAITS"] = "1000"
    logging.disable(logging.CRITICAL)
    with open(os.devnull, "w") as nowhere:
        told, sys.stdout = sys.stdout, nowhere
        figures = asyncio.run(measure(case, count, base))
        sys.stdout = told
    print(json.dumps(figures), flush=True)
    service.communicate("")


def main() -> None:
    count, *cases = sys.argv[1:]
    if cases:
        run(cases[0], int(count))
        return
    for case in CASES:
        with tempfile.TemporaryDirectory() as home:
            environ = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
            subprocess.run([sys.executable, __file__, count, case], check=True, env=environ)


if __name__ == "__main__":
    main()
