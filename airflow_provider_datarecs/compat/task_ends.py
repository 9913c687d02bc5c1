"""Ends a task from its trigger, with no worker: which Airflow can, and what a task would lose by it."""

from __future__ import annotations

from typing import Any, Mapping

from airflow import __version__
from packaging.version import Version

from airflow_provider_datarecs.compat import AIRFLOW_VERSION, xcom_class

AIRFLOW_RELEASE: str = __version__
# 2.10 has the events that end a task. In 3.x a trigger has no database, and before 3.0.6 nobody takes the
# XComs that it writes.
TRIGGERS_CAN_END_TASKS = AIRFLOW_VERSION >= (2, 10) and (
    AIRFLOW_VERSION != (3, 0) or Version(AIRFLOW_RELEASE).release >= (3, 0, 6)
)
# What Airflow does with these when a task succeeds, it does on workers alone; by the names that users know.
_ON_WORKERS = {
    "outlets": "outlets",
    "on_success_callback": "on_success_callback",
    "_post_execute_hook": "post_execute",
    "multiple_outputs": "multiple_outputs",
    "returns_dag_result": "the result of its DAG",
}
if AIRFLOW_VERSION < (3, 2):  # which renders it when the task defers as well
    _ON_WORKERS["map_index_template"] = "map_index_template"


def lost_without_worker(task: Any, ti: Any) -> str:
    """
    Say what a task would lose that its trigger ends, or why none can; empty for nothing.

    :param task: the task, as a worker runs it
    :param ti: the task instance, None where there is none yet, for a task that is not mapped
    """
    if not TRIGGERS_CAN_END_TASKS:
        return f"Airflow {AIRFLOW_RELEASE} cannot end a task with its XComs from a trigger"
    for attribute, name in _ON_WORKERS.items():
        if getattr(task, attribute, None):
            return f"the task has {name}, which takes a worker"
    # Their number comes from the length of what this task returns, which only a worker tells Airflow.
    is_mapped = ti is not None and ti.map_index not in (None, -1)
    if not is_mapped and task.has_dag() and next(task.iter_mapped_dependants(), None):
        return "tasks are mapped over what it returns, which takes a worker"
    if has_listeners("on_task_instance_success"):
        return "listeners are installed, such as OpenLineage's, which hear of a success from workers alone"
    return ""


def has_listeners(*hooks: str) -> bool:
    """
    Say whether any listener is installed for what happens to tasks.

    :param hooks: the names of Airflow's hooks
    """
    if AIRFLOW_VERSION >= (3, 2):
        from airflow.sdk.listener import get_listener_manager
    else:
        from airflow.listeners.listener import get_listener_manager  # type: ignore[assignment]
    hook = get_listener_manager().hook
    return any(getattr(hook, name).get_hookimpls() for name in hooks)


def ids_of(ti: Any) -> dict[str, Any]:
    """
    Give by what Airflow knows a task instance.

    :param ti: what a trigger or a worker has of it
    """
    map_index = -1 if ti.map_index is None else ti.map_index
    return {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": map_index}


def push_xcoms(ti: Any, xcoms: Mapping[str, Any]) -> None:
    """
    Push XComs of a deferred task from its trigger, over those of an earlier attempt to. Blocks.

    :param ti: what the trigger has of the task instance
    :param xcoms: JSON values, by their keys
    """
    for key, value in xcoms.items():
        xcom_class().set(key=key, value=value, **ids_of(ti))


def success() -> Any:
    """Give the event that ends a trigger's task as a success."""
    from airflow.triggers.base import TaskSuccessEvent

    event: Any = TaskSuccessEvent()
    if AIRFLOW_VERSION < (3, 0):
        # Nothing takes the request for callbacks that it leaves in the database, for each task, unless a DAG
        # processor of its own runs; and there are no callbacks.
        event._submit_callback_if_necessary = lambda **_: None  # noqa: SLF001
    return event
