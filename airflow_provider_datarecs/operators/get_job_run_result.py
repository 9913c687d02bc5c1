"""Get the result of a finished run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

from airflow.provider.datarecs.links.run import DataRecsRunLink

from airflow_provider_datarecs.api.contract import Kind
from airflow_provider_datarecs.compat import AirflowException
from airflow_provider_datarecs.lineage import HasLineage
from airflow_provider_datarecs.operators.base import DataRecsOperator
from airflow_provider_datarecs.waits import events

if TYPE_CHECKING:
    from airflow_provider_datarecs.compat import Context


class GetJobRunResultOperator(HasLineage, DataRecsOperator):
    """
    Get the result of a run that is finished, whatever its outcome: look at ``status`` in it.

    Pushes the XCom ``run_result`` and returns it: a dict with ``status`` (COMPLETED, FAILED or CANCELLED),
    ``rows_processed``, ``rows_matched``, ``rows_unmatched`` (None where DataRecs gives no count),
    ``started_at``, ``completed_at`` (ISO 8601) and ``error`` (as DataRecs gives it).

    :param job_id: the job's id (templated)
    :param workspace_id: the id of the job's workspace (templated)
    :param run_id: the run's id (templated)
    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    :raises AirflowFailException: when an id cannot be one, before anything is sent
    :raises AirflowException: when the run is not finished, when DataRecs refuses, or cannot be reached
    """

    template_fields: Sequence[str] = ("job_id", "workspace_id", "run_id", "conn_id")
    operator_extra_links = (DataRecsRunLink(),)

    def __init__(self, *, job_id: str, workspace_id: str, run_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.workspace_id = workspace_id
        self.run_id = run_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Get the result."""
        job = self.hook.runnable(Kind.JOB, self.job_id, self.workspace_id)
        run = self.hook.get_run(job, self.run_id)
        self.push_link(context, job, self.run_id)
        self.note_run(job, self.run_id, run.result)
        if not run.is_finished:
            raise AirflowException(
                f"Run {self.run_id!r} of {job} is not finished (status {run.status or 'unknown'}), so it has "
                "no result yet. Wait for it with a JobRunSensor first."
            )
        self.log.info("Run %s of %s is %s", self.run_id, job, events.describe(run.result))
        context["ti"].xcom_push(key="run_result", value=run.result)
        return run.result
