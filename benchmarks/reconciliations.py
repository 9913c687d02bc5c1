"""
Time what Airflow's API server does for the page *Reconciliations*, into ``docs/reconciliations.md``.

Fills the database of an Airflow that has the page with results, of 400 jobs in 20 DAGs over 60 days, and asks
as a browser does, without a network: on SQLite, and on PostgreSQL where its driver is installed.
``.venv/bin/tox -e page3.3`` runs it on Airflow 3.3; it takes some minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "reconciliations.md"
MARKS = "<!-- measured -->\n", "<!-- end -->\n"
JOBS, DAGS, SPAN = 400, 20, 60 * 86_400
ROUNDS = 7
HEAD = (
    "| results in the database | the page reads | its query | the whole answer |\n"
    "| --- | ---: | ---: | ---: |\n"
)


def measure(name: str, count: int) -> str:
    """
    Fill the database of this process's Airflow, and give a row of the table.

    :param name: what the database is called
    :param count: how many results
    """
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    from airflow.api_fastapi.app import create_app
    from airflow.utils.session import create_session
    from starlette.testclient import TestClient
    from support.restricted import token_of
    from support.results import Store, result

    from airflow_provider_datarecs.reconciliations import PATH, reading

    with create_session(scoped=False) as session:
        store = Store(session)
        for number in range(count):
            job = number % JOBS
            value = result(job_id=f"job_{job}", run_id=f"run_{number}", agreed=True, max_unmatched_rows=20)
            url = f"https://console.example/runs/run_{number}"
            store.add(
                f"dag_{job % DAGS}", value, ago=number * SPAN / count, run=f"{number}", map_index=job, url=url
            )
        store.write()
    with create_session(scoped=False) as session:
        dag_ids = {f"dag_{number}" for number in range(DAGS)}
        query = _seconds(lambda: reading.read_results(dag_ids, session))
        read = len(reading.read_results(dag_ids, session))
    client = TestClient(create_app(apps="core"), cookies={"_token": token_of("ada")})
    answer = client.get(f"{PATH}/results")
    answer.raise_for_status()
    if len(answer.json()["lines"]) != JOBS:
        raise SystemExit(f"Not {JOBS} lines: {len(answer.json()['lines'])}")
    whole = _seconds(lambda: client.get(f"{PATH}/results"))
    return f"| {count:,}, {name} | {read:,} | {query:.2f} s | {whole:.2f} s |\n"


def _seconds(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _measured(name: str, count: int, url: str | None) -> str:
    """Measure in a process of its own, since Airflow reads where its database is when it is imported."""
    with tempfile.TemporaryDirectory() as home:
        environ = {
            **os.environ,
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__AUTH_MANAGER": "support.restricted.RestrictedAuthManager",
            "AIRFLOW__API_AUTH__JWT_SECRET": "0123456789abcdef" * 4,
            **({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url} if url else {}),
        }
        command = [sys.executable, __file__, "--measure", json.dumps([name, count])]
        done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines(keepends=True)[-1]


def main() -> None:
    """Measure all, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.strip().partition("\n")[0])
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument(
        "--counts",
        type=int,
        nargs="+",
        default=[1_000, 10_000, 100_000],
        help="how many results there are (default 1000 10000 100000)",
    )
    arguments = parser.parse_args()
    if arguments.measure:
        sys.stdout.write(measure(*arguments.measure))
        return
    rows = [_measured("SQLite", count, None) for count in arguments.counts]
    if importlib.util.find_spec("psycopg2"):
        from support.debian import Services

        with Services() as services:
            rows += [
                _measured("PostgreSQL", count, services.new_database(f"page_{count}"))
                for count in arguments.counts
            ]
    text = PAGE.read_text()
    before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
    PAGE.write_text(f"{before}{MARKS[0]}\n{HEAD}{''.join(rows)}\n{MARKS[1]}{after}")


if __name__ == "__main__":
    main()
