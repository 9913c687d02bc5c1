"""How triggers of Airflow 3 read hints, by their supervisor, and what a secrets backend is asked then."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from airflow_provider_datarecs.compat import shared_text

pytestmark = [pytest.mark.compat, pytest.mark.usefixtures("hints_db")]

VAULT = """
from airflow.secrets import BaseSecretsBackend
asked = []
class Backend(BaseSecretsBackend):
    def get_variable(self, key, **more):
        asked.append(key)
"""

# Airflow's own supervisor of triggers, but for the socket to them.
CODE = """
import json, logging, time
import airflow
import vault
from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor
from airflow.sdk.execution_time import task_runner
from airflow_provider_datarecs.webhooks import hints
from airflow_provider_datarecs.webhooks.events import Hint

CONN_ID = f"supervised_{time.time()}"

class Supervisor(TriggerRunnerSupervisor):
    def send_msg(self, msg, request_id, error=None, **dump_opts):
        self.answer = msg

class Comms:
    def __init__(self):
        self.supervisor = object.__new__(Supervisor)
        self.messages = []
    def send(self, msg):
        self.messages.append(type(msg).__name__)
        del task_runner.SUPERVISOR_COMMS  # which is in another process than the supervisor
        try:
            self.supervisor._handle_request(msg, logging.getLogger("test"), 0)
        finally:
            task_runner.SUPERVISOR_COMMS = self
        return self.supervisor.answer

comms = Comms()
told = []

def read(after):
    del vault.asked[:], comms.messages[:]
    task_runner.SUPERVISOR_COMMS = comms
    began = time.perf_counter()
    try:
        found, after = hints.read_hints(CONN_ID, after)
    finally:
        del task_runner.SUPERVISOR_COMMS
    took = 1000 * (time.perf_counter() - began)
    told.append([[hint.run_id for hint in found], list(comms.messages), len(vault.asked), round(took, 1)])
    return after

def write(number):
    hints.write_hints(CONN_ID, [Hint(f"run_{number}", "job_1", None, time.time(), f"evt_{number}")])

after = read(None)
after = read(after)
write(1)
after = read(after)
after = read(after)
write(2)
write(3)
after = read(after)
after = read(after)
print("TOLD", json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory, hints_db):
    folder = tmp_path_factory.mktemp("vault")
    (folder / "vault.py").write_text(VAULT)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, "PYTHONPATH": path, "AIRFLOW__SECRETS__BACKEND": "vault.Backend"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environ, capture_output=True, text=True)
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("TOLD ")] or [done.stderr[-3000:]]
    assert line.startswith("TOLD "), line
    print(line)
    return json.loads(line[5:])


if shared_text.TRIGGERS_HAVE_NO_DATABASE:  # Airflow 2 reads its database

    def test_each_hint_is_read_once(told):
        assert [run_ids for run_ids, *_ in told] == [[], [], ["run_1"], [], ["run_2", "run_3"], []]


if shared_text.KEYS_CAN_BE_LISTED:

    def test_the_value_is_asked_for_after_a_change_alone_and_so_is_the_secrets_backend(told):
        idle, changed = (["GetVariableKeys"], 0), (["GetVariableKeys", "GetVariable"], 1)
        asked = [(messages, backend) for _, messages, backend, _ in told]
        assert asked == [idle, idle, changed, idle, changed, idle]

elif shared_text.TRIGGERS_HAVE_NO_DATABASE:

    def test_the_first_reader_makes_the_row_so_that_airflow_logs_no_error_each_second(told):
        assert told[0][1] == ["GetVariable", "PutVariable"]
        assert [messages for _, messages, *_ in told[1:]] == [["GetVariable"]] * 5

    def test_the_secrets_backend_is_asked_each_time_which_is_why_hints_are_off_there(told):
        assert all(backend for _, _, backend, _ in told)
