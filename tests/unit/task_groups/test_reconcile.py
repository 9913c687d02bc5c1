"""The three tasks of a reconciliation, made in one call."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from airflow.models.dag import DAG

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AirflowFailException
from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.task_groups.reconcile import reconcile

pytestmark = pytest.mark.compat

NAMES = {"workspace_name": "Production", "job_name": "ledger-vs-warehouse"}
IDS = {"workspace_id": "ws_production", "job_id": "job_ledger"}


@pytest.fixture
def dag():
    with DAG(dag_id="dag", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)) as dag:
        yield dag


def tasks(group):
    return [group.children[f"{group.group_id}.{name}"] for name in ("trigger", "wait", "result")]


@pytest.mark.parametrize(
    ("job", "operator"), [(NAMES, TriggerJobRunByNameOperator), (IDS, TriggerJobRunOperator)]
)
def test_the_tasks_follow_each_other(dag, job, operator):
    trigger, wait, result = tasks(reconcile("ledger", **job))
    assert type(trigger) is operator
    assert {name: getattr(trigger, name) for name in job} == job
    assert wait.upstream_task_ids == {"ledger.trigger"}
    assert result.upstream_task_ids == {"ledger.trigger", "ledger.wait"}


def test_the_ids_come_from_the_trigger(dag):
    trigger, wait, result = tasks(reconcile("ledger", **NAMES))
    for task in (wait, result):
        for name in ("job_id", "workspace_id", "run_id"):
            argument = getattr(task, name)
            assert (argument.operator, argument.key) == (trigger, name)


def test_each_task_takes_what_is_for_it(dag):
    trigger, wait, result = tasks(
        reconcile(
            "ledger",
            **NAMES,
            run_label="nightly",
            conn_id="other",
            poke_interval=30,
            timeout=timedelta(hours=2),
            max_unmatched_rows=3,
            max_unmatched_ratio=0.1,
            on_unmatched="skip",
            default_args={"unique_label": True, "cancel_run_on_kill": True, "retries": 2},
        )
    )
    assert [task.conn_id for task in (trigger, wait, result)] == ["other"] * 3
    assert [task.retries for task in (trigger, wait, result)] == [2] * 3
    assert (trigger.run_label, trigger.unique_label) == ("nightly", True)
    assert (wait.poke_interval, wait.timeout, wait.cancel_run_on_kill) == (30, 7200, True)
    assert (wait.max_unmatched_rows, wait.max_unmatched_ratio) == (None, None)
    assert (result.max_unmatched_rows, result.max_unmatched_ratio, result.on_unmatched) == (3, 0.1, "skip")


def test_the_pace_may_come_from_default_args(dag):
    _, wait, _ = tasks(reconcile("ledger", **NAMES, default_args={"poke_interval": 5, "timeout": 60}))
    assert (wait.poke_interval, wait.timeout) == (5, 60)


def test_what_is_not_given_comes_from_default_args():
    default_args = {
        "conn_id": "other",
        "max_unmatched_rows": 3,
        "on_unmatched": "warn",
        "run_label": "nightly",
    }
    with DAG(
        dag_id="dag",
        schedule=None,
        start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
        default_args=default_args,
    ):
        trigger, wait, result = tasks(reconcile("ledger", **NAMES))
    assert [task.conn_id for task in (trigger, wait, result)] == ["other"] * 3
    assert (trigger.run_label, result.max_unmatched_rows, result.on_unmatched) == ("nightly", 3, "warn")
    assert (wait.max_unmatched_rows, wait.read_limits().are_set) == (None, False)


@pytest.mark.parametrize(
    "arguments",
    [
        {"on_unmatched": "skp"},
        {"max_unmatched_rows": -1},
        {"max_unmatched_rows": "five"},
        {"max_unmatched_ratio": 5},
    ],
    ids=str,
)
def test_a_limit_that_cannot_be_right_is_an_error_of_the_dag(dag, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        reconcile("ledger", **NAMES, **arguments)


def test_a_limit_may_be_a_template(dag):
    limits = {"max_unmatched_rows": "{{ params.rows }}", "max_unmatched_ratio": "{{ params.ratio }}"}
    _, _, result = tasks(reconcile("ledger", **NAMES, **limits))
    assert {name: getattr(result, name) for name in limits} == limits


GROUP = {"workspace_id": "ws_production", "job_group_id": "grp_nightly"}


def test_of_a_job_group_the_wait_judges_the_run(dag):
    group = reconcile(
        "nightly",
        **GROUP,
        run_label="nightly",
        conn_id="other",
        poke_interval=30,
        timeout=60,
        max_unmatched_rows=3,
        max_unmatched_ratio=0.1,
        on_unmatched="skip",
        outlets=[],
        default_args={"unique_label": True, "cancel_run_on_kill": True},
    )
    assert set(group.children) == {"nightly.trigger", "nightly.wait"}
    trigger, wait = (group.children[f"nightly.{name}"] for name in ("trigger", "wait"))
    assert (type(trigger), type(wait)) == (TriggerJobGroupRunOperator, JobGroupRunSensor)
    assert (trigger.job_group_id, trigger.workspace_id) == ("grp_nightly", "ws_production")
    assert (trigger.run_label, trigger.unique_label, trigger.conn_id) == ("nightly", True, "other")
    assert wait.upstream_task_ids == {"nightly.trigger"}
    for name in ("job_group_id", "workspace_id", "run_id"):
        argument = getattr(wait, name)
        assert (argument.operator, argument.key) == (trigger, name)
    assert (wait.poke_interval, wait.timeout, wait.cancel_run_on_kill) == (30, 60, True)
    assert (wait.max_unmatched_rows, wait.max_unmatched_ratio, wait.on_unmatched) == (3, 0.1, "skip")


def test_a_job_groups_limits_may_come_from_default_args(dag):
    group = reconcile("nightly", **GROUP, default_args={"max_unmatched_rows": 3, "reruns": 2})
    wait = group.children["nightly.wait"]
    assert (wait.max_unmatched_rows, wait.reruns) == (3, 2)


@pytest.mark.parametrize(
    "given", [{"reruns": 2, "rerun_delay": 60}, {"default_args": {"reruns": 2, "rerun_delay": 60}}], ids=str
)
def test_with_reruns_the_result_is_that_of_the_last_run(dag, given):
    trigger, wait, result = tasks(reconcile("ledger", **NAMES, **given))
    assert (wait.reruns, wait.rerun_delay) == (2, 60)
    for name in ("job_id", "workspace_id", "run_id"):
        assert (getattr(wait, name).operator, getattr(result, name).operator) == (trigger, wait)
        assert getattr(result, name).key == name


@pytest.mark.parametrize("job", [NAMES, IDS, GROUP], ids=["names", "ids", "group"])
@pytest.mark.parametrize("wrong", [{"reruns": -1}, {"reruns": "2"}, {"rerun_delay": -1}], ids=str)
def test_reruns_that_cannot_be_right_are_an_error_of_the_dag(dag, job, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        reconcile("ledger", **job, **wrong)


@pytest.mark.parametrize(
    "job",
    [
        {},
        {"job_name": "ledger"},
        {**NAMES, "job_id": "job_ledger"},
        {**NAMES, **IDS},
        {**IDS, **GROUP},
        {"job_group_id": "g"},
    ],
    ids=["none", "half", "one more", "both", "job and group", "group alone"],
)
def test_a_job_that_is_not_named_clearly_is_an_error_of_the_dag(dag, job):
    with pytest.raises(ValueError, match=r"workspace_id and job_id, or workspace_id and job_group_id"):
        reconcile("ledger", **job)


def test_what_no_task_group_knows_is_an_error_of_the_dag(dag):
    told = r"reconcile\('ledger'\).*'max_unmatched_row'; did you mean 'max_unmatched_rows'\?.*default_args"
    with pytest.raises(TypeError, match=told):
        reconcile("ledger", **NAMES, max_unmatched_row=0)


def test_a_groups_sensor_is_wired_alike(dag):
    trigger = TriggerJobGroupRunOperator(task_id="trigger", job_group_id="g", workspace_id="w")
    wait = JobGroupRunSensor(task_id="wait", **trigger.ids)
    assert wait.upstream_task_ids == {"trigger"}
    assert (wait.job_group_id.key, wait.run_id.key) == ("job_group_id", "run_id")


@pytest.fixture
def run_trigger(simulator, ti):
    """Execute the trigger of a group whose templates have some params."""

    def run(group, **params):
        trigger = tasks(group)[0]
        context = {"ti": ti, "dag": trigger.dag, "params": params}
        return trigger.execute(context)

    return run


LEDGER = {"workspace_id": "ws_production", "job_id": "job_ledger"}


@pytest.mark.parametrize(
    ("limits", "params", "told"),
    [
        ({"max_unmatched_rows": "{{ params.it }}"}, {"it": "five"}, "max_unmatched_rows is 'five'"),
        ({"max_unmatched_ratio": "{{ params.it }}"}, {"it": "5%"}, "max_unmatched_ratio is '5%'"),
        (
            {"on_unmatched": "{{ params.it }}", "max_unmatched_rows": 1},
            {"it": "Skip"},
            "on_unmatched is 'Skip'; it can be",
        ),
    ],
)
def test_a_limit_that_turns_out_wrong_starts_no_run(dag, simulator, run_trigger, limits, params, told):
    with pytest.raises(
        AirflowFailException, match=rf"^of task 'ledger\.result', {told}.*This try has started no run"
    ):
        run_trigger(reconcile("ledger", **LEDGER, **limits), **params)
    assert simulator.requests == []


@pytest.mark.parametrize(
    "rows", ["{{ params.it }}", "{{ nobody.knows.it }}", "{{ params.missing }}", 0, None]
)
def test_a_limit_that_is_right_or_not_known_yet_starts_one(dag, simulator, run_trigger, rows):
    run_id = run_trigger(reconcile("ledger", **LEDGER, max_unmatched_rows=rows), it="5")
    assert run_id == simulator.world.runs[TargetKind.JOB][0].id
