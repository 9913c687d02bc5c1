"""
What earlier releases left in Airflow's database goes on under this one.

``stored/`` has, for each release, the triggers of deferred tasks and the events that wait for their tasks.
A release adds a file; none is ever changed.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

import airflow_provider_datarecs
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import Plan

RELEASES = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "stored").iterdir()}
TRIGGERS = [
    pytest.param(stored, id=f"{release}-{stored['classpath'].rsplit('.')[-1]}")
    for release, left in RELEASES.items()
    for stored in left["triggers"]
]
RESUMES = [
    pytest.param(stored, id=f"{release}-{stored['event']['outcome']}-{stored['ends']}-{number}")
    for release, left in RELEASES.items()
    for number, stored in enumerate(left["resumes"])
]


def load(path):
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("stored", TRIGGERS)
async def test_a_stored_trigger_waits_on_for_its_run(simulator, event_of, stored):
    world = simulator.world
    for job in world.owners[TargetKind.JOB].values():
        job.plan = Plan(queued=0, running=0)
    kind = load(stored["classpath"]).kind
    run = world.start_run(kind, world.owners[kind][stored["kwargs"][kind.id_field]])
    trigger = load(stored["classpath"])(**{**stored["kwargs"], "run_id": run.id})
    assert (await event_of(trigger))["result"]["status"] == "COMPLETED"


@pytest.mark.parametrize("stored", RESUMES)
def test_a_stored_event_ends_its_task_as_it_would_have(context, stored):
    sensor = load(stored["sensor"])(
        task_id="wait", workspace_id="ws_production", run_id="RUN", **stored["kwargs"]
    )
    try:
        ended = sensor.execute_complete(context, stored["event"])["status"]
    except BaseException as error:  # noqa: BLE001 - whatever it is, its name is compared
        ended = type(error).__name__
    assert ended == stored["ends"]


def test_what_this_release_stores_is_kept_for_the_next_ones():
    kept = {
        stored["classpath"]: stored["kwargs"]
        for stored in RELEASES[airflow_provider_datarecs.__version__]["triggers"]
    }
    made = [load(path)(**arguments).serialize() for path, arguments in kept.items()]
    assert made == list(kept.items())
