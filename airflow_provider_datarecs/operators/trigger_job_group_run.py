"""Start a run of a job group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

from airflow_provider_datarecs.api.contract import Kind
from airflow_provider_datarecs.operators.base import StartRunOperator

if TYPE_CHECKING:
    from airflow_provider_datarecs.compat import Context


class TriggerJobGroupRunOperator(StartRunOperator):
    """
    Start all jobs of a job group as one run, without waiting for it.

    Pushes the XComs ``run_id``, ``job_group_id`` and ``workspace_id``, and returns the run's id.

    :param job_group_id: the job group's id (templated)
    :param workspace_id: the id of the job group's workspace (templated)
    :param run_label: a label for the run (templated), default none
    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    :raises AirflowFailException: when an id cannot be one, before anything is sent
    :raises DataRecsRunUncertain: when the answer is lost, so that the run may exist; the task is not retried
    :raises AirflowException: when DataRecs refuses, or cannot be reached; nothing was started
    """

    template_fields: Sequence[str] = ("job_group_id", "workspace_id", "run_label", "conn_id")

    def __init__(
        self, *, job_group_id: str, workspace_id: str, run_label: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(run_label=run_label, **kwargs)
        self.job_group_id = job_group_id
        self.workspace_id = workspace_id

    def execute(self, context: Context) -> str:
        """Start the run and return its id."""
        return self.start(context, self.hook.runnable(Kind.JOB_GROUP, self.job_group_id, self.workspace_id))
