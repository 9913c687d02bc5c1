"""Get the result of a finished run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Sequence

from airflow.provider.datarecs.links.run import DataRecsRunLink

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.choices import FAIL
from airflow_provider_datarecs.compat import AirflowException
from airflow_provider_datarecs.exceptions import told_once
from airflow_provider_datarecs.mixins.lineage import LineageMixin
from airflow_provider_datarecs.mixins.results import ResultMixin
from airflow_provider_datarecs.operators.base import DataRecsOperator
from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.results import RunResult
    from airflow_provider_datarecs.compat import Context


class GetJobRunResultOperator(LineageMixin, ResultMixin, DataRecsOperator):
    """
    Get the result of a run that is finished, whatever its outcome: look at ``status`` in it.

    Pushes the XCom ``run_result`` and returns it: a dict with ``status`` (COMPLETED, FAILED or CANCELLED),
    ``rows_processed``, ``rows_matched``, ``rows_unmatched`` (None where DataRecs gives no count),
    ``started_at``, ``completed_at`` (ISO 8601) and ``error`` (as DataRecs gives it), beside the run's ids.

    :param job_id: the job's id (templated)
    :param workspace_id: the id of the job's workspace (templated)
    :param run_id: the run's id (templated)
    :param max_unmatched_rows: how many rows may be unmatched (templated), 0 or more, default any number
    :param max_unmatched_ratio: which part of the processed rows may be unmatched (templated), 0 to 1, default
        any
    :param on_unmatched: what becomes of the task where that is exceeded (templated): ``fail``, the default,
        without retries; ``skip``; or ``warn``, which logs it and succeeds
    :param outlets: assets, or datasets before Airflow 3, which are updated when the task succeeds; the event
        has the result as its extra from Airflow 2.10 on. Default none
    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    :raises AirflowFailException: when an id cannot be one, before anything is sent, or when the API key
        lacks a permission; the task is not retried
    :raises DataRecsConfigException: when the connection cannot be right, or DataRecs refuses the API key;
        the task is not retried
    :raises DataRecsRowsUnmatched: when more is unmatched than the limits allow, with ``on_unmatched="fail"``
    :raises DataRecsCountsMissing: when there is a limit, and the run is not COMPLETED or DataRecs gives no
        counts, whatever ``on_unmatched`` says
    :raises AirflowException: when the run is not finished, when DataRecs refuses, or cannot be reached
    """

    template_fields: Sequence[str] = (
        "job_id",
        "workspace_id",
        "run_id",
        "max_unmatched_rows",
        "max_unmatched_ratio",
        "on_unmatched",
        "conn_id",
    )
    kind: ClassVar[TargetKind] = TargetKind.JOB
    operator_extra_links = (DataRecsRunLink(),)

    def __init__(
        self,
        *,
        job_id: str,
        workspace_id: str,
        run_id: str,
        max_unmatched_rows: int | str | None = None,
        max_unmatched_ratio: float | str | None = None,
        on_unmatched: str = FAIL,
        outlets: Any = [],  # noqa: B006 - mapped tasks of Airflow 3.3 add to it as it is here
        conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(outlets=outlets or None, conn_id=conn_id, **kwargs)
        self.job_id = job_id
        self.workspace_id = workspace_id
        self.run_id = run_id
        self.max_unmatched_rows = max_unmatched_rows
        self.max_unmatched_ratio = max_unmatched_ratio
        self.on_unmatched = on_unmatched
        self.check_arguments()

    @told_once
    def execute(self, context: Context) -> RunResult:
        """
        Get the result, push it as an XCom, judge it and return it.

        :param context: the task's context
        :raises AirflowException: when the run is not finished
        """
        self.read_limits()  # before a request is spent
        job = self.hook.target(self.kind, self.job_id, self.workspace_id)
        run = self.hook.call(lambda client: client.get_run(job, self.run_id))
        self.push_link(context, job, run.id)
        self.note_run(job, run.id, run.result)
        if not run.is_finished:
            raise AirflowException(
                f"Not finished (status {run.status or 'unknown'}), so it has no result yet: "
                f"{job.name_run(run.id)}. Wait for it with a JobRunSensor first."
            )
        return self.give(context, job, run.id, run.result)
