"""Signed events, from Airflow's own server and from a process beside it, to a triggerer."""

from __future__ import annotations

import http.client
import secrets
import subprocess
import sys
import threading
import time

import pytest
from support.airflow import COMPONENTS, IS_AIRFLOW_3, Airflow, free_port, is_open
from support.events import PATH, event, post, signed

pytestmark = pytest.mark.airflow

SERVER = "api-server" if IS_AIRFLOW_3 else "webserver"
SECRET = secrets.token_hex(16)
JUNK_PER_SECOND = 200

# A task that waits, by nothing but hints, for one about the run that its DAG run names.
DAG = """
import asyncio, time
from datetime import datetime, timedelta
from airflow.models.dag import DAG
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async
from airflow_provider_datarecs.compat import BaseOperator
from airflow_provider_datarecs.webhooks import hints


class HintTrigger(BaseTrigger):
    def __init__(self, run_id):
        super().__init__()
        self.run_id = run_id

    def serialize(self):
        return "hinted.HintTrigger", {"run_id": self.run_id}

    async def run(self):
        after, took = None, []
        while True:
            began = time.perf_counter()
            found, after = await sync_to_async(hints.read_hints)("datarecs_default", after)
            took.append(1000 * (time.perf_counter() - began))
            for hint in found:
                if hint.run_id == self.run_id:
                    is_on = hints.are_on("datarecs_default")
                    yield TriggerEvent({"late": time.time() - hint.at, "took": took[1:], "is_on": is_on})
                    return
            await asyncio.sleep(1)


class WaitForHint(BaseOperator):
    template_fields = ("run_id",)

    def __init__(self, *, run_id, **more):
        super().__init__(**more)
        self.run_id = run_id

    def execute(self, context):
        self.defer(trigger=HintTrigger(self.run_id), method_name="resume")

    def resume(self, context, event):
        return event


with DAG("hinted", start_date=datetime(2026, 1, 1), schedule=None, max_active_runs=4):
    again = {"retries": 3, "retry_delay": timedelta(seconds=1)}
    WaitForHint(task_id="wait", run_id="{{ dag_run.conf['run'] }}", **again)
"""


@pytest.fixture(scope="module")
def airflow(database_of, tmp_path_factory):
    folder = tmp_path_factory.mktemp("webhooks")
    dags = folder / "dags"
    dags.mkdir()
    (dags / "hinted.py").write_text(DAG)
    with Airflow(
        folder / "airflow",
        dags,
        host="http://127.0.0.1:9",
        api_key="unused",
        environ={
            "AIRFLOW__DATARECS__WEBHOOKS": "True",
            "PYTHONPATH": str(dags),
            **database_of("webhooks"),
        },
        components=COMPONENTS if IS_AIRFLOW_3 else ("webserver", *COMPONENTS),
    ) as airflow:
        airflow.set_connection("datarecs_default", "http://127.0.0.1:9", "unused", webhook_secret=SECRET)
        airflow.wait_until(lambda: is_open(airflow.port), "the server answers")
        yield airflow


@pytest.fixture(scope="module")
def process(airflow):
    """The receiver as a process of its own; gives its port."""
    port = free_port()
    command = [sys.executable, "-m", "airflow_provider_datarecs.webhooks", "--port", str(port)]
    with subprocess.Popen(command, env=airflow.environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            while "Receiving events" not in process.stdout.readline():
                assert process.poll() is None
            yield port
        finally:
            process.terminate()


def wait_for_hint(airflow, run_id, port):
    """Have a task wait for a hint, post the event, and give what the trigger tells."""
    airflow.trigger_dag("hinted", run_id, {"run": run_id})
    airflow.wait_until(
        lambda: airflow.tasks("hinted", run_id).get("wait", {}).get("state") == "deferred",
        f"{run_id} waits",
    )
    body = event(run_id, f"evt_{run_id}")
    assert post(port, body, signed(body, SECRET)) == (204, b"")
    airflow.wait_until(lambda: airflow.run_state("hinted", run_id) == "success", f"{run_id} is noticed")
    return airflow.xcom("hinted", run_id, "wait", "return_value")


def test_an_event_that_is_posted_to_airflows_server_reaches_a_trigger(airflow):
    told = wait_for_hint(airflow, "run_by_server", airflow.port)
    print(f"reading took {sorted(told['took'])} ms; noticed {told['late']:.2f} s after the event came")
    assert told["is_on"]


def test_an_event_that_is_posted_to_a_process_of_its_own_does_as_well(airflow, process):
    told = wait_for_hint(airflow, "run_by_process", process)
    print(f"reading took {sorted(told['took'])} ms; noticed {told['late']:.2f} s after the event came")
    assert told["is_on"]


def test_airflow_answers_while_junk_comes_and_so_does_the_receiver(airflow):
    page = "/api/v2/monitor/health" if IS_AIRFLOW_3 else "/health"
    junk, answers, stop = [], [], threading.Event()

    def send_junk(number):
        connection, body = None, event()
        began = time.monotonic()
        for count in range(JUNK_PER_SECOND * 10 // 4):
            path = f"{PATH}/{'datarecs_default' if count % 2 else f'made_up_{number}_{count}'}"
            connection = connection or http.client.HTTPConnection("127.0.0.1", airflow.port, timeout=30)
            connection.request("POST", path, body, signed(body, "another"))
            answer = connection.getresponse()
            junk.append((answer.status, answer.read()))
            if answer.will_close:
                connection.close()
                connection = None
            stop.wait(max(0.0, began + (count + 1) * 4 / JUNK_PER_SECOND - time.monotonic()))

    def ask():
        while not stop.is_set():
            began = time.perf_counter()
            answers.append((post(airflow.port, path=page, method="GET")[0], time.perf_counter() - began))
            stop.wait(0.2)

    before = airflow.rows("select count(*) as n from session")[0]["n"] if not IS_AIRFLOW_3 else 0
    senders = [threading.Thread(target=send_junk, args=(number,)) for number in range(4)]
    asking = threading.Thread(target=ask)
    began = time.monotonic()
    for thread in (asking, *senders):
        thread.start()
    body = event("run_in_junk", "evt_in_junk")
    signed_answers = [post(airflow.port, body, signed(body, SECRET)) for _ in range(10)]
    for thread in senders:
        thread.join()
    took = time.monotonic() - began
    stop.set()
    asking.join()
    slowest = max(seconds for _, seconds in answers)
    print(
        f"{len(junk) / took:.0f} POSTs a second; of {len(answers)} requests the slowest took {slowest:.2f} s"
    )
    assert set(junk) == {(401, b"")}
    assert {status for status, _ in answers} == {200}
    assert set(signed_answers) == {(204, b"")}
    if not IS_AIRFLOW_3:
        # Only what asked for the page; whoever posts leaves none.
        assert airflow.rows("select count(*) as n from session")[0]["n"] <= before + len(answers)
    assert SECRET not in airflow.log_of(SERVER, 10**6)
    (line, *_) = [one for one in airflow.log_of(SERVER, 10**6).splitlines() if "and refused:" in one]
    assert "another secret" in line or "no webhook_secret is known" in line


def test_there_is_no_receiver_unless_it_is_switched_on(airflow):
    environ = {**airflow.environ, "AIRFLOW__DATARECS__WEBHOOKS": "False"}
    done = subprocess.run(
        [sys.executable, "-m", "airflow_provider_datarecs.webhooks"],
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "set [datarecs] webhooks to True" in done.stderr
