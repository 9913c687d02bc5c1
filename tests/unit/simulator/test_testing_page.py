"""What the lines of ``docs/testing.md`` let happen, as an operator and a sensor meet it."""

from __future__ import annotations

import re
import time

import pytest
from support import DOCS
from support.clock import skip_pauses

from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Fault, Plan

PAGE = (DOCS / "testing.md").read_text()
LINES = dict(re.findall(r"^\| (.+?) \| `(datarecs_simulator\..+)` \|$", PAGE, re.MULTILINE))
# How the wait ends, and what it is answered at least once.
ENDS = {
    "a job ends FAILED after three polls": ("DataRecsRunFailed", 200),
    "ten rows did not match": (10, 200),
    "a run is not visible for two seconds": (0, 404),
    "a run never ends": ("AirflowSensorTimeout", 200),
    "429 for three seconds": (0, 429),
    "the service is away for two seconds": (0, None),
    "the answer to the start of a run is lost": ("DataRecsRunUncertain", None),
    "a gateway's 404 for two seconds, which is no word on the run": (0, 404),
    "the API key is revoked": ("DataRecsConfigException", 401),
    "another job of your own": (0, 200),
}


def test_every_line_of_the_page_is_tried():
    assert set(LINES) == set(ENDS)


def run_and_wait(job_id, context):
    """Run a job as a DAG does, and give the rows that did not match, or the name of what was raised."""
    where = {"job_id": job_id, "workspace_id": "ws_production"}
    try:
        run_id = TriggerJobRunOperator(task_id="trigger", **where).execute(context)
        wait = JobRunSensor(
            task_id="wait", **where, run_id=run_id, deferrable=False, poke_interval=1, timeout=8
        )
        return wait.execute(context)["rows_unmatched"]
    except Exception as error:  # noqa: BLE001
        return type(error).__name__


@pytest.mark.parametrize("what", ENDS)
def test_a_line_does_what_the_page_says(what, datarecs_simulator, context, monkeypatch):
    skip_pauses(monkeypatch)
    datarecs_simulator.world.clock = time.time  # the one that the pauses move on
    datarecs_simulator.world.plan_runs("job_daily_balance", Plan(polls=1))
    exec(LINES[what], {"datarecs_simulator": datarecs_simulator, "Plan": Plan, "Fault": Fault})
    end, answer = ENDS[what]
    assert run_and_wait("job_fx" if "job_fx" in LINES[what] else "job_daily_balance", context) == end
    assert answer in [seen.status for seen in datarecs_simulator.requests]
