"""
Measure what webhooks do to waits, on a real Airflow of two servers and two triggerers with PostgreSQL.

``make push`` runs it on Airflow 2.11 and 3.3, and writes ``docs/push.md``; a short form of one case takes
three minutes: ``python benchmarks/push/run.py --waits 60 --minutes 1.5 --cases plain --out dist``. It ends
with 1 where a wait ended wrongly or not at all, where a request was refused, or where Airflow's own API gave
no answer.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

from airflow import __version__ as airflow_version
from deployment import COMPONENTS, DAG, HERE, PATH, Deployment, HealthWatch, Receivers, settings
from figures import figures_of, page
from rows import Rows, say
from support.airflow import RigError
from support.debian import Services

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import ApiKey, Plan, RateLimit, Simulator, Webhook, World

DOCS = HERE.parent.parent / "docs"
LIMIT = 100
LONG = 86_400.0  # seconds that runs take until it is known when they are to end
SETTLE = 20.0  # seconds until each wait has been taken up and polled for, if there is room
DOWN_AFTER, DOWN_FOR = 0.3, 60.0  # the part of the time for ends, and seconds
AFTERWARDS = 1200.0  # seconds in which what has ended must be noticed


@dataclass(frozen=True)
class Case:
    """
    What is done to the events.

    :param title: as the table has it
    :param events: whether there are any
    :param lost: the share that is never posted
    :param times: how often each is posted
    :param down_for: seconds for which both receivers are down; they are processes of their own then
    :param junk: posts a second that no receiver may take
    """

    title: str
    events: bool = True
    lost: float = 0.0
    times: int = 1
    down_for: float = 0.0
    junk: float = 0.0


CASES = {
    "plain": Case("each event once"),
    "lost_some": Case("a fifth of the events lost", lost=0.2),
    "lost_all": Case("all events lost", lost=1.0),
    "thrice": Case("each event three times", times=3),
    "down": Case("receivers killed for a minute", down_for=DOWN_FOR),
    "junk": Case("200 junk posts a second", junk=200.0),
    "polling": Case("polling alone", events=False),
}


class InTurn(Webhook):
    """A webhook that posts to several URLs in turn, as behind a load balancer."""

    @property
    def url(self) -> str:  # type: ignore[override]
        """Where to post next."""
        return next(self._urls)

    @url.setter
    def url(self, urls: tuple[str, ...]) -> None:
        self._urls = itertools.cycle(urls)


class Bench:
    """
    Run one case after the other on an Airflow.

    :param airflow: the Airflow
    :param simulator: the service
    :param options: ``waits``, ``minutes`` and ``free``
    """

    def __init__(self, airflow: Deployment, simulator: Simulator, options: argparse.Namespace) -> None:
        self._airflow = airflow
        self._simulator = simulator
        self._world: World = simulator.world
        self._options = options

    def measure(self, name: str) -> dict[str, Any]:
        """Run a case, and give its figures."""
        case, key, secret = CASES[name], secrets.token_hex(16), secrets.token_hex(16)
        say(f"{name}: {self._options.waits} waits are made")
        self._world.api_keys.append(ApiKey(key))
        self._airflow.set_connection(
            name, self._simulator.url, key, share_left_free=self._options.free, webhook_secret=secret
        )
        self._start_runs(name)
        self._airflow.add_waits(name, self._options.waits)
        time.sleep(SETTLE)
        with ExitStack() as stack:
            ports = self._airflow.ports
            if case.down_for:
                receivers = stack.enter_context(Receivers(self._airflow.environ))
                ports = receivers.ports
                stack.enter_context(self._going_down(receivers, case.down_for))
            urls = tuple(f"http://127.0.0.1:{port}{PATH}/{name}" for port in ports)
            webhook = InTurn(urls, secret, lost=case.lost, times=case.times)
            self._world.webhooks[:] = [webhook] if case.events else []
            junk = stack.enter_context(posting_junk(case.junk, urls))
            health = stack.enter_context(HealthWatch(self._airflow.ports))
            plans = self._plan_ends(name)
            say(f"{name}: runs end from now on")
            began = time.time()
            is_over = self._wait_for_end(name, self._options.minutes * 60.0 + AFTERWARDS)
            say(f"{name}: {'all waits have ended' if is_over else 'not all waits have ended'}")
        requests = [
            seen for seen in list(self._simulator.requests) if key in seen.headers.get("Authorization", "")
        ]
        figures = figures_of(plans, self._airflow.states(name), requests, began)
        figures["events"] = len(webhook.deliveries)
        figures["accepted"] = sum(one.status == 204 for one in webhook.deliveries)
        figures["junk"] = junk
        figures["asked_airflow"], figures["airflow_failed"] = len(health.seconds), health.failed
        figures["airflow_longest"] = max(health.seconds, default=0.0)
        self._world.webhooks.clear()
        return figures

    def _start_runs(self, name: str) -> None:
        for number in range(self._options.waits):
            job_id, plan = f"{name}_job_{number}", Plan(queued=0.0, running=LONG)
            self._world.add_job(job_id, job_id, "ws_production", plan)
            run = self._world.start_run(TargetKind.JOB, self._world.owners[TargetKind.JOB][job_id])
            run.id = f"{name}_run_{number}"

    def _plan_ends(self, name: str) -> dict[int, tuple[float, str]]:
        """Say when and how each run ends, at random over the time."""
        chance, now, plans = random.Random(name), time.time(), {}
        for run in self._world.runs[TargetKind.JOB]:
            case, _, number = run.id.partition("_run_")
            if case == name:
                ends = now + chance.uniform(0.0, self._options.minutes * 60.0)
                status = chance.choice(["COMPLETED"] * 9 + ["FAILED"])
                plans[int(number)] = (ends, status)
                run.plan = Plan(queued=0.0, running=ends - run.starts_at, status=status)
        return plans

    @contextmanager
    def _going_down(self, receivers: Receivers, seconds: float) -> Iterator[None]:
        over = threading.Event()

        def go_down() -> None:
            if not over.wait(self._options.minutes * 60.0 * DOWN_AFTER):
                say("both receivers are killed")
                receivers.kill()
                over.wait(seconds)
                receivers.start()
                say("both receivers are started again")

        thread = threading.Thread(target=go_down)
        thread.start()
        yield
        over.set()
        thread.join()

    def _wait_for_end(self, name: str, seconds: float) -> bool:
        def has_ended() -> bool:
            time.sleep(1.0)
            return self._airflow.run_state(name, "run") in ("success", "failed")

        try:
            return bool(self._airflow.wait_until(has_ended, "all waits have ended", seconds))
        except RigError as error:
            say(str(error))
            return False


@contextmanager
def posting_junk(rate: float, urls: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Post junk meanwhile, and give what came of it when that is over."""
    told: dict[str, Any] = {}
    if not rate:
        yield told
        return
    command = [sys.executable, str(HERE / "junk.py"), str(rate), *urls]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield told
    finally:
        told.update(json.loads(process.communicate("")[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waits", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=10.0, help="within which the runs end")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--free", type=float, default=0.2, help="share_left_free of the connections")
    parser.add_argument("--out", type=Path, default=DOCS)
    options = parser.parse_args()
    rows = Rows(options.out / "push.json", page, ("airflow", "case", "waits", "minutes", "free"))
    is_right = True
    with Services() as services, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        world = World(api_keys=[], rate_limit=RateLimit(LIMIT, sliding=True))
        world.add_workspace("ws_production", "Production")
        simulator = stack.enter_context(Simulator(world))
        dags = Path(folder) / "dags"
        dags.mkdir()
        for name in options.cases:
            (dags / f"{name}.py").write_text(DAG.format(name=name, waits=options.waits))
        airflow = stack.enter_context(
            Deployment(
                Path(folder) / "airflow", dags, host=simulator.url, api_key="unused", say=say,
                components=COMPONENTS,
                environ=settings(
                    services.database, options.waits, [one for one in options.cases if CASES[one].events]
                ),
            )
        )  # fmt: skip
        bench = Bench(airflow, simulator, options)
        for name in options.cases:
            row = {
                "airflow": airflow_version, "case": name, "title": CASES[name].title, "waits": options.waits,
                "minutes": options.minutes, "free": options.free, "cores": os.cpu_count(),
                **bench.measure(name),
            }  # fmt: skip
            print(json.dumps(row), flush=True)
            rows.put(row)
            bad = [part for part in ("wrong", "lost", "refused", "airflow_failed") if row[part]]
            if bad or row["most_in_a_minute"] > LIMIT:
                say(f"{name} went wrong: {', '.join(f'{row[part]} {part}' for part in bad)}")
                is_right = False
    sys.exit(not is_right)


if __name__ == "__main__":
    main()
