"""List workspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

from airflow_provider_datarecs.exceptions import told_once
from airflow_provider_datarecs.operators.base import DataRecsOperator
from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_provider_datarecs.compat import Context


class ListWorkspacesOperator(DataRecsOperator):
    """
    List all workspaces that the API key can see.

    Pushes the XCom ``workspaces``, a list of dicts with ``id``, ``name`` and what else DataRecs tells, with
    keys in snake_case, and returns it.

    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    :raises AirflowFailException: when the API key lacks a permission; the task is not retried
    :raises DataRecsConfigException: when the connection cannot be right, or DataRecs refuses the API key;
        the task is not retried
    :raises AirflowException: when DataRecs refuses, or cannot be reached
    """

    template_fields: Sequence[str] = ("conn_id",)

    def __init__(self, *, conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(conn_id=conn_id, **kwargs)
        self.check_arguments()

    @told_once
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """
        List the workspaces, push them as an XCom and return them.

        :param context: the task's context
        """
        workspaces = self.hook.list_workspaces()
        self.log.info("Found %d workspaces", len(workspaces))
        context["ti"].xcom_push(key="workspaces", value=workspaces)
        return workspaces
