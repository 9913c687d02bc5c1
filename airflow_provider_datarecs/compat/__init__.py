"""
The one package that knows Airflow versions.

This module answers questions whose answer differs by version, and gives the classes that moved between
Airflow 2.7 and 3.3: ``names`` has them, and is loaded when the first is asked for, so that the provider info,
which every process of Airflow reads, can ask ``version`` alone. ``task_states`` has what concerns the states
of tasks, ``task_ends`` how a trigger ends them. Importing any of it loads only what DAG parsing has loaded.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Collection, Mapping

from airflow_provider_datarecs.compat.version import airflow_version

AIRFLOW_VERSION = airflow_version()

if TYPE_CHECKING:
    from airflow.sdk import Context as Context

    from airflow_provider_datarecs.compat.names import (
        CONFIG_EXCEPTIONS,
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        PokeReturnValue,
        TaskDeferralError,
        TaskGroup,
    )
else:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(name)
        from airflow_provider_datarecs.compat import names

        return getattr(names, name)


__all__ = [
    "AIRFLOW_VERSION",
    "CLEARS_ARE_COUNTED",
    "CONFIG_EXCEPTIONS",
    "KILLED_TASKS_GO_ON",
    "PAGES_SHOW_VIEWS",
    "SERVER_IS_ASGI",
    "TASKS_MAKE_LINKS",
    "TRIGGERS_ARE_TOLD_OF_KILLS",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "PokeReturnValue",
    "TaskDeferralError",
    "TaskGroup",
    "deployment",
    "first_reschedule",
    "get_xcom",
    "is_deferral_timeout",
    "is_in_supervised_process",
    "is_mapped_argument",
    "is_unmapped",
    "load_stats",
    "resume_margin",
    "set_outlet_extra",
    "task_state_store",
    "team_names",
    "xcom_class",
]

# Before 2.10 a task that is cleared while it is deferred keeps the number of its try.
CLEARS_ARE_COUNTED = AIRFLOW_VERSION >= (2, 10)
# 3.3 and later call on_kill() of a trigger; before, its cancellation is all that it learns.
TRIGGERS_ARE_TOLD_OF_KILLS = AIRFLOW_VERSION >= (3, 3)
# 3.x leaves a task 5 s after on_kill() has returned to the talk with Airflow that it came into; 2.x ends it.
KILLED_TASKS_GO_ON = AIRFLOW_VERSION >= (3, 0)
# 3.x asks a task's links at the end of each of its processes and keeps what they give; 2.x asks the page.
TASKS_MAKE_LINKS = AIRFLOW_VERSION >= (3, 0)
# 3.x has an API server, which mounts apps of plugins; 2.x a web server, which registers their blueprints.
SERVER_IS_ASGI = AIRFLOW_VERSION >= (3, 0)
# From 3.1 on the pages show those of plugins in a frame.
PAGES_SHOW_VIEWS = AIRFLOW_VERSION >= (3, 1)


def is_deferral_timeout(error: BaseException) -> bool:
    """
    Say whether Airflow ended a deferral because its time was over, rather than because the trigger failed.

    :param error: what Airflow raised in place of resuming the task
    """
    if AIRFLOW_VERSION >= (3, 0):
        return type(error).__name__ == "TaskDeferralTimeout"
    from airflow_provider_datarecs.compat.names import TaskDeferralError

    return isinstance(error, TaskDeferralError) and "timeout" in str(error).lower()


def resume_margin() -> float:
    """Give the seconds before a task's ``execution_timeout`` at which a deferred wait must have ended."""
    # 2.x resumes no task whose time is over: it ends it without a word of what was waited for.
    return 20.0 if AIRFLOW_VERSION < (3, 0) else 0.0


def get_xcom(ti_key: Any, key: str) -> Any:
    """
    Give an XCom of a task instance, None if there is none.

    :param ti_key: the task instance's key
    :param key: the XCom's
    """
    return xcom_class().get_value(ti_key=ti_key, key=key)


def xcom_class() -> Any:
    """Give the class that reads and writes XComs, that of a backend of the deployment's own if it has one."""
    if AIRFLOW_VERSION >= (3, 0):
        from airflow.sdk.execution_time.xcom import XCom
    else:
        from airflow.models.xcom import XCom  # type: ignore[no-redef]
    return XCom


