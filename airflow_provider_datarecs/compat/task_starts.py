"""Starts a task on the triggerer, with no worker: which Airflow can, and what a task would lose by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable, Mapping

from airflow_provider_datarecs.compat import AIRFLOW_VERSION, is_unmapped, xcom_class
from airflow_provider_datarecs.compat.task_ends import AIRFLOW_RELEASE, has_listeners, ids_of

if TYPE_CHECKING:
    from datetime import timedelta

# Before that, a trigger gets the text of templates as it is; 3.1 and 3.2 start no task from one.
TRIGGERS_CAN_START_TASKS = AIRFLOW_VERSION >= (3, 3)
# What Airflow does with these it does on workers, or before a task gets to one; by the names that users know.
_ON_WORKERS = {
    "execution_timeout": "execution_timeout",
    "_pre_execute_hook": "pre_execute",
    "on_execute_callback": "on_execute_callback",
    "max_active_tis_per_dag": "max_active_tis_per_dag",
    "max_active_tis_per_dagrun": "max_active_tis_per_dagrun",
    "inlets": "inlets",  # whose assets have to be active
}
# By which a DAG's templates are not what they are everywhere; no triggerer knows them.
_TEMPLATES = (
    "render_template_as_native_obj",
    "user_defined_macros",
    "user_defined_filters",
    "jinja_environment_kwargs",
)
# Of a template's context, what a triggerer knows as a worker does. To all else it has another answer, or asks
# Airflow what gives a triggerer no answer, and waits for ever.
_KNOWN = (
    "conn",
    "data_interval_end",
    "data_interval_start",
    "ds",
    "ds_nodash",
    "logical_date",
    "macros",
    "params",
    "run_id",
    "ts",
    "ts_nodash",
    "ts_nodash_with_tz",
    "var",
)
_IDS = ("dag_id", "map_index", "run_id", "task_id", "try_number")
_KNOWN_OF = {
    "dag": ("dag_id",),
    "dag_run": (
        "conf",
        "dag_id",
        "data_interval_end",
        "data_interval_start",
        "logical_date",
        "run_after",
        "run_id",
        "run_type",
    ),
    "task": ("task_id",),
}


class CannotBegin(Exception):
    """A worker has to begin the task; says why."""


def lost_without_first_worker(task: Any) -> str:
    """
    Say what a task would lose that starts on the triggerer, or why none can; empty for nothing.

    :param task: the task, as the DAG processor has it
    """
    if not TRIGGERS_CAN_START_TASKS:
        return f"Airflow {AIRFLOW_RELEASE} cannot render templates on the triggerer"
    if is_unmapped(task):
        return "Airflow starts no mapped task on the triggerer"
    dag = task.dag if task.has_dag() else None
    return _why_task(task, dag) or _why_deployment() or _why_params(task, dag)


def _why_task(task: Any, dag: Any) -> str:
    for attribute, name in _ON_WORKERS.items():
        if getattr(task, attribute, None):
            return f"the task has {name}, which takes a worker"
    if task.pool != "default_pool":
        return f"its pool {task.pool!r} holds back workers alone"
    if getattr(task, "render_template_as_native_obj", None):
        return "its templates are rendered as native objects"
    for attribute in _TEMPLATES:
        if getattr(dag, attribute, None):
            return f"its DAG has {attribute}"
    return ""


def _why_deployment() -> str:
    from airflow.configuration import conf

    if conf.getboolean("triggerer", "queues_enabled", fallback=False):
        return "triggerers have queues, and Airflow forgets that of a task that starts on one"
    if has_listeners("on_task_instance_running", "on_task_instance_success"):
        return "listeners are installed, such as OpenLineage's, which hear of a start from workers alone"
    return ""


def _why_params(task: Any, dag: Any) -> str:
    """Say which param a triggerer does not take as a worker does, empty for none."""
    from airflow.sdk.definitions._internal.types import is_arg_set

    of_dag, of_task = _params(dag), _params(task)
    for params in (of_dag, of_task):
        for name, param in params.items():
            if not is_arg_set(param.value):
                # Also where the DAG run has a value, which Airflow 3.3 puts in too late.
                return f"the param {name!r} has no default, for which Airflow would stop the triggerer"
    for name, param in of_task.items():
        # Its value is another one on a worker, where the DAG run has one.
        if name not in of_dag or param.schema != of_dag[name].schema:
            return f"the param {name!r} is the task's own, which is checked on workers alone"
    return ""


def _params(owner: Any) -> dict[str, Any]:
    params: Any = getattr(owner, "params", None) or {}
    return {name: params.get_param(name) for name in params}


def as_template(value: Any) -> Any:
    """
    Give a template field as it goes into a trigger's arguments, the output of another task as its template.

    :param value: the field
    :raises CannotBegin: when it cannot go there
    """
    from airflow.sdk.definitions.xcom_arg import PlainXComArg

    if isinstance(value, PlainXComArg):
        return str(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise CannotBegin(f"a template field is a {type(value).__name__}")


def start_trigger_args(trigger: str, arguments: dict[str, Any], timeout: timedelta) -> Any:
    """
    Give what Airflow needs to start a task on the triggerer.

    :param trigger: the path of the trigger's class
    :param arguments: the trigger's
    :param timeout: after which Airflow ends the deferral
    """
    from airflow.triggers.base import StartTriggerArgs

    return StartTriggerArgs(
        trigger_cls=trigger, trigger_kwargs=arguments, next_method="execute_complete", timeout=timeout
    )


def render(trigger: Any, fields: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """
    Render template fields as a worker would, and give up where that is not sure. Blocks.

    :param trigger: the trigger
    :param fields: the fields, by their names
    :param context: the context that Airflow gives the trigger
    :raises CannotBegin: when only a worker can tell
    :raises Exception: whatever comes of a template that asks for what is not there
    """
    from jinja2 import StrictUndefined

    environment = trigger.get_template_env().overlay(undefined=StrictUndefined)
    ti = _TaskInstance(context["ti"])
    values = {name: context[name] for name in _KNOWN if name in context}
    parts = {name: _Part(name, context[name], known) for name, known in _KNOWN_OF.items() if name in context}
    values.update(parts, ti=ti, task_instance=ti)
    return {
        name: environment.from_string(value).render(values) if isinstance(value, str) else value
        for name, value in fields.items()
    }


class _Part:
    """
    Something of a template's context, of which a triggerer does not know all.

    :param name: what the context has it as
    :param part: it
    :param known: the attributes that a triggerer knows as a worker does
    """

    def __init__(self, name: str, part: Any, known: tuple[str, ...]) -> None:
        self._name = name
        self._part = part
        self._known = known

    def __getattr__(self, name: str) -> Any:
        if name not in self._known:
            raise CannotBegin(f"a template asks for {self._name}.{name}, which takes a worker to tell")
        return getattr(self._part, name)


class _TaskInstance(_Part):
    """
    A task instance whose XComs a template on the triggerer can pull.

    Airflow gives no answer there to a pull that does not say of which mapped task.

    :param ti: the task instance
    """

    def __init__(self, ti: Any) -> None:
        super().__init__("ti", ti, _IDS)

    def xcom_pull(self, task_ids: str, key: str = "return_value", dag_id: str | None = None) -> Any:
        """
        Pull the XCom of a task that is not mapped.

        :param task_ids: the task's id
        :param key: the XCom's
        :param dag_id: the DAG's, default that of this task
        :raises CannotBegin: when there is none, or it takes a worker to tell
        """
        if not isinstance(task_ids, str) or dag_id not in (None, self._part.dag_id):
            raise CannotBegin("a template pulls XComs of several tasks, or of another DAG")
        value = self._part.xcom_pull(task_ids=task_ids, key=key, map_indexes=-1)
        if value is None:
            raise CannotBegin(f"task {task_ids!r} has no XCom {key!r}, or is mapped")
        return value


def push_link(ti: Any, key: str, url: str) -> None:
    """
    Push what the link on the task's page leads to, as Airflow does when a worker ends a task. Blocks.

    :param ti: what the trigger has of the task instance
    :param key: where Airflow looks for it
    :param url: the URL, empty for none
    """
    xcom_class()._set_xcom_in_db(key=key, value=url, **ids_of(ti))  # noqa: SLF001 - passes by a backend, as Airflow does


def delete_xcoms(ti: Any, keys: Iterable[str]) -> None:
    """
    Delete the XComs of an earlier try, as Airflow does for a task that begins on a worker. Blocks.

    :param ti: the task instance
    :param keys: those that the task may have pushed
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import DeleteXCom

    if ti.try_number <= 1:
        return
    for key in keys:
        # Not XCom.delete, to which one that is not there is an error.
        task_runner.SUPERVISOR_COMMS.send(DeleteXCom(key=key, **ids_of(ti)))
