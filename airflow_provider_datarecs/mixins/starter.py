"""Tells which task starts the run that another one is about, since a new run takes a clear of that task."""

from __future__ import annotations

from typing import Any, Iterable

from airflow_provider_datarecs.compat import BaseOperator


def how_to_start_anew(task: Any) -> str:
    """
    Say how to get a new run for a task that waits for one or judges it, naming the task that starts it.

    :param task: the task, in its DAG or in none
    """
    same = "a retry or clear of this task alone would meet the same run."
    starters = _starters_of(task)
    if not starters:
        return f"What is mended takes a new run: clear the task that starts it, and what follows; {same}"
    which = " or ".join(repr(starter.task_id) for starter in starters)
    of_several = ", at the map index of this run" if any(map(_is_mapped, starters)) else ""
    return f"What is mended takes a new run: clear {which}{of_several}, and what follows; {same}"


def _starters_of(task: Any) -> list[Any]:
    """Give the tasks that may have started its run: of those before it, the nearest that start runs."""
    if not task.has_dag():
        return []
    dag = task.dag
    seen: set[str] = set()
    nearest: Iterable[str] = dag.get_task(task.task_id).upstream_task_ids
    while nearest:
        seen.update(nearest)
        tasks = [dag.get_task(task_id) for task_id in sorted(nearest)]
        starters = [one for one in tasks if _kind_started_by(one) is task.kind]
        if starters:
            return starters
        nearest = {before for one in tasks for before in one.upstream_task_ids} - seen
    return []


def _kind_started_by(task: Any) -> Any:
    """Give the kind of what a task starts runs of, None where it starts none."""
    cls = type(task) if isinstance(task, BaseOperator) else task.operator_class
    return getattr(cls, "kind", None) if getattr(cls, "starts_runs", False) else None


def _is_mapped(task: Any) -> bool:
    return not isinstance(task, BaseOperator) or next(iter(task.iter_mapped_task_groups()), None) is not None
