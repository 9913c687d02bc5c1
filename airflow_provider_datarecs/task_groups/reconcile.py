"""Reconcile: start a run of a job or job group, wait for it, and judge its result."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Sequence

from airflow_provider_datarecs.api.similar import did_you_mean
from airflow_provider_datarecs.compat import TaskGroup
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_datarecs.operators.base import StartRunOperator

# By what is given of the job or job group.
_TRIGGERS: dict[tuple[str, ...], type[StartRunOperator]] = {
    ("workspace_name", "job_name"): TriggerJobRunByNameOperator,
    ("workspace_id", "job_id"): TriggerJobRunOperator,
    ("workspace_id", "job_group_id"): TriggerJobGroupRunOperator,
}


def reconcile(
    group_id: str,
    *,
    workspace_name: str | None = None,
    job_name: str | None = None,
    workspace_id: str | None = None,
    job_id: str | None = None,
    job_group_id: str | None = None,
    run_label: str | None = None,
    max_unmatched_rows: int | str | None = None,
    max_unmatched_ratio: float | str | None = None,
    on_unmatched: str | None = None,
    outlets: Sequence[Any] | None = None,
    poke_interval: float | timedelta | None = None,
    timeout: float | timedelta | None = None,
    reruns: int | None = None,
    rerun_delay: float | timedelta | None = None,
    start_from_trigger: bool | None = None,
    end_from_trigger: bool | None = None,
    conn_id: str | None = None,
    **kwargs: Any,
) -> TaskGroup:
    """
    Make a task group of three tasks: ``trigger`` starts a run, ``wait`` waits for it, ``result`` judges it.

    The job is given by both names or by both ids. A job group is given by its id and its workspace's; its
    task group has no ``result``, since ``wait`` judges the run. What else the tasks take goes into
    ``default_args``, as with any task group, as may what is not given here; each takes what it knows.

    :param group_id: the task group's id, which begins the ids of its tasks
    :param workspace_name: the name of the job's workspace, exact and case-sensitive (templated)
    :param job_name: the job's name, exact and case-sensitive (templated)
    :param workspace_id: the id of the workspace of the job or job group (templated)
    :param job_id: the job's id (templated)
    :param job_group_id: the job group's id (templated)
    :param run_label: a label for the run (templated), default none
    :param max_unmatched_rows: how many rows may be unmatched (templated), 0 or more, default any number; for
        a job group in all, and in each job run
    :param max_unmatched_ratio: which part of the processed rows may be unmatched (templated), 0 to 1, default
        any; for a job group in all, and in each job run
    :param on_unmatched: what becomes of the task that judges where that is exceeded (templated):
        ``fail``, the default, ``skip`` or ``warn``
    :param outlets: assets, or datasets before Airflow 3, which the task that judges updates when it succeeds,
        default none
    :param poke_interval: seconds or timedelta between two polls, at least 1 s, default 60 s
    :param timeout: seconds or timedelta after which the wait ends, for all reruns together, default that of
        Airflow's sensors, 7 days
    :param reruns: how many times a run that ends FAILED is started anew, default 0; ``result`` judges the
        last one
    :param rerun_delay: seconds or timedelta from the end of a run that FAILED to the next one, default 0
    :param start_from_trigger: begin ``wait`` on the triggerer, without a worker, where nothing is lost by it,
        from Airflow 3.3 on; default None, which is ``[datarecs] start_from_trigger`` of airflow.cfg, False
        unless set
    :param end_from_trigger: end ``wait`` on the triggerer, without a worker, if the run is COMPLETED and
        nothing is lost by it; default None, which is ``[datarecs] end_from_trigger`` of airflow.cfg, False
        unless set
    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    :param kwargs: what any task group takes, such as ``default_args``
    :raises ValueError: when the job or job group is given in none of these ways, or a limit, ``reruns`` or
        ``rerun_delay`` cannot be right
    :raises TypeError: for an argument that neither this nor a task group takes
    """
    what = _given(
        workspace_name=workspace_name,
        job_name=job_name,
        workspace_id=workspace_id,
        job_id=job_id,
        job_group_id=job_group_id,
    )
    start = _trigger_class(group_id, what)
    judges = _given(
        max_unmatched_rows=max_unmatched_rows,
        max_unmatched_ratio=max_unmatched_ratio,
        on_unmatched=on_unmatched,
        outlets=outlets,
    )
    connection = _given(conn_id=conn_id)
    waits = _given(
        poke_interval=poke_interval,
        timeout=timeout,
        reruns=reruns,
        rerun_delay=rerun_delay,
        start_from_trigger=start_from_trigger,
        end_from_trigger=end_from_trigger,
    )
    with _task_group(group_id, **kwargs) as group:
        trigger = start(task_id="trigger", **what, **_given(run_label=run_label), **connection)
        if job_group_id is not None:
            group_wait = JobGroupRunSensor(task_id="wait", **trigger.ids, **judges, **waits, **connection)
            trigger.check_limits_of(group_wait)
            return group
        wait = JobRunSensor(
            task_id="wait",
            **trigger.ids,
            # Not what default_args say of them, which is for the result.
            max_unmatched_rows=None,
            max_unmatched_ratio=None,
            **waits,
            **connection,
        )
        output: Any = wait.output
        last_run = {name: output[name] for name in trigger.ids} if wait.reruns else trigger.ids
        result = GetJobRunResultOperator(task_id="result", **last_run, **judges, **connection)
        trigger.check_limits_of(result)
        wait >> result
    return group


def _trigger_class(group_id: str, what: dict[str, Any]) -> type[StartRunOperator]:
    for names, trigger_class in _TRIGGERS.items():
        if set(names) == set(what):
            return trigger_class
    ways = ", or ".join(" and ".join(names) for names in _TRIGGERS)
    raise ValueError(
        f"reconcile({group_id!r}) needs {ways}; it was given {', '.join(sorted(what)) or 'none of them'}"
    )


def _task_group(group_id: str, **kwargs: Any) -> TaskGroup:
    try:
        return TaskGroup(group_id=group_id, **kwargs)
    except TypeError as error:
        known = {*inspect.signature(reconcile).parameters, *inspect.signature(TaskGroup).parameters}
        meant = "".join(did_you_mean(name, known) for name in kwargs if name not in known)
        raise TypeError(
            f"reconcile({group_id!r}) takes no such argument: {error}{meant or '.'} What its tasks take "
            "beside its own arguments goes into default_args"
        ) from None


def _given(**arguments: Any) -> dict[str, Any]:
    """Leave out what was not given, so that ``default_args`` and the tasks' own defaults hold."""
    return {name: value for name, value in arguments.items() if value is not None}
