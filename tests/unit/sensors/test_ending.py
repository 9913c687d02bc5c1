"""Which waits may end on the triggerer, and what the log says of those that may not."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace

import pytest
from airflow.models.dag import DAG
from support.fakes import FakeTaskInstance

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.compat import AIRFLOW_VERSION, task_ends
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_next_run import JobNextRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.task_groups.reconcile import reconcile

pytestmark = pytest.mark.compat

if AIRFLOW_VERSION >= (3, 2):
    from airflow.sdk.exceptions import TaskDeferred
    from airflow.sdk.listener import get_listener_manager
else:
    from airflow.exceptions import TaskDeferred
    from airflow.listeners.listener import get_listener_manager

IDS = {"job_id": "job_ledger", "workspace_id": "ws_production", "run_id": "r"}
WHY = "The task will end on a worker in spite of end_from_trigger, since "
SETTING = "AIRFLOW__DATARECS__END_FROM_TRIGGER"
can_end = pytest.mark.skipif(
    not task_ends.TRIGGERS_CAN_END_TASKS, reason="no trigger ends a task on this Airflow"
)


@pytest.fixture(autouse=True)
def _listeners(simulator):
    yield
    get_listener_manager().clear()


@pytest.fixture
def dag():
    with DAG(dag_id="dag", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)) as dag:
        yield dag


@pytest.fixture
def ending_of(lines):
    """Let a sensor defer; give how its trigger is to end the task, and what the log says of that."""

    def ending_of(sensor, **ti):
        lines.clear()
        with pytest.raises(TaskDeferred) as deferred:
            sensor.execute({"ti": FakeTaskInstance(start_date=None, **ti)})
        ending = deferred.value.trigger.serialize()[1].get("ending")
        return ending, [line for line in lines if "end_from_trigger" in line]

    return ending_of


def sensor(cls=JobRunSensor, **more):
    ids = {"job_group_id": "grp_nightly", "workspace_id": "ws_production", "run_id": "r"}
    return cls(task_id="wait", **(IDS if cls is JobRunSensor else ids), **more)


@can_end
@pytest.mark.parametrize("cls", [JobRunSensor, JobGroupRunSensor])
def test_a_trigger_that_may_end_the_task_is_told_all_that_it_takes(ending_of, cls):
    given = {"max_unmatched_rows": "5", "max_unmatched_ratio": "0.1", "reruns": 1, "do_xcom_push": False}
    plain = {
        "airflow": task_ends.AIRFLOW_RELEASE,
        "max_unmatched_rows": None,
        "max_unmatched_ratio": None,
        "returns": True,
        "reruns": False,
    }
    assert ending_of(sensor(cls, end_from_trigger=True)) == (plain, [])
    told = {**plain, "max_unmatched_rows": 5, "max_unmatched_ratio": 0.1, "returns": False, "reruns": True}
    assert ending_of(sensor(cls, end_from_trigger=True, **given)) == (told, [])


@can_end
@pytest.mark.parametrize(
    ("argument", "setting", "ends"),
    [(None, None, False), (None, "True", True), (True, "False", True), (False, "True", False)],
)
def test_a_task_says_it_and_else_the_deployment(ending_of, monkeypatch, argument, setting, ends):
    if setting:
        monkeypatch.setenv(SETTING, setting)
    ending, told = ending_of(sensor(end_from_trigger=argument))
    assert (ending is not None, told) == (ends, [])


def test_a_setting_that_cannot_be_right_is_none(ending_of, monkeypatch):
    monkeypatch.setenv(SETTING, "perhaps")
    ending, (told,) = ending_of(sensor())
    assert ending is None
    assert told.startswith("Going on without end_from_trigger, which airflow.cfg has wrong: ")


def test_a_policy_may_say_it_later(ending_of):
    task = sensor()
    task.ends_from_trigger = True
    ending, told = ending_of(task)
    assert bool(ending) is task_ends.TRIGGERS_CAN_END_TASKS is not told


class OfAUser(JobRunSensor):
    """May do with the result what it wants."""


def nothing(*_):
    pass


LOSING = {
    "on_success_callback": nothing,
    "post_execute": nothing,
    "multiple_outputs": True,
    "outlets": [SimpleNamespace(uri="datarecs://ledger")],
}


@can_end
@pytest.mark.parametrize("name", LOSING)
def test_a_task_that_would_lose_something_is_left_to_a_worker(ending_of, name):
    task = sensor(end_from_trigger=True)
    given = [LOSING[name]] if name == "on_success_callback" else LOSING[name]
    setattr(task, "_post_execute_hook" if name == "post_execute" else name, given)
    assert ending_of(task) == (None, [f"{WHY}the task has {name}, which takes a worker"])


@can_end
def test_so_is_a_task_of_a_class_of_the_users(ending_of):
    task = sensor(end_from_trigger=True)
    task.__class__ = OfAUser
    assert ending_of(task) == (None, [f"{WHY}it is a OfAUser, whose own methods take a worker"])


@can_end
def test_so_is_one_over_whose_result_tasks_are_mapped_unless_it_is_mapped_itself(dag, ending_of):
    wait = sensor(end_from_trigger=True)
    ending = ending_of(wait)[0]
    JobRunSensor.partial(task_id="each", job_id="j", workspace_id="w").expand(run_id=wait.output)
    assert ending is not None
    assert ending_of(wait) == (None, [f"{WHY}tasks are mapped over what it returns, which takes a worker"])
    assert ending_of(wait, map_index=0)[0] == ending


@can_end
def test_so_is_every_task_where_something_listens_to_successes(ending_of):
    from airflow.listeners import hookimpl

    class Listener:
        @hookimpl
        def on_task_instance_success(self, previous_state, task_instance):
            """Hear of it."""

    class Other:
        @hookimpl
        def before_stopping(self, component):
            """Hear of something else."""

    get_listener_manager().add_listener(Other())
    assert ending_of(sensor(end_from_trigger=True))[0] is not None
    get_listener_manager().add_listener(Listener())
    ending, (told,) = ending_of(sensor(end_from_trigger=True))
    assert ending is None
    heard = "listeners are installed, such as OpenLineage's, which hear of a success from workers alone"
    assert told == WHY + heard


def test_an_airflow_that_cannot_do_it_says_so(ending_of, monkeypatch):
    monkeypatch.setattr(task_ends, "TRIGGERS_CAN_END_TASKS", False)
    ending, (told,) = ending_of(sensor(end_from_trigger=True))
    assert ending is None
    assert told.startswith(f"{WHY}Airflow {AIRFLOW_VERSION[0]}.")


def test_the_log_says_it_once_over_all_reruns(simulator, lines, monkeypatch):
    monkeypatch.setattr(contract, "NOT_VISIBLE_GRACE", 0.0)  # which 2.7 waits out before each rerun
    monkeypatch.setattr(task_ends, "TRIGGERS_CAN_END_TASKS", False)
    task, ti = sensor(end_from_trigger=True, reruns=1), FakeTaskInstance(start_date=None)
    event = {"outcome": "finished", "kind": "job", "id": "job_ledger", "workspace_id": "ws_production"}
    failed = {**event, "run_id": "r", "result": {"status": "FAILED", "completed_at": None}}
    for resume in (lambda: task.execute({"ti": ti}), lambda: task.execute_complete({"ti": ti}, failed)):
        with pytest.raises(TaskDeferred):
            resume()
    assert sum(WHY in line for line in lines) == 1


DAG_FILE = f"""
from datetime import datetime
from airflow.models.dag import DAG
from airflow.providers.datarecs.sensors.job_run import JobRunSensor
with DAG(dag_id="d", schedule=None, start_date=datetime(2024, 1, 1)):
    task = JobRunSensor(task_id="t", end_from_trigger=True, **{IDS!r})
