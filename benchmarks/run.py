"""
Run the benchmark: this provider's waits beside those of dbt Cloud's and Databricks's providers.

``make benchmark`` runs it whole and writes ``docs/benchmark.md`` with two plots; the short form takes eight
minutes (``.venv/bin/tox -e benchmark -- --waits 100 --providers datarecs --out dist/benchmark``). Each case
has a service of its own, over TLS, and as many processes of triggers as it says.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import plots
import scheduling
from certificates import make_certificates
from rows import commit

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
MEASURED = ("apache-airflow", "apache-airflow-providers-dbt-cloud", "apache-airflow-providers-databricks")
POKE_INTERVAL = 30.0
LIMIT = 100
WARM_UP, SETTLE, MEASURE = 5.0, 35.0, 60.0  # seconds of a case without a limit
BEGIN, STARTING = 90.0, 40.0  # seconds until the first run ends: scaled ones, and those that processes take
ENDS = 600.0  # seconds within which the runs of a case with a limit end
CALM = 1000  # peers' waits that do not keep a machine from anything else
PATIENCE = 3 * 3600.0  # seconds, after which a wait that has not ended counts as lost


@dataclass
class Case:
    """
    What is measured, and what came out.

    :param limit: requests a minute that the service allows, 0 for any number
    :param scale: how many times faster all time passes; the figures are in unscaled time
    """

    provider: str
    waits: int
    jobs: int
    limit: int = 0
    sliding: bool = False
    processes: int = 1
    scale: float = 1.0
    figures: dict[str, float] = field(default_factory=dict)


def cases(waits: list[int]) -> tuple[list[Case], list[Case]]:
    """Give the cases with a limit, and those without."""
    limited, unlimited = [], []
    for count in waits:
        for jobs in (50, count):
            quick = 5.0 if count <= CALM else 10.0 if jobs == 50 else 20.0
            quick = 1.0 if (count, jobs) == (1000, 50) else quick
            limited.append(Case("datarecs", count, jobs, LIMIT, scale=quick))
            unlimited.append(Case("datarecs", count, jobs))
        for peer in ("databricks", "dbt"):
            limited.append(Case(peer, count, 50, LIMIT))
            unlimited.append(Case(peer, count, 50))
    if 1000 in waits:
        limited += [
            Case("datarecs", 1000, 50, LIMIT, sliding, processes)
            for sliding, processes in ((True, 1), (False, 3), (True, 3))
        ]
    return limited, unlimited


def run(case: Case, folder: Path) -> Case:
    """Measure a case."""
    environment = {
        **os.environ,
        "SSL_CERT_FILE": str(folder / "ca.pem"),
        "AIRFLOW_HOME": tempfile.mkdtemp(dir=folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    service = subprocess.Popen(
        [
            sys.executable, str(HERE / "service.py"), "--provider", case.provider,
            "--certificate", str(folder / "service.pem"), "--waits", str(case.waits),
            "--jobs", str(case.jobs), "--history", "20" if case.jobs <= 1000 else "5",
            "--limit", str(case.limit), "--scale", str(case.scale),
            "--begin", str(BEGIN + STARTING * case.scale),
            "--ends", str(ENDS if case.limit else 0.0), *(["--sliding"] if case.sliding else []),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    told = json.loads(service.stdout.readline())
    environment.update(connections(told["port"]))
    began = time.monotonic()
    work = {
        "provider": case.provider,
        "interval": POKE_INTERVAL / case.scale,
        "warm_up": WARM_UP,
        "settle": SETTLE,
        "measure": 0.0 if case.limit else MEASURE,
        "patience": PATIENCE / case.scale,
        "scale": case.scale,
    }
    triggerers = []
    for number in range(case.processes):
        triggerer = subprocess.Popen(
            [sys.executable, str(HERE / "triggers.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        triggerer.stdin.write(json.dumps({**work, "runs": told["runs"][number :: case.processes]}))
        triggerer.stdin.close()
        triggerers.append(triggerer)
    measured = [json.loads(triggerer.stdout.read()) for triggerer in triggerers]
    minutes = (time.monotonic() - began) / 60.0 * case.scale
    service.stdin.close()
    requests = json.loads(service.stdout.read())
    case.figures = figures_of(case, told["runs"], measured, requests, minutes)
    print(f"{time.strftime('%H:%M:%S')} {case}", file=sys.stderr, flush=True)
    return case


def connections(port: int) -> dict[str, str]:
    """Give the environment variables with each provider's connection to the service."""
    password = {"password": "benchmark-key"}
    fields: dict[str, dict[str, Any]] = {
        "datarecs": {"conn_type": "datarecs", "host": f"https://127.0.0.1:{port}"},
        "dbt": {"conn_type": "dbt_cloud", "host": f"127.0.0.1:{port}", "login": "1"},
        "databricks": {"conn_type": "databricks", "host": "127.0.0.1", "schema": "https", "port": port},
    }
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps({**one, **password}) for name, one in fields.items()}


def figures_of(
    case: Case,
    runs: list[list[Any]],
    measured: list[dict[str, Any]],
    requests: dict[str, int],
    minutes: float,
) -> dict[str, float]:
    """Turn what the processes measured into the table's figures."""
    figures = {
        "asked": requests["requests"] / minutes,
        "refused": requests["refused"] / minutes,
        "refused_share": requests["refused"] / max(1, requests["requests"]),
        "hold": max(one["hold"] for one in measured) * 1000.0,
        "own_hold": max(one["own_hold"] for one in measured) * 1000.0,
    }
    if not case.limit:
        figures["cpu"] = sum(one["cpu"] for one in measured) * 60_000.0 / case.waits
        figures["memory"] = sum(one["memory"] for one in measured) / 1024.0 / case.waits
        return figures
    planned = {run[0]: (run[3], run[4]) for run in runs}
    results = [result for one in measured for result in one["results"]]
    right = [result for result in results if planned[result[0]][1] == result[1]]
    delays = sorted(max(0.0, at - planned[run_id][0]) * case.scale for run_id, _, at in right)
    figures["wrong"] = len(results) - len(right)
    figures["lost"] = case.waits - len(results)
    if len(delays) > 1:
        figures["median"] = statistics.median(delays)
        figures["p95"] = statistics.quantiles(delays, n=20)[-1]
        figures["longest"] = delays[-1]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waits", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--providers", nargs="+", default=["datarecs", "databricks", "dbt"])
    parser.add_argument("--out", type=Path, default=DOCS)
    options = parser.parse_args()
    limited, unlimited = (
        [case for case in some if case.provider in options.providers] for some in cases(options.waits)
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_certificates(folder)
        rushes = [case for case in limited if case.provider != "datarecs" and case.waits > CALM]
        for case in rushes:
            run(case, folder)
        # Under a limit there is little to do, so that the other cases do not disturb each other.
        calm = [case for case in limited if case not in rushes]
        with ThreadPoolExecutor(len(calm)) as together:
            list(together.map(lambda case: run(case, folder), calm))
        for case in unlimited:
            run(case, folder)
    options.out.mkdir(exist_ok=True)
    everything = {
        "commit": commit(options.out / "benchmark.json"),
        "releases": {name: version(name) for name in MEASURED},
        "cases": [asdict(case) for case in limited + unlimited],
        "schedule": scheduling.study(),
    }
    (options.out / "benchmark.json").write_text(json.dumps(everything, indent=1) + "\n")
    text = plots.table(everything)
    (options.out / "benchmark.md").write_text(text)
    plots.draw(everything, options.out)
    print(text)


if __name__ == "__main__":
    main()
