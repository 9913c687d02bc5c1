"""Waits that begin on the triggerer: what comes of their templates there, and what is left to a worker."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow.models.dag import DAG
from airflow.provider.datarecs.links.run import DataRecsRunLink
from support.fakes import FakeTaskInstance
from support.logs import Log

from airflow_provider_datarecs.compat import task_ends, task_starts
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Plan

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(
        not task_starts.TRIGGERS_CAN_START_TASKS, reason="no trigger starts a task on this Airflow"
    ),
]

DONE = Plan(queued=0, running=0, rows_unmatched=7)
PULL = "{{ ti.xcom_pull(task_ids='trigger', key='run_id') }}"


class XComs:
    """Keeps XComs in place of Airflow; ``threads`` are those that ask for them."""

    def __init__(self):
        self.kept = {}
        self.threads = set()

    def set(self, *, key, value, task_id, **_):
        self.threads.add(threading.get_ident())
        self.kept[task_id, key] = value

    def _set_xcom_in_db(self, **what):
        self.set(**what)

    def delete(self, *, key, task_id, **_):
        self.kept.pop((task_id, key), None)

    def pull(self, *, task_ids, key, map_indexes):
        assert map_indexes == -1  # Airflow gives no answer else
        self.threads.add(threading.get_ident())
        return self.kept.get((task_ids, key))


@pytest.fixture
def xcoms(monkeypatch):
    xcoms = XComs()
    monkeypatch.setattr(task_starts, "xcom_class", lambda: xcoms)
    monkeypatch.setattr(task_ends, "xcom_class", lambda: xcoms)
    return xcoms


@pytest.fixture
def lines(monkeypatch):
    """What triggers log."""
    from airflow_provider_datarecs.triggers.base import RunTrigger
    from airflow_provider_datarecs.triggers.beginning import BeginningTrigger

    lines = Log()
    monkeypatch.setattr(RunTrigger, "log", lines)
    monkeypatch.setattr(BeginningTrigger, "log", lines)
    return lines


@pytest.fixture
def dag():
    with DAG(dag_id="dag", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)) as dag:
        yield dag


@pytest.fixture
def begun(dag, xcoms, lines, loop_guard):
    """Begin a task's wait as Airflow does, from the serialized DAG, and give what its trigger fires."""
    from airflow.models.trigger import Trigger
    from airflow.serialization.decoders import smart_decode_trigger_kwargs
    from airflow.serialization.serialized_objects import DagSerialization

    from airflow_provider_datarecs.triggers.beginning import BeginningTrigger

    async def begun(task, try_number=1, conf=None):
        stored = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task(task.task_id)
        assert stored.start_from_trigger
        args = stored.start_trigger_args
        kwargs = Trigger._decrypt_kwargs(Trigger(args.trigger_cls, args.trigger_kwargs).encrypted_kwargs)
        trigger = BeginningTrigger(
            **{key: smart_decode_trigger_kwargs(value) for key, value in kwargs.items()}
        )
        ti = FakeTaskInstance(task_id=task.task_id, dag_id="dag", try_number=try_number, task=stored)
        ti.xcom_pull = xcoms.pull
        trigger.task_instance, trigger.trigger_id = ti, 1
        trigger.timeout_after = datetime.now(tz=timezone.utc) + args.timeout
        dag_run = SimpleNamespace(conf=conf or {}, clear_number=0)
        ti.max_tries, ti.get_previous_dagrun = 0, str
        # Some of what Airflow has in a context gives a triggerer another answer, or none.
        wrong = {"prev_start_date_success": "2024", "triggering_asset_events": {}}
        trigger.render_template_fields(
            {"ti": ti, "task_instance": ti, "dag_run": dag_run, "ds": "2024-01-01", **wrong}
        )
        return [event async for event in trigger.run()]

    return begun


def a_wait(task_id="wait", **more):
    ids = {"job_id": "job_ledger", "workspace_id": "ws_production", "run_id": PULL}
    return JobRunSensor(task_id=task_id, **{**ids, "start_from_trigger": True, **more})


async def test_a_run_that_another_task_has_pushed_is_waited_for(begun, started, xcoms, lines):
    xcoms.kept["trigger", "run_id"] = run_id = started(DONE)
    (event,) = await begun(a_wait())
    assert (event.payload["outcome"], event.payload["run_id"]) == ("finished", run_id)
    assert threading.get_ident() not in xcoms.threads
    assert [line for line in lines if "without a worker" in line]


async def test_the_output_of_a_task_is_a_template_as_well(begun, started, xcoms, dag):
    from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator

    trigger = TriggerJobRunOperator(task_id="trigger", job_id="job_ledger", workspace_id="ws_production")
    xcoms.kept["trigger", "return_value"] = run_id = started(DONE)
    (event,) = await begun(a_wait(run_id=trigger.output))
    assert event.payload["run_id"] == run_id


async def test_what_the_dag_run_was_given_can_be_asked_for(begun, started):
    run_id = started(DONE)
    (event,) = await begun(a_wait(run_id="{{ dag_run.conf['run'] }}"), conf={"run": run_id})
    assert event.payload["run_id"] == run_id


async def test_a_wait_may_begin_and_end_without_a_worker(begun, started, xcoms):
    xcoms.kept["trigger", "run_id"] = run_id = started(DONE)
    (event,) = await begun(a_wait(end_from_trigger=True, max_unmatched_rows="{{ 3 + 4 }}"))
    assert type(event).__name__ == "TaskSuccessEvent"
    assert xcoms.kept["wait", "run_result"]["run_id"] == run_id
    assert xcoms.kept["wait", "return_value"]["agreed"] is True


