"""Start a run of a job, by names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

from airflow_provider_datarecs.choices import FAIL
from airflow_provider_datarecs.operators.base import StartRunOperator
from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID
from airflow_provider_datarecs.reconciliations import JOB_KEY

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.targets import Target


class TriggerJobRunByNameOperator(StartRunOperator):
    """
    Start a run of the job with a name, without waiting for it.

    Pushes the XComs ``run_id``, ``job_id`` and ``workspace_id``, and the names as ``datarecs_job``, and
    returns the run's id.

    :param workspace_name: the name of the job's workspace, exact and case-sensitive (templated)
    :param job_name: the job's name, exact and case-sensitive (templated)
    :param run_label: a label for the run (templated), default none
    :param unique_label: the run's label is that of no other task instance, so that a run can be told by it.
        Default False; True sends a label of the provider's making where ``run_label`` is not given
    :param on_uncertain: what to do where nobody can say whether a run was started: ``fail`` (default),
        without Airflow's retries, or ``retry``, which sends the request again
    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    :raises AirflowFailException: when a name is empty, before anything is sent, or when the API key
        lacks a permission; the task is not retried
    :raises DataRecsConfigException: when the connection cannot be right, or DataRecs refuses the API key;
        the task is not retried
    :raises DataRecsRunUncertain: when an answer is lost and nobody can say whether the run exists, unless
        ``on_uncertain="retry"``; the task is not retried
    :raises AirflowException: when a name is missing or not unique, when DataRecs refuses, or cannot be
        reached; nothing was started
    """

    template_fields: Sequence[str] = ("workspace_name", "job_name", "run_label", "conn_id")

    def __init__(
        self,
        *,
        workspace_name: str,
        job_name: str,
        run_label: str | None = None,
        unique_label: bool = False,
        on_uncertain: str = FAIL,
        conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run_label=run_label,
            unique_label=unique_label,
            on_uncertain=on_uncertain,
            conn_id=conn_id,
            **kwargs,
        )
        self.workspace_name = workspace_name
        self.job_name = job_name
        self.check_arguments()

    def _find(self) -> Target:
        ids = self.hook.find_job(workspace_name=self.workspace_name, job_name=self.job_name)
        job = self.hook.target(self.kind, ids["job_id"], ids["workspace_id"])
        self.log.info("Job %r in workspace %r is %s", self.job_name, self.workspace_name, job)
        return job

    def _more_xcoms(self, ids: dict[str, str]) -> dict[str, Any]:
        # A run's result has names only where DataRecs gives them.
        names = {"job_name": str(self.job_name), "workspace_name": str(self.workspace_name)}
        return {JOB_KEY: {"job_id": ids["job_id"], "workspace_id": ids["workspace_id"], **names}}