"""


def test_no_listener_makes_a_dag_unimportable(parse_dags, tmp_path):
    from airflow.listeners.listener import get_listener_manager as of_dag_files

    class Listener:
        """Is there."""

    path = tmp_path / "dag.py"
    listener = Listener()
    of_dag_files().add_listener(listener)
    try:
        path.write_text(DAG_FILE)
        bag = parse_dags(path)
        assert (bag.import_errors, list(bag.dags)) == ({}, ["d"])
        # Which Airflow refuses where a task has an attribute of the argument's name.
        path.write_text(f"{DAG_FILE}    task.end_from_trigger = True\n")
        assert bool(parse_dags(path).import_errors) is (AIRFLOW_VERSION >= (2, 10))
    finally:
        of_dag_files().pm.unregister(listener)


@pytest.mark.parametrize("wrong", ["True", "{{ params.it }}", [True]], ids=str)
def test_what_is_no_switch_is_an_error_of_the_dag_in_mapped_tasks_as_well(dag, wrong):
    with pytest.raises(ValueError, match=r"^JobRunSensor 'each': end_from_trigger is"):
        JobRunSensor.partial(task_id="each", workspace_id="w", run_id="r", end_from_trigger=wrong).expand(
            job_id=["a"]
        )


def test_default_args_say_it_for_all_waits_and_reconcile_for_its_own():
    start = datetime(2024, 1, 1, tzinfo=timezone.utc)
    default_args = {"end_from_trigger": True}
    with DAG(dag_id="dag", schedule=None, start_date=start, default_args=default_args) as dag:
        sensor()
        JobNextRunSensor(task_id="next", job_id="j", workspace_id="w")
        reconcile("one", job_id="j", workspace_id="w")
        reconcile("two", job_id="j", workspace_id="w", end_from_trigger=False)
        reconcile("three", job_group_id="g", workspace_id="w", end_from_trigger=True)
    said = {name: dag.get_task(name).ends_from_trigger for name in dag.task_ids if "wait" in name}
    assert said == {"wait": True, "one.wait": True, "two.wait": False, "three.wait": True}
    # Which has XComs of its own, that its trigger does not know to push.
    assert dag.get_task("next").ends_from_trigger is False
