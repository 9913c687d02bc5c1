"""What ``default_args`` say once for all tasks."""

from __future__ import annotations

import importlib
import inspect
from datetime import datetime, timezone

import pytest
from airflow.models.dag import DAG
from support import EXAMPLES
from support.components import COMPONENTS

pytestmark = pytest.mark.compat

TASKS = [one for one in COMPONENTS if one.folder in ("operators", "sensors")]


VALUES = {
    "on_uncertain": "retry",
    "on_unmatched": "warn",
    "max_unmatched_rows": 3,
    "max_unmatched_ratio": 0.5,
    "unique_label": True,
    "deferrable": False,
    "cancel_run_on_kill": True,
    "outlets": [],
    "poke_interval": 7,
    "timeout": 77,
    "reruns": 2,
    "rerun_delay": 30,
    "start_from_trigger": True,
    "end_from_trigger": True,
    "mode": "reschedule",
}


def arguments_of(cls):
    """Give the names of the arguments that a task takes; all of them stand in its signature."""
    return set(inspect.signature(cls.__init__).parameters) - {"self", "kwargs"}


@pytest.mark.parametrize("one", TASKS, ids=lambda one: one.name)
def test_every_argument_of_a_task_may_come_from_default_args(one):
    cls = getattr(importlib.import_module(one.documented), one.name)
    given = {name: VALUES.get(name, f"the_{name}") for name in arguments_of(cls)}
    assert "conn_id" in given
    start = datetime(2024, 1, 1, tzinfo=timezone.utc)
    with DAG(dag_id="dag", schedule=None, start_date=start, default_args={**given, "unknown": 1}):
        task = cls(task_id="task")
    kept_as = {argument: name for name, argument in getattr(task, "kept_as", {}).items()}
    assert {name: getattr(task, kept_as.get(name, name)) for name in given} == given


def test_the_example_gives_each_task_what_it_knows(parse_dags):
    dag = parse_dags(EXAMPLES / "reconcile_group.py").dags["reconcile_group"]
    assert dag.get_task("trigger").unique_label is True
    assert dag.get_task("wait").cancel_run_on_kill is True
