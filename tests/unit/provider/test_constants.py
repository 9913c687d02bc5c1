"""What cannot be right in a DAG file is an error of the file, and what its author sees of it."""

from __future__ import annotations

import importlib
import inspect
import warnings
from datetime import datetime, timedelta, timezone

import pytest
from airflow.models.dag import DAG
from support.components import COMPONENTS

from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.sensors.job_run import JobRunSensor

pytestmark = pytest.mark.compat

RIGHT = {
    "job_id": "j",
    "job_group_id": "g",
    "workspace_id": "w",
    "run_id": "r",
    "job_name": "n",
    "workspace_name": "n",
}
WRONG = [
    ("job_id", ""),
    ("job_id", None),
    ("job_id", 7.5),
    ("job_id", ["j"]),
    ("job_group_id", "g/x"),
    ("workspace_id", " "),
    ("run_id", "a b"),
    ("job_name", ""),
    ("workspace_name", b"n"),
    ("conn_id", ""),
    ("run_label", " "),
    ("max_unmatched_rows", -1),
    ("max_unmatched_rows", "five"),
    ("max_unmatched_ratio", 5),
    ("max_unmatched_ratio", "5%"),
    ("on_unmatched", "Skip"),
    ("on_uncertain", "Retry"),
    ("unique_label", "{{ params.x }}"),
    ("deferrable", "False"),
    ("cancel_run_on_kill", "no"),
    ("start_from_trigger", "True"),
    ("end_from_trigger", "True"),
    ("poke_interval", 0),
    ("poke_interval", timedelta(0)),
]
TASKS = [
    getattr(importlib.import_module(one.documented), one.name)
    for one in COMPONENTS
    if one.folder in ("operators", "sensors")
]
DAG_FILE = """
from datetime import datetime
try:
    from airflow.sdk import DAG
except ImportError:
    from airflow.models.dag import DAG
from airflow.providers.datarecs.operators.get_job_run_result import GetJobRunResultOperator
with DAG(dag_id="d", schedule=None, start_date=datetime(2024, 1, 1)):
    GetJobRunResultOperator{task}
"""


def arguments_of(cls):
    return inspect.signature(cls.__init__).parameters


def right(cls):
    return {name: value for name, value in RIGHT.items() if name in arguments_of(cls)}


@pytest.fixture
def dag():
    with DAG(dag_id="dag", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)) as dag:
        yield dag


CASES = [
    pytest.param(cls, name, value, id=f"{cls.__name__}-{name}={value!r}")
    for cls in TASKS
    for name, value in WRONG
    if name in arguments_of(cls) and (cls.__name__, value) != ("ListJobsOperator", None)
]


def test_every_argument_that_can_be_wrong_is_tried():
    assert {case.values[0] for case in CASES} == set(TASKS)
    assert {case.values[1] for case in CASES} == {name for name, _ in WRONG}


@pytest.mark.parametrize(("cls", "name", "value"), CASES)
def test_a_constant_that_cannot_be_right_is_an_error_of_the_dag(dag, cls, name, value):
    with pytest.raises(ValueError, match=f"^{cls.__name__} 'task': {name} ") as caught:
        cls(task_id="task", **{**right(cls), name: value})
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["on_unmatched", "max_unmatched_ratio", "workspace_id"])
def test_a_constant_of_mapped_tasks_is_found_too(dag, name):
    given = {"workspace_id": "w", "run_id": "r", name: "5 %"}
    with pytest.raises(ValueError, match=f"^JobRunSensor 'task': {name} is '5 %'"):
        JobRunSensor.partial(task_id="task", **given).expand(job_id=["a", "b"])


def test_mapped_tasks_without_one_are_made(dag):
    mapped = GetJobRunResultOperator.partial(
        task_id="task", workspace_id="w", run_id="r", max_unmatched_rows=1
    )
    assert mapped.expand(job_id=["a", "b"]).operator_class is GetJobRunResultOperator


@pytest.mark.parametrize("cls", TASKS)
def test_what_is_no_constant_is_left_to_the_task(dag, cls):
    other = TriggerJobRunOperator(task_id="other", job_id="j", workspace_id="w")
    for value in ("{{ params.it }}", "{% if x %}{% endif %}", other.output["x"]):
        given = dict.fromkeys(cls.template_fields, value)
        task = cls(task_id=f"task{len(dag.tasks)}", **given)
        assert {name: getattr(task, name) for name in given} == given


def test_a_whole_number_may_be_an_id_and_a_limit_may_be_text(dag):
    task = GetJobRunResultOperator(
        task_id="t", job_id=7, workspace_id="w", run_id="r", max_unmatched_ratio="0.05"
    )
    assert (task.job_id, task.max_unmatched_ratio) == (7, "0.05")  # nothing is changed


@pytest.mark.parametrize(
    ("limits", "default_args", "told"),
    [
        ({}, {}, True),
        ({}, {"on_unmatched": "skip"}, False),
        ({"max_unmatched_rows": 1}, {}, False),
        ({"max_unmatched_ratio": "{{ params.it }}"}, {}, False),
    ],
)
def test_a_choice_without_a_limit_has_no_effect_and_is_named(limits, default_args, told):
    start = datetime(2024, 1, 1, tzinfo=timezone.utc)
    dag = DAG(dag_id="dag", schedule=None, start_date=start, default_args=default_args)
    ids = {"job_id": "j", "workspace_id": "w", "run_id": "r"}
    with dag, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        JobRunSensor(task_id="t", **ids, on_unmatched="skip", **limits)
    words = "JobRunSensor 't': on_unmatched='skip' has no effect without max_unmatched_rows or max_unmatched_"
    assert any(str(one.message).startswith(words) for one in caught) == told


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            "(task_id='t', job_id='j', workspace_id='w', run_id='r', max_unmatched_ratio='5%')",
            "max_unmatched_ratio is '5%'; it must be a number from 0 to 1, such as 0.05 for 5 %",
        ),
        (
            ".partial(task_id='t', workspace_id='w', run_id='r', on_unmatched='Skip').expand(job_id=['j'])",
            "on_unmatched is 'Skip'; it can be 'fail', 'skip', 'warn'",
        ),
    ],
)
def test_the_dags_author_sees_which_task_and_argument_it_is(parse_dags, tmp_path, task, words):
    path = tmp_path / "dag.py"
    path.write_text(DAG_FILE.format(task=task))
    (error,) = parse_dags(path).import_errors.values()
    assert error.splitlines()[-1] == f"ValueError: GetJobRunResultOperator 't': {words}"
    assert error.count("Traceback") == 1
