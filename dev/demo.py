"""
Run the first DAG of the documentation on a real Airflow against the simulator, and show what came out.

Runs with the Airflow of the Python that it is started with; ``make demo`` gives it the newest.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.airflow import Airflow, RigError, free_port

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
DAG_ID = "reconcile_daily_balances"
TASKS = ("trigger", "wait", "result")
EXPECTED = {
    "status": "COMPLETED",
    "rows_processed": 120000,
    "rows_matched": 119988,
    "rows_unmatched": 12,
    "error": None,
}

started_at = time.monotonic()


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".demo").resolve()
    home, dags = folder / "airflow", folder / "dags"
    shutil.rmtree(folder, ignore_errors=True)
    dags.mkdir(parents=True)
    shutil.copy(ROOT / "examples" / f"{DAG_ID}.py", dags)
    for how in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(how, lambda number, _: sys.exit(128 + number))
    # A shell has what it starts in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    api_key = secrets.token_hex(16)
    try:
        with Simulator(api_key) as simulator, Airflow(
            home, dags, host=simulator.url, api_key=api_key, say=say
        ) as airflow:
            say(f"waiting for Airflow to run the DAG {DAG_ID}")
            run_id = airflow.scheduled_run(DAG_ID)
            states_seen = follow(airflow, run_id)
            result = airflow.xcom(DAG_ID, run_id, "result", "run_result")
        problems = check(states_seen, result, home, api_key)
    except KeyboardInterrupt:
        say("interrupted; everything it started is stopped")
        return 130
    except RigError as error:
        problems = [str(error)]
    for problem in problems:
        print(f"WRONG: {problem}")
    say("the demo failed" if problems else "done: everything is as it should be")
    return 1 if problems else 0


class Simulator:
    """The simulated DataRecs in a process of its own."""

    def __init__(self, api_key: str) -> None:
        self.api_key = api_key
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Simulator:
        say(f"starting the DataRecs simulator on {self.url}")
        command = [
            "-m",
            "airflow_provider_datarecs.simulator",
            "--port",
            str(self.port),
            "--api-key",
            self.api_key,
        ]
        self.process = subprocess.Popen(
            [sys.executable, *command], start_new_session=True, stdout=subprocess.DEVNULL
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.wait()


def follow(airflow: Airflow, run_id: str) -> dict[str, list[str]]:
    """Say each change of a task's state until the DAG run has ended, and give all states of each task."""
    seen: dict[str, list[str]] = {}

    def ended() -> bool:
        for task_id, task in airflow.tasks(DAG_ID, run_id).items():
            states = seen.setdefault(task_id, [])
            state = task["state"] or "none"
            if states[-1:] != [state]:
                states.append(state)
                if state in ("running", "deferred", "success", "failed", "up_for_retry", "upstream_failed"):
                    say(f"  {task_id}: {state}")
        return airflow.run_state(DAG_ID, run_id) in ("success", "failed")

    airflow.wait_until(ended, f"the DAG run {run_id} has ended", seconds=150)
    return seen


def check(seen: dict[str, list[str]], result: Any, home: Path, api_key: str) -> list[str]:
    """Print what came out, and give what is wrong with it."""
    print_table("task", {task_id: " -> ".join(seen.get(task_id, [])) for task_id in TASKS})
    print_table("run_result", result or {})
    problems = [
        f"task {task_id} ended {states[-1]}" for task_id, states in seen.items() if states[-1] != "success"
    ]
    if set(seen) != set(TASKS):
        problems.append(f"the DAG has the tasks {sorted(seen)}")
    if "deferred" not in seen.get("wait", []):
        problems.append("wait was not deferred")
    differing = {
        key: (result or {}).get(key) for key, value in EXPECTED.items() if (result or {}).get(key) != value
    }
    if differing:
        problems.append(f"run_result differs from what the simulator was told: {differing}")
    leaks = [path for path in home.rglob("*") if path.is_file() and api_key.encode() in path.read_bytes()]
    problems += [f"the API key stands in {path}" for path in leaks]
    if not leaks:
        say("the API key stands in no log, XCom, rendered template or trigger row")
    return problems


def print_table(title: str, rows: dict[str, Any]) -> None:
    width = max(map(len, (title, *rows)))
    print(f"\n  {title:<{width}} | value\n  {'-' * width}-+-{'-' * 40}")
    for name, value in rows.items():
        print(f"  {name:<{width}} | {value}")
    print(flush=True)


def say(message: str) -> None:
    print(f"[{time.monotonic() - started_at:5.1f} s] {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
