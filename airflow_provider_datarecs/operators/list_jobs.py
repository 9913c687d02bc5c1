"""List jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

from airflow_provider_datarecs.exceptions import told_once
from airflow_provider_datarecs.operators.base import DataRecsOperator
from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_provider_datarecs.compat import Context


class ListJobsOperator(DataRecsOperator):
    """
    List jobs, of one workspace or of all that the API key can see.

    Pushes the XCom ``jobs``, a list of dicts with ``id``, ``name``, ``workspace_id`` and what else DataRecs
    tells, with keys in snake_case, and returns it.

    :param workspace_id: the workspace whose jobs to list (templated), default all
    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    :raises AirflowFailException: when the workspace's id cannot be one, before anything is sent, or when
        the API key lacks a permission; the task is not retried
    :raises DataRecsConfigException: when the connection cannot be right, or DataRecs refuses the API key;
        the task is not retried
    :raises AirflowException: when DataRecs refuses, or cannot be reached
    """

    template_fields: Sequence[str] = ("workspace_id", "conn_id")
    may_be_none = ("workspace_id",)

    def __init__(
        self, *, workspace_id: str | None = None, conn_id: str = DEFAULT_CONN_ID, **kwargs: Any
    ) -> None:
        super().__init__(conn_id=conn_id, **kwargs)
        self.workspace_id = workspace_id
        self.all_workspaces = workspace_id is None
        self.check_arguments()

    @told_once
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """
        List the jobs, push them as an XCom and return them.

        :param context: the task's context
        """
        if not self.all_workspaces:
            # None from a template that found nothing does not ask for the jobs of all workspaces.
            self.hook.check_text("workspace_id", self.workspace_id)
        jobs = self.hook.list_jobs(self.workspace_id)
        self.log.info("Found %d jobs in workspace %s", len(jobs), self.workspace_id or "(all)")
        context["ti"].xcom_push(key="jobs", value=jobs)
        return jobs
