"""Which waits begin on the triggerer, and what the log says of those that do not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow.models.dag import DAG
from support.fakes import FakeTaskInstance

from airflow_provider_datarecs.compat import AIRFLOW_VERSION, task_starts
from airflow_provider_datarecs.sensors.job_next_run import JobNextRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.task_groups.reconcile import reconcile

pytestmark = pytest.mark.compat

if AIRFLOW_VERSION >= (3, 2):
    from airflow.sdk import Param
    from airflow.sdk.definitions.asset import Asset
    from airflow.sdk.exceptions import TaskDeferred
    from airflow.sdk.listener import get_listener_manager
else:
    from airflow.exceptions import TaskDeferred
    from airflow.listeners.listener import get_listener_manager
    from airflow.models.param import Param

AN_ASSET = Asset("an_asset") if AIRFLOW_VERSION >= (3, 2) else None
IDS = {"job_id": "job_ledger", "workspace_id": "ws_production", "run_id": "r"}
WHY = "The wait begins on a worker in spite of start_from_trigger, since "
SETTING = "AIRFLOW__DATARECS__START_FROM_TRIGGER"
can_start = pytest.mark.skipif(
    not task_starts.TRIGGERS_CAN_START_TASKS, reason="no trigger starts a task on this Airflow"
)


def a_dag(**more):
    start = datetime(2024, 1, 1, tzinfo=timezone.utc)
    return DAG(dag_id="dag", schedule=None, start_date=start, **more)


@pytest.fixture(autouse=True)
def _listeners(simulator):
    yield
    get_listener_manager().clear()


def a_wait(**more):
    return JobRunSensor(task_id="wait", **{**IDS, "start_from_trigger": True, **more})


def reason_of(task, lines):
    """Let a worker begin a wait, and give the reason that its log gives."""
    with pytest.raises(TaskDeferred):
        task.execute({"ti": FakeTaskInstance(start_date=datetime.now(tz=timezone.utc))})
    return [line[len(WHY) :] for line in lines if line.startswith(WHY)]


@can_start
def test_a_wait_that_is_to_begin_on_the_triggerer_tells_airflow_so(lines):
    with a_dag():
        task = a_wait()
    assert task.start_from_trigger is True
    assert task.start_trigger_args.next_method == "execute_complete"
    assert task.start_trigger_args.timeout == timedelta(days=7, minutes=10)
    assert reason_of(task, lines) == []


@pytest.mark.parametrize("more", [{"start_from_trigger": False}, {"start_from_trigger": None}])
def test_it_is_off_by_default(lines, more):
    task = a_wait(**more)
    assert getattr(task, "start_from_trigger", False) is False
    assert getattr(task, "start_trigger_args", None) is None
    assert reason_of(task, lines) == []


@can_start
def test_airflow_cfg_switches_it_on_for_all_that_do_not_say_otherwise(monkeypatch):
    monkeypatch.setenv(SETTING, "True")
    assert a_wait(start_from_trigger=None).start_from_trigger is True
    assert a_wait(start_from_trigger=False).start_from_trigger is False
    monkeypatch.setenv(SETTING, "perhaps")
    assert a_wait(start_from_trigger=None).start_from_trigger is False


@can_start
def test_reconcile_hands_it_on():
    with a_dag() as dag:
        reconcile(group_id="it", job_id="job_ledger", workspace_id="ws_production", start_from_trigger=True)
    assert {task.task_id: task.start_from_trigger for task in dag.tasks} == {
        "it.trigger": False,
        "it.wait": True,
        "it.result": False,
    }


@can_start
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"execution_timeout": timedelta(hours=1)}, "the task has execution_timeout, which takes a worker"),
        ({"pre_execute": print}, "the task has pre_execute, which takes a worker"),
        ({"on_execute_callback": print}, "the task has on_execute_callback, which takes a worker"),
        ({"max_active_tis_per_dag": 2}, "the task has max_active_tis_per_dag, which takes a worker"),
        (
            {"cancel_run_on_kill": True},
            "cancel_run_on_kill tells a task's tries apart by what a worker notes",
        ),
        ({"inlets": [AN_ASSET]}, "the task has inlets, which takes a worker"),
        ({"params": {"a": 1}}, "the param 'a' is the task's own, which is checked on workers alone"),
        ({"pool": "narrow"}, "its pool 'narrow' holds back workers alone"),
    ],
)
def test_what_would_be_lost_is_left_to_a_worker(lines, more, reason):
    with a_dag():
        task = a_wait(**more)
    assert (task.start_from_trigger, task.start_trigger_args) == (False, None)
    assert reason_of(task, lines) == [reason]


@can_start
@pytest.mark.parametrize(
    "more",
    [
        {"render_template_as_native_obj": True},
        {"user_defined_macros": {"a": 1}},
        {"user_defined_filters": {"a": str}},
        {"jinja_environment_kwargs": {"variable_start_string": "<<"}},
    ],
)
def test_templates_that_only_a_worker_renders_are_left_to_it(lines, more):
    with a_dag(**more):
        task = a_wait()
    assert task.start_trigger_args is None
    assert reason_of(task, lines) == [f"its DAG has {next(iter(more))}"]


@can_start
def test_a_param_without_a_default_is_left_to_a_worker_which_stops_a_triggerer(lines):
    with a_dag(params={"fine": 1, "needed": Param(type="string")}):
        task = a_wait()
    assert task.start_trigger_args is None
    assert reason_of(task, lines) == [
        "the param 'needed' has no default, for which Airflow would stop the triggerer"
    ]
    with a_dag(params={"fine": 1}):
        assert a_wait().start_from_trigger is True


@can_start
def test_where_triggerers_have_queues_a_worker_begins_the_wait(lines, monkeypatch):
    monkeypatch.setenv("AIRFLOW__TRIGGERER__QUEUES_ENABLED", "True")
    assert reason_of(a_wait(), lines)[0].startswith("triggerers have queues")


@can_start
def test_a_class_of_ones_own_begins_on_a_worker(lines):
    class Mine(JobRunSensor):
        pass

    task = Mine(task_id="wait", **IDS, start_from_trigger=True)
    assert task.start_trigger_args is None
    assert reason_of(task, lines) == ["it is a Mine, whose own methods take a worker"]


@can_start
def test_where_listeners_are_a_worker_begins_the_wait(lines):
    import sys

    from airflow.listeners import hookimpl

    @hookimpl
    def on_task_instance_running(previous_state, task_instance):
        pass

    listener = type(sys)("listener")
    listener.on_task_instance_running = on_task_instance_running
    get_listener_manager().add_listener(listener)
    assert reason_of(a_wait(), lines)[0].startswith("listeners are installed")


@can_start
def test_mapped_waits_begin_on_workers():
    with a_dag():
        mapped = JobRunSensor.partial(
            task_id="wait", **{**IDS, "run_id": "r"}, start_from_trigger=True
        ).expand(poke_interval=[1, 2])
    assert (mapped.start_from_trigger, mapped.start_trigger_args) == (False, None)


@can_start
def test_a_further_try_on_a_worker_has_no_xcoms_of_the_one_before(lines, monkeypatch):
    sent = []
    monkeypatch.setattr(
        "airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS",
        SimpleNamespace(send=sent.append),
        raising=False,
    )
    ti = FakeTaskInstance(start_date=datetime.now(tz=timezone.utc), try_number=2)
    with pytest.raises(TaskDeferred):
        a_wait().resume_execution("execute_complete", {"event": {"outcome": "not_begun"}}, {"ti": ti})
    assert {"run_result", "return_value", "_link_DataRecsRunLink"} <= {
        getattr(message, "key", None) for message in sent
    }


def test_the_next_run_of_a_job_is_waited_for_as_before():
    task = JobNextRunSensor(
        task_id="wait", job_id="j", workspace_id="w", default_args={"start_from_trigger": True}
    )
    assert getattr(task, "start_trigger_args", None) is None


def test_a_wait_that_the_triggerer_left_to_a_worker_begins_there(lines):
    context = {"ti": FakeTaskInstance(start_date=datetime.now(tz=timezone.utc))}
    with pytest.raises(TaskDeferred) as deferred:
        a_wait().resume_execution(
            "execute_complete", {"event": {"outcome": "not_begun", "why": "so"}}, context
        )
    assert deferred.value.trigger.run_id == "r"
    assert "The wait begins on a worker, since the triggerer could not begin it (so)" in lines


@pytest.mark.skipif(task_starts.TRIGGERS_CAN_START_TASKS, reason="this Airflow can")
def test_an_airflow_that_cannot_says_so(lines):
    (reason,) = reason_of(a_wait(), lines)
    assert reason.endswith("cannot render templates on the triggerer")
