"""Wait for a run of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.choices import FAIL
from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID
from airflow_provider_datarecs.sensors.base import RunSensor

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_datarecs.triggers.base import RunTrigger


class JobRunSensor(RunSensor):
    """
    Wait until a run of a job is COMPLETED.

    Pushes the XCom ``run_result`` and returns it: a dict with ``status``, ``rows_processed``,
    ``rows_matched``, ``rows_unmatched`` (None where DataRecs gives no count), ``started_at``,
    ``completed_at`` (ISO 8601) and ``error``, beside the run's ids. A wait that fails pushes what is known of
    the run.

    :param job_id: the job's id (templated)
    :param workspace_id: the id of the job's workspace (templated)
    :param run_id: the run's id (templated)
    :param deferrable: wait on the triggerer, holding no worker slot, default True; False waits in ``mode``
    :param cancel_run_on_kill: cancel the run at DataRecs when a user kills, clears or marks the waiting task,
        default False; never on a restart or a timeout, nor where Airflow cannot say what happened
    :param max_unmatched_rows: how many rows may be unmatched (templated), 0 or more, default any
        number
    :param max_unmatched_ratio: which part of the processed rows may be unmatched (templated), 0 to 1, default
        any
    :param on_unmatched: what becomes of the task where that is exceeded (templated): ``fail``, the default,
        without retries; ``skip``; or ``warn``, which logs it and succeeds
    :param reruns: how many times a run that ends FAILED is started anew, default 0; pushes the ids of the
        last run, and ``run_ids``, those of all, as XComs
    :param rerun_delay: seconds or timedelta from the end of a run that FAILED to the next one, default 0
    :param start_from_trigger: begin the wait on the triggerer, without a worker, where nothing is lost by it,
        from Airflow 3.3 on; default None, which is ``[datarecs] start_from_trigger`` of airflow.cfg, False
        unless set. Kept as ``starts_from_trigger``
    :param end_from_trigger: end the task on the triggerer, without a worker, if the run is COMPLETED and the
        data agree, and nothing is lost by it; default None, which is ``[datarecs] end_from_trigger`` of
        airflow.cfg, False unless set. Kept as ``ends_from_trigger``
    :param outlets: assets, or datasets before Airflow 3, which are updated when the task succeeds; the event
        has the result as its extra from Airflow 2.10 on. Default none
    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    :param poke_interval: seconds or timedelta between two polls, at least 1 s, default 60 s
    :param timeout: seconds or timedelta after which the wait ends, with one last poll, default that of
        Airflow's sensors, 7 days; for all reruns together, counted anew for each try
    :param mode: ``poke``, the default, or ``reschedule``, for ``deferrable=False``; accepted and without
        effect otherwise
    :raises AirflowSensorTimeout: when the time is over; the run goes on, and the task is not retried
    :raises DataRecsRunNotSeen: the same, when the run could not be seen at the end
    :raises AirflowTaskTimeout: when the task's ``execution_timeout`` is over; retried if it has retries
    :raises AirflowFailException: when an id cannot be one, or the API key lacks a permission; the task is
        not retried
    :raises DataRecsConfigException: when the connection cannot be right, or DataRecs refuses the API key;
        the task is not retried
    :raises DataRecsRowsUnmatched: when more is unmatched than the limits allow, with ``on_unmatched="fail"``
    :raises DataRecsCountsMissing: when there is a limit and DataRecs gives no counts, whatever
        ``on_unmatched`` says
    :raises DataRecsRunUncertain: when an answer is lost and nobody can say whether a rerun exists; the task
        is not retried
    :raises ValueError: when ``reruns`` or ``rerun_delay`` cannot be right
    :raises DataRecsRunFailed: when the run is FAILED; that is final, so the task is not retried
    :raises DataRecsRunCancelled: when it is CANCELLED; the same
    :raises AirflowException: when DataRecs does not know the run, or refuses for another reason
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
    kind = TargetKind.JOB

    def __init__(
        self,
        *,
        job_id: str,
        workspace_id: str,
        run_id: str,
        deferrable: bool = True,
        cancel_run_on_kill: bool = False,
        max_unmatched_rows: int | str | None = None,
        max_unmatched_ratio: float | str | None = None,
        on_unmatched: str = FAIL,
        reruns: int = 0,
        rerun_delay: float | timedelta = 0,
        start_from_trigger: bool | None = None,
        end_from_trigger: bool | None = None,
        outlets: Any = [],  # noqa: B006 - mapped tasks of Airflow 3.3 add to it as it is here
        conn_id: str = DEFAULT_CONN_ID,
        poke_interval: float | timedelta = 60,
        timeout: float | timedelta | None = None,
        mode: str = "poke",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            workspace_id=workspace_id,
            run_id=run_id,
            deferrable=deferrable,
            cancel_run_on_kill=cancel_run_on_kill,
            max_unmatched_rows=max_unmatched_rows,
            max_unmatched_ratio=max_unmatched_ratio,
            on_unmatched=on_unmatched,
            reruns=reruns,
            rerun_delay=rerun_delay,
            start_from_trigger=start_from_trigger,
            end_from_trigger=end_from_trigger,
            outlets=outlets or None,
            conn_id=conn_id,
            poke_interval=poke_interval,
            timeout=timeout,
            mode=mode,
            **kwargs,
        )
        self.job_id = job_id
        self.check_arguments()

    def _trigger_class(self) -> type[RunTrigger]:
        from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

        return JobRunTrigger
