"""
A triggerer's part of the benchmark, in a process of its own: many triggers of one provider on one event loop.

It reads what to wait for from standard input and writes what it measured to standard output, both as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import resource
import sys
import time
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, AsyncIterator, Callable, Iterator

import psutil

ACCOUNT = 1
HUGE = 10.0**7  # seconds: no wait reaches its deadline


def datarecs(run: list[Any], number: int, interval: float) -> Any:
    from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

    run_id, job_id, started = run[:3]
    trigger = JobRunTrigger(
        job_id=job_id,
        workspace_id="w",
        run_id=run_id,
        conn_id="datarecs",
        poke_interval=interval,
        since=started,
        deadline=time.time() + HUGE,
    )
    # As on a triggerer, where the first look does not come at once.
    trigger.task_instance = SimpleNamespace(task_id="wait")
    return trigger


def dbt(_run: list[Any], number: int, interval: float) -> Any:
    from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

    return DbtCloudRunJobTrigger(
        conn_id="dbt", run_id=number, end_time=time.time() + HUGE, poll_interval=interval, account_id=ACCOUNT
    )


def databricks(_run: list[Any], number: int, interval: float) -> Any:
    from airflow.providers.databricks.triggers.databricks import DatabricksExecutionTrigger

    return DatabricksExecutionTrigger(
        run_id=number, databricks_conn_id="databricks", polling_period_seconds=interval
    )


def outcome_datarecs(event: dict[str, Any]) -> str:
    return event["result"]["status"] if event["outcome"] == "finished" else event["outcome"]


def outcome_dbt(event: dict[str, Any]) -> str:
    return {"success": "COMPLETED", "error": "FAILED"}.get(event["status"], event["status"])


def outcome_databricks(event: dict[str, Any]) -> str:
    result = json.loads(event["run_state"])["result_state"]
    return {"SUCCESS": "COMPLETED", "FAILED": "FAILED"}.get(result, result)


PROVIDERS: dict[str, tuple[Callable[..., Any], Callable[[dict[str, Any]], str]]] = {
    "datarecs": (datarecs, outcome_datarecs),
    "dbt": (dbt, outcome_dbt),
    "databricks": (databricks, outcome_databricks),
}


class LoopHolds:
    """Measure how long each callback holds the event loop, with and without the garbage collector."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.longest_uncollected = 0.0
        self._collecting = self._collected = 0.0

    def start(self) -> None:
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            before, collected = time.perf_counter(), self._collected
            run(handle)
            held = time.perf_counter() - before
            self.longest = max(self.longest, held)
            self.longest_uncollected = max(self.longest_uncollected, held - (self._collected - collected))

        asyncio.Handle._run = timed  # type: ignore[method-assign]
        gc.callbacks.append(self._note_collection)

    def _note_collection(self, phase: str, _info: dict[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._collecting = now
        else:
            self._collected += now - self._collecting


@contextmanager
def scaled_time(scale: float) -> Iterator[None]:
    """Let this provider's own times pass faster, in this process."""
    from airflow_provider_datarecs.api import contract
    from airflow_provider_datarecs.polling import config

    contract.RATE_LIMIT_WINDOW /= scale
    numbers = config.current()
    with config.override(
        unknown_duration=numbers.unknown_duration / scale,
        min_poke_interval=numbers.min_poke_interval / scale,
        first_poll=tuple(seconds / scale for seconds in numbers.first_poll),
    ):
        yield


async def first_event(trigger: Any) -> Any:
    events: AsyncIterator[Any] = trigger.run()
    async for event in events:
        return event.payload
    return None


async def measure(work: dict[str, Any]) -> dict[str, Any]:
    make, outcome_of = PROVIDERS[work["provider"]]
    me, holds = psutil.Process(), LoopHolds()
    warm = asyncio.ensure_future(first_event(make(work["runs"][0], 0, work["interval"])))
    await asyncio.sleep(work["warm_up"])  # imports, connection, first requests
    if work["measure"]:
        warm.cancel()
        await asyncio.wait([warm])
    # What Airflow itself has in memory is not for the collector to walk while the waits are measured.
    gc.collect()
    gc.freeze()
    memory = me.memory_info().rss
    results: list[tuple[str, str, float]] = []

    async def wait(number: int, run: list[Any], trigger: Any) -> None:
        try:
            outcome = outcome_of(await first_event(trigger))
        except Exception as error:
            outcome = type(error).__name__
        results.append((run[0], outcome, time.time()))

    holds.start()
    waits = []
    for number, run in enumerate(work["runs"]):
        waits.append(asyncio.ensure_future(wait(number, run, make(run, number, work["interval"]))))
        if number % 100 == 99:  # a triggerer starts them a few at a time, too
            await asyncio.sleep(0)
    measured: dict[str, Any] = {}
    if work["measure"]:
        await asyncio.sleep(work["settle"])
        used, since = time.process_time(), time.monotonic()
        await asyncio.sleep(work["measure"])
        measured["cpu"] = (time.process_time() - used) / (time.monotonic() - since)
        measured["memory"] = me.memory_info().rss - memory
    else:
        await asyncio.wait(waits, timeout=work["patience"])
    measured["hold"], measured["own_hold"] = holds.longest, holds.longest_uncollected
    for one in waits:
        one.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    return {**measured, "results": results}


def main() -> None:
    # Log lines go where a file handler would send them, but leave nothing behind.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a peer opens a socket for each wait
    told = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    work = json.loads(sys.stdin.read())
    with scaled_time(work["scale"]) if work["provider"] == "datarecs" else nullcontext():
        json.dump(asyncio.run(measure(work)), told)
    told.close()


if __name__ == "__main__":
    main()