async def test_more_unmatched_than_a_rendered_limit_allows_ends_on_a_worker(begun, started, xcoms):
    xcoms.kept["trigger", "run_id"] = started(DONE)
    (event,) = await begun(a_wait(end_from_trigger=True, max_unmatched_rows="{{ 3 + 3 }}"))
    assert event.payload["outcome"] == "finished"


@pytest.mark.parametrize(
    ("field", "why"),
    [
        (
            {"run_id": "{{ ti.xcom_pull(task_ids='nobody', key='run_id') }}"},
            "task 'nobody' has no XCom 'run_id', or is mapped",
        ),
        (
            {"run_id": "{{ ti.xcom_pull(task_ids=['trigger'], key='run_id') }}"},
            "a template pulls XComs of several tasks, or of another DAG",
        ),
        (
            {"run_id": "{{ ti.xcom_pull(task_ids='trigger', key='run_id', dag_id='other') }}"},
            "a template pulls XComs of several tasks, or of another DAG",
        ),
        ({"run_id": "{{ ti.xcom_pull(task_ids='trigger', key='run_id', map_indexes=[1, 2]) }}"}, "TypeError"),
        ({"run_id": "{{ prev_start_date_success }}"}, "UndefinedError"),
        ({"run_id": "{{ ti.max_tries }}"}, "a template asks for ti.max_tries, which"),
        ({"run_id": "{{ ti.get_previous_dagrun() }}"}, "a template asks for ti.get_previous_dagrun, which"),
        ({"run_id": "{{ dag_run.clear_number }}"}, "a template asks for dag_run.clear_number, which"),
        ({"run_id": "{{ triggering_asset_events }}"}, "UndefinedError"),
        ({"run_id": "{{ unheard_of }}"}, "UndefinedError"),
        ({"run_id": "{{ unheard_of | unknown }}"}, "TemplateAssertionError"),
        ({"run_id": "{{ 'a/b' }}"}, "InvalidInput"),
        ({"run_id": "{{ '' }}"}, "InvalidInput"),
        ({"run_id": "{{ none }}"}, "InvalidInput"),
        ({"on_unmatched": "{{ 'explode' }}", "max_unmatched_rows": 1}, "InvalidInput"),
        ({"max_unmatched_rows": "{{ 'many' }}"}, "InvalidInput"),
        ({"conn_id": "not_there"}, ""),
    ],
)
async def test_what_is_not_sure_is_left_to_a_worker(begun, started, xcoms, field, why):
    xcoms.kept["trigger", "run_id"] = started(DONE)
    (event,) = await begun(a_wait(**field))
    assert event.payload["outcome"] == "not_begun"
    assert why in event.payload["why"]


async def test_a_further_try_begins_on_a_worker(begun, started, xcoms):
    xcoms.kept["trigger", "run_id"] = started(DONE)
    (event,) = await begun(a_wait(), try_number=2)
    why = "it is a retry, or was cleared, which takes a worker"
    assert event.payload == {"outcome": "not_begun", "why": why}


async def test_the_link_is_where_airflow_looks_for_it(begun, started, xcoms, simulator, connect):
    connect(simulator.url, extra={"console_url": "https://app.datarecs.example"})
    xcoms.kept["trigger", "run_id"] = run_id = started(DONE)
    await begun(a_wait())
    assert run_id in xcoms.kept["wait", DataRecsRunLink().xcom_key]


async def test_the_log_says_why_a_worker_ends_it(begun, started, xcoms, lines):
    xcoms.kept["trigger", "run_id"] = started(DONE)
    await begun(a_wait(end_from_trigger=True, on_success_callback=print))
    why = "The task will end on a worker in spite of end_from_trigger, since the task has on_success_callback"
    assert len([line for line in lines if line.startswith(why)]) == 1


async def test_a_rendering_that_takes_too_long_is_left_to_a_worker(
    begun, started, xcoms, monkeypatch, polling_config
):
    polling_config(begin_within=0.05)
    released = threading.Event()
    monkeypatch.setattr(xcoms, "pull", lambda **_: released.wait(60) and None)
    (event,) = await begun(a_wait())
    released.set()
    assert event.payload["outcome"] == "not_begun"


async def test_a_group_is_waited_for_alike(begun, simulator, xcoms):
    from airflow_provider_datarecs.api.contract import TargetKind

    world = simulator.world
    group = world.owners[TargetKind.JOB_GROUP]["grp_nightly"]
    for job in world.owners[TargetKind.JOB].values():
        job.plan = DONE
    run_id = world.start_run(TargetKind.JOB_GROUP, group).id
    task = JobGroupRunSensor(
        task_id="wait",
        job_group_id="grp_nightly",
        workspace_id="ws_production",
        run_id=run_id,
        start_from_trigger=True,
    )
    (event,) = await begun(task)
    assert (event.payload["outcome"], event.payload["run_id"]) == ("finished", run_id)


async def test_the_deadline_is_that_of_the_task_however_late_a_triggerer_takes_it_up(begun, started, xcoms):
    xcoms.kept["trigger", "run_id"] = started(Plan(queued=0, running=3600))
    (event,) = await asyncio.wait_for(begun(a_wait(timeout=timedelta(seconds=0.5))), 60)
    assert (event.payload["outcome"], event.payload["limit"]) == ("timed_out", "timeout")
