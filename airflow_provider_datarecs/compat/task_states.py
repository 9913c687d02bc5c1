"""Asks Airflow what became of tasks: which of them a user has killed, cleared or marked."""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple, Optional, Sequence, Tuple

from airflow_provider_datarecs.compat import AIRFLOW_VERSION

TRY_KEY = "datarecs_try"  # an XCom's
ENDED_BY_USERS = {"failed", "success", "removed", "restarting"}  # the last is a running task that was cleared
CLEARED = {None, "scheduled", "queued", "running"}

_Key = Tuple[str, str, str, int]


class TaskState(NamedTuple):
    """
    How a task instance stands.

    :param state: as Airflow names it
    :param trigger_id: the trigger that it is deferred to; None on 3.x, where nobody tells it
    :param is_of_another_try: whether another try than the one asked about has deferred; False on 2.x
    """

    state: Optional[str]
    trigger_id: Optional[int] = None
    is_of_another_try: bool = False


def note_try(ti: Any) -> None:
    """
    Note which try of a task defers, where :func:`are_killed` has no other way to tell it from a later one.

    :param ti: the task instance
    """
    if AIRFLOW_VERSION >= (3, 0):
        ti.xcom_push(key=TRY_KEY, value=ti.try_number)


def are_killed(tasks: Sequence[tuple[Any, int | None]]) -> list[bool | None]:
    """
    Ask Airflow which task instances a user has killed, cleared or marked; False in doubt. Blocks.

    :param tasks: for each, the task instance, or what a trigger has of it, and the trigger that it was
        deferred to, None if it runs in a process
    :return: for each, in their order; None where Airflow does not know it any more
    """
    found = _states_of([ti for ti, _ in tasks])
    return [
        None if known is None else _is_killed(known, trigger_id)
        for known, (_, trigger_id) in zip(found, tasks)
    ]


def _is_killed(known: TaskState, trigger_id: int | None) -> bool:
    if trigger_id is None:
        return known.state in ENDED_BY_USERS
    if known.state == "deferred":
        # Cleared, and deferred anew by its next try.
        return known.is_of_another_try or known.trigger_id not in (None, trigger_id)
    return known.state in ENDED_BY_USERS | CLEARED


def _states_of(tis: Sequence[Any]) -> list[TaskState | None]:
    """Give the state of each task instance, None where there is none; those of a DAG run by one question."""
    runs: dict[Any, list[Any]] = {}
    for ti in tis:
        runs.setdefault((ti.dag_id, ti.run_id), []).append(ti)
    ask = _states_from_api if AIRFLOW_VERSION >= (3, 0) else _states_from_database
    states = {key: state for together in runs.values() for key, state in ask(together)}
    return [states.get(_key(ti)) for ti in tis]


def _key(ti: Any) -> _Key:
    return ti.dag_id, ti.run_id, ti.task_id, ti.map_index


def _states_from_api(tis: list[Any]) -> Iterator[tuple[_Key, TaskState]]:
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    dag_id, run_id = tis[0].dag_id, tis[0].run_id
    task_ids = sorted({ti.task_id for ti in tis})
    answer = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=task_ids, run_ids=[run_id])
    states = answer.get(run_id, {})
    for ti in tis:
        name = ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
        if name not in states:
            continue
        noted = None
        if states[name] == "deferred":
            noted = BaseXCom.get_one(
                key=TRY_KEY, dag_id=dag_id, task_id=ti.task_id, run_id=run_id, map_index=ti.map_index
            )
        yield _key(ti), TaskState(states[name], is_of_another_try=noted not in (None, ti.try_number))


def _states_from_database(tis: list[Any]) -> Iterator[tuple[_Key, TaskState]]:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    columns = (TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state, TaskInstance.trigger_id)
    dag_id, run_id = tis[0].dag_id, tis[0].run_id
    with create_session() as session:
        rows = (
            session.query(*columns)
            .filter_by(dag_id=dag_id, run_id=run_id)
            .filter(TaskInstance.task_id.in_({ti.task_id for ti in tis}))
            .all()
        )
    for row in rows:
        yield (dag_id, run_id, row.task_id, row.map_index), TaskState(row.state, row.trigger_id)
