"""What all DataRecs operators share."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_datarecs.compat import BaseOperator
from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.runs import Runnable
    from airflow_provider_datarecs.compat import Context
    from airflow_provider_datarecs.hooks.datarecs import DataRecsHook


class HasHook:
    """Give a task the hook on its connection, made when it is first used."""

    conn_id: str

    @cached_property
    def hook(self) -> DataRecsHook:
        """The hook on this task's connection."""
        from airflow_provider_datarecs.hooks.datarecs import DataRecsHook

        return DataRecsHook(conn_id=self.conn_id)


class DataRecsOperator(HasHook, BaseOperator):
    """
    Hold the connection of an operator.

    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    """

    def __init__(self, *, conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id


class StartRunOperator(DataRecsOperator):
    """
    Start a run and push its ids.

    :param run_label: a label for the run (templated), default none
    """

    def __init__(self, *, run_label: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_label = run_label

    def start(self, context: Context, runnable: Runnable) -> str:
        """
        Start a run of a job or job group, push its ids as XComs and return the run's id.

        :param context: the task's context
        :param runnable: the job or job group
        """
        run_id = self.hook.start_run(runnable, idempotency_key=wish_of(context), run_label=self.run_label)
        self.log.info("Started run %s of %s", run_id, runnable)
        ti = context["ti"]
        ti.xcom_push(key="run_id", value=run_id)
        ti.xcom_push(key=runnable.kind.id_field, value=runnable.id)
        ti.xcom_push(key="workspace_id", value=runnable.workspace_id)
        return run_id


def wish_of(context: Context) -> str:
    """
    Name what this task instance wishes for: the same for each of its retries, and new after a clear.

    :param context: the task's context
    """
    ti: Any = context["ti"]
    # max_tries is what a clear raises and a retry leaves alone.
    parts = (ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index), str(ti.max_tries))
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "datarecs:" + "\0".join(parts)))
