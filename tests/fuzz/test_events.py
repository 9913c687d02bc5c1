"""Nothing but an event that says COMPLETED for this very run lets a wait succeed; no other pushes that."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import NotFound
from airflow_provider_datarecs.api.runs import Run
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.compat import AirflowException, AirflowTaskTimeout
from airflow_provider_datarecs.polling import events
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor

TARGETS = [
    Target(TargetKind.JOB, "j", "w"),
    Target(TargetKind.JOB_GROUP, "j", "w"),
    Target(TargetKind.JOB, "r", "w"),
]
RUN_IDS = ["r", "r2", "j"]
STATUSES = ["COMPLETED", "FAILED", "CANCELLED", "RUNNING", "completed", ""]
RESULTS = st.fixed_dictionaries(
    {
        "status": st.sampled_from(STATUSES),
        "rows_processed": st.one_of(st.none(), st.integers()),
        "error": st.none(),
    },
    optional={"runs": st.lists(st.fixed_dictionaries({"status": st.sampled_from(STATUSES)}), max_size=2)},
)
JUNK = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.sampled_from([*STATUSES, *RUN_IDS, "job", "finished"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["outcome", "kind", "id", "run_id", "result", "status"]), inner),
    ),
    max_leaves=6,
)


@st.composite
def real_events(draw):
    target, run_id = draw(st.sampled_from(TARGETS)), draw(st.sampled_from(RUN_IDS))
    result = draw(RESULTS)
    return draw(
        st.sampled_from([
            events.finished(target, Run(run_id, result["status"], result)),
            events.timed_out(target, run_id, "too long"),
            events.timed_out(target, run_id, "too long", limit=events.EXECUTION_TIMEOUT),
            events.timed_out(target, run_id, "too long", seen=False),
            events.refused(target, run_id, NotFound("GET /x", 404, "no"), "c"),
        ])
    )  # fmt: skip


@st.composite
def mutated_events(draw):
    """An event with fields of another one, with junk in them, or without them."""
    event, other = copy.deepcopy(draw(real_events())), draw(real_events())
    for _ in range(draw(st.integers(0, 3))):
        place = (
            draw(st.sampled_from([event, event["result"]]))
            if isinstance(event.get("result"), dict)
            else event
        )
        key = draw(st.sampled_from(sorted({*place, *other})))
        change = draw(st.sampled_from(["drop", "junk", "swap"]))
        if change == "drop":
            place.pop(key, None)
        else:
            place[key] = draw(JUNK) if change == "junk" else copy.deepcopy(other.get(key))
    return event


def says_ended(event, target, run_id):
    result = event.get("result") if isinstance(event, dict) else None
    return (
        isinstance(result, dict)
        and result.get("status") in ("COMPLETED", "FAILED", "CANCELLED")
        and event.get("outcome") == "finished"
        and event.get("kind") == target.kind.noun
        and [event.get(name) for name in ("id", "workspace_id", "run_id")]
        == [target.id, target.workspace_id, run_id]
    )


class Pushed:
    """What a task has pushed."""

    def __init__(self):
        self.xcoms = {}

    def xcom_push(self, key, value):
        self.xcoms[key] = value


def check(event, target, run_id):
    before = copy.deepcopy(event)
    kind = JobRunSensor if target.kind is TargetKind.JOB else JobGroupRunSensor
    ids = {target.kind.id_field: target.id, "workspace_id": target.workspace_id, "run_id": run_id}
    sensor, ti = kind(task_id="wait", **ids), Pushed()
    ended = says_ended(event, target, run_id)
    if ended and event["result"]["status"] == "COMPLETED":
        assert sensor.execute_complete({"ti": ti}, event) == ti.xcoms["run_result"]
    else:
        with pytest.raises((AirflowException, AirflowTaskTimeout)):
            sensor.execute_complete({"ti": ti}, event)
    if ended:
        assert ti.xcoms["run_result"] == {**event["result"], **ids}
    else:
        assert ti.xcoms["run_result"]["status"] not in ("COMPLETED", "FAILED", "CANCELLED")
        assert {name: ti.xcoms["run_result"][name] for name in ids} == ids
    assert event == before


@settings(max_examples=150)
@given(mutated_events(), st.sampled_from(TARGETS), st.sampled_from(RUN_IDS))
def test_an_event_that_was_tampered_with(event, target, run_id):
    check(event, target, run_id)


@settings(max_examples=150)
@given(real_events())
def test_an_event_for_the_one_who_waits(event):
    target = next(one for one in TARGETS if (one.kind.noun, one.id) == (event["kind"], event["id"]))
    check(event, target, event["run_id"])


@settings(max_examples=150)
@given(JUNK, st.sampled_from(TARGETS), st.sampled_from(RUN_IDS))
def test_anything_for_an_event(event, target, run_id):
    check(event, target, run_id)