def is_mapped_argument(value: Any) -> bool:
    """
    Say whether a value stands for what each of several mapped task groups is given.

    :param value: an argument of a task, before it is rendered
    """
    return type(value).__name__ == "MappedArgument"  # whose module moves, and is not for others to import


def is_unmapped(task: BaseOperator) -> bool:
    """
    Say whether a task was made of a mapped one, to run it, rather than by a DAG file.

    :param task: the task
    """
    return bool(getattr(task, "_BaseOperator__from_mapped", False))


def set_outlet_extra(outlets: Any, context: Context, extra: dict[str, Any]) -> None:
    """
    Give the events of a task's assets an extra; before Airflow 2.10 they have none, and nothing is done.

    :param outlets: the task's
    :param context: the task's context
    :param extra: JSON
    """
    for outlet in outlets or ():
        # Not an alias, which stands for no asset of its own.
        if AIRFLOW_VERSION >= (2, 10) and hasattr(outlet, "uri"):
            events: Any = context["outlet_events"]
            events[outlet].extra = extra


def task_state_store(context: Context) -> Any:
    """
    Give the store that a task instance keeps over its retries, None before Airflow 3.3.

    :param context: the task's context
    """
    return context.get("task_state_store") if AIRFLOW_VERSION >= (3, 3) else None


def deployment() -> str:
    """
    Give what tells this Airflow from another one: the URL of its pages, empty where it has none of its own.

    Each deployment has another one, all its processes know it, since they put it into links, it is no secret,
    and it outlives an upgrade.
    """
    from airflow.configuration import conf

    section = "api" if AIRFLOW_VERSION >= (3, 0) else "webserver"
    url = str(conf.get(section, "base_url", fallback="")).rstrip("/")
    return "" if url == "http://localhost:8080" else url  # 2.x says so where nobody does


def team_names(dag_ids: Collection[str], session: Any) -> Mapping[str, str | None]:
    """
    Give the teams of DAGs, which an auth manager asks for from Airflow 3.2 on.

    :param dag_ids: the DAGs
    :param session: of Airflow's database
    """
    if AIRFLOW_VERSION < (3, 2):
        return {}
    from airflow.models.dag import DagModel

    return DagModel.get_dag_id_to_team_name_mapping(list(dag_ids), session=session)


def load_stats() -> Any:
    """Give Airflow's metrics, as a triggerer has set them up. Imports them, which may read files."""
    # Of the copies that Airflow has from 3.2 on, a triggerer sets up this one alone.
    if AIRFLOW_VERSION >= (3, 2):
        from airflow.observability.stats import Stats
    else:
        from airflow.stats import Stats  # type: ignore[assignment]
    return Stats


def is_in_supervised_process() -> bool:
    """Say whether this process writes its log to one that supervises it, as triggerers of Airflow 3 do."""
    task_runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    return getattr(task_runner, "SUPERVISOR_COMMS", None) is not None


def may_have_earlier_xcoms(context: Context) -> bool:
    """
    Say whether to look for what a task has pushed in an earlier run of its DAG.

    Where there is none, Airflow 3 logs an error, which a task that is well should not: so only where a run of
    the DAG has succeeded before. Airflow 2 logs nothing.

    :param context: the task's context
    """
    return AIRFLOW_VERSION < (3, 0) or bool(context.get("prev_start_date_success"))


def first_reschedule(task: BaseSensorOperator, context: Context) -> float | None:
    """
    Give the epoch seconds at which a sensor in reschedule mode polled first, None if it has not polled
    before.

    :param task: the sensor
    :param context: the task's context
    """
    ti: Any = context["ti"]
    if AIRFLOW_VERSION >= (3, 0):
        moment = ti.get_first_reschedule_date(context)
        return moment.timestamp() if moment else None

    from airflow.models.taskreschedule import TaskReschedule
    from airflow.utils.session import create_session

    with create_session() as session:
        first = (
            session.query(TaskReschedule.start_date)
            .filter_by(dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)
            # Rows from before a clear stay.
            .filter(TaskReschedule.try_number >= ti.max_tries - task.retries + 1)
            .order_by(TaskReschedule.id)
            .first()
        )
    return first.start_date.timestamp() if first else None
