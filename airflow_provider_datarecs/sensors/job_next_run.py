"""Wait for the next run of a job, whoever starts it."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Sequence

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import InvalidInput
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.api.times import iso_utc, read_time
from airflow_provider_datarecs.choices import FAIL
from airflow_provider_datarecs.compat import AirflowException, AirflowTaskTimeout
from airflow_provider_datarecs.exceptions import as_airflow_exceptions, told_once
from airflow_provider_datarecs.polling import events
from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID
from airflow_provider_datarecs.sensors.base import RunSensor
from airflow_provider_datarecs.sensors.outcome import outcome
from airflow_provider_datarecs.sensors.poke import InProcessWait, WaitEnded

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_datarecs.api.results import RunResult
    from airflow_provider_datarecs.compat import Context, PokeReturnValue
    from airflow_provider_datarecs.triggers.base import RunTrigger


class JobNextRunSensor(RunSensor):
    """
    Wait until a run of a job begins that somebody else starts, such as DataRecs's own schedule, and until it
    is COMPLETED.

    The run is the first of those that began at ``after`` or later, by DataRecs's clock. It may have ended by
    then. Pushes the XComs ``run_id``, ``job_id`` and ``workspace_id``, and ``run_result`` as
    :class:`.JobRunSensor` does; ends as that does, too.

    :param job_id: the job's id (templated)
    :param workspace_id: the id of the job's workspace (templated)
    :param after: a time in ISO 8601, or a datetime (templated), default the start of the DAG run
    :param deferrable: wait on the triggerer, holding no worker slot, default True; False waits in ``mode``
    :param max_unmatched_rows: how many rows may be unmatched (templated), 0 or more, default any
        number
    :param max_unmatched_ratio: which part of the processed rows may be unmatched (templated), 0 to 1, default
        any
    :param on_unmatched: what becomes of the task where that is exceeded (templated): ``fail``, the default,
        without retries; ``skip``; or ``warn``, which logs it and succeeds
    :param outlets: assets, or datasets before Airflow 3, which are updated when the task succeeds; the event
        has the result as its extra from Airflow 2.10 on. Default none
    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    :param poke_interval: seconds or timedelta between two polls, at least 1 s, default 60 s
    :param timeout: seconds or timedelta after which the wait ends, with one last poll, default that of
        Airflow's sensors, 7 days; counted anew for each try
    :param mode: ``poke``, the default, or ``reschedule``, for ``deferrable=False``; accepted and without
        effect otherwise
    :raises AirflowSensorTimeout: when the time is over, whether a run has begun or not; the task is not
        retried
    :raises DataRecsRunNotSeen: the same, when nothing could be seen at the end
    :raises AirflowTaskTimeout: when the task's ``execution_timeout`` is over; retried if it has retries
    :raises AirflowFailException: when an id or ``after`` cannot be one, or the API key lacks a permission;
        the task is not retried
    :raises DataRecsConfigException: when the connection cannot be right, or DataRecs refuses the API key;
        the task is not retried
    :raises DataRecsRowsUnmatched: when more is unmatched than the limits allow, with ``on_unmatched="fail"``
    :raises DataRecsCountsMissing: when there is a limit and DataRecs gives no counts, whatever
        ``on_unmatched`` says
    :raises DataRecsRunFailed: when the run is FAILED; that is final, so the task is not retried
    :raises DataRecsRunCancelled: when it is CANCELLED; the same
    :raises AirflowException: when DataRecs does not know the job, or refuses for another reason
    """

    template_fields: Sequence[str] = (
        "job_id",
        "workspace_id",
        "after",
        "max_unmatched_rows",
        "max_unmatched_ratio",
        "on_unmatched",
        "conn_id",
    )
    kind = TargetKind.JOB
    _run_id = ""  # until one has begun

    def __init__(
        self,
        *,
        job_id: str,
        workspace_id: str,
        after: str | datetime | None = None,
        deferrable: bool = True,
        max_unmatched_rows: int | str | None = None,
        max_unmatched_ratio: float | str | None = None,
        on_unmatched: str = FAIL,
        outlets: Any = [],  # noqa: B006 - mapped tasks of Airflow 3.3 add to it as it is here
        conn_id: str = DEFAULT_CONN_ID,
        poke_interval: float | timedelta = 60,
        timeout: float | timedelta | None = None,
        mode: str = "poke",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            workspace_id=workspace_id,
            run_id="",
            deferrable=deferrable,
            cancel_run_on_kill=False,  # whatever default_args say, as all that is not this sensor's
            max_unmatched_rows=max_unmatched_rows,
            max_unmatched_ratio=max_unmatched_ratio,
            on_unmatched=on_unmatched,
            reruns=0,
            rerun_delay=0,
            start_from_trigger=False,
            end_from_trigger=False,
            outlets=outlets or None,
            conn_id=conn_id,
            poke_interval=poke_interval,
            timeout=timeout,
            mode=mode,
            **kwargs,
        )
        self.job_id = job_id
        self.after = after
        self.check_arguments()

    @property
    def run_id(self) -> str:
        """The run's id, empty until it has begun."""
        return self._run_id

    @run_id.setter
    def run_id(self, run_id: str) -> None:
        self._run_id = run_id

    @told_once
    def execute(self, context: Context) -> Any:
        """
        Defer to the trigger without a request, or wait in ``mode``.

        :param context: the task's context
        """
        with outcome(self, context):
            self.after = self._read_after(context)
        return super().execute(context)

    @told_once
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume as any sensor on a run does.

        :param next_method: as it was given to ``defer``, or Airflow's own for a deferral that failed
        :param next_kwargs: the event, or why the deferral failed
        :param context: the task's context
        """
        with outcome(self, context):
            self.after = self._read_after(context)  # in a process that has not begun the wait
        return super().resume_execution(next_method, next_kwargs, context)

    def execute_complete(self, context: Context, event: Any = None) -> RunResult:
        """
        Turn the event that ended the wait into this task's outcome.

        :param context: the task's context
        :param event: what the wait ended with, for the run that the trigger has found
        """
        if isinstance(event, dict):
            self._found(context, event.get("run_id"))
        return super().execute_complete(context, event)

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """
        Poll once, for ``deferrable=False``.

        :param context: the task's context
        :raises WaitEnded: with what the task is to end with, for :meth:`execute` to raise
        """
        try:
            if not self.run_id and not self._find(context):
                return False
        except (AirflowException, AirflowTaskTimeout) as error:
            raise WaitEnded(error) from error
        return super().poke(context)

    def _find(self, context: Context) -> bool:
        """Look for the run in this process, and say whether it has begun."""
        assert self.in_process is not None  # noqa: S101 - execute() has made it
        event = self.in_process.poll(None)
        if event is None:
            return False
        if not events.has_begun(event):
            self._end(context, event)
        run_id, deadline = event["run_id"], self.in_process.deadline
        self._found(context, run_id)
        self.log.info("Begun, and waited for: %s", self._target().name_run(run_id))
        self.push_link(context, self._target(), run_id)
        self.in_process = self._wait_from(run_id, time.time(), deadline)
        return True

    def _wait_from(self, run_id: str, since: float, deadline: float, ti: Any = None) -> InProcessWait:
        if run_id:
            return super()._wait_from(run_id, since, deadline, ti)
        from airflow_provider_datarecs.polling.next_run import NextRunMonitor

        monitor = NextRunMonitor(self._wait_spec("", since, deadline), self._epoch())
        return InProcessWait(self.hook, monitor)

    def _found(self, context: Context, run_id: Any) -> None:
        if not isinstance(run_id, str) or not run_id:
            return
        self.run_id = run_id
        for key, value in self._target().ids_of(run_id).items():
            context["ti"].xcom_push(key=key, value=value)

    def push_link(self, context: Context, target: Target, run_id: str) -> None:
        """
        Keep the URL of the task's run, once there is one.

        :param context: the task's context
        :param target: the job
        :param run_id: the run's id
        """
        if run_id:
            super().push_link(context, target, run_id)

    def note_run(self, target: Target, run_id: str, result: RunResult | None = None) -> None:
        """
        Keep the run for OpenLineage, once there is one.

        :param target: the job
        :param run_id: the run's id
        :param result: its ``run_result``, if there is one
        """
        if run_id:
            super().note_run(target, run_id, result)

    def _name(self, run_id: str) -> str:
        if run_id:
            return super()._name(run_id)
        return f"the next run of {self._target()} from {iso_utc(self._epoch())} on"

    def _target(self) -> Target:
        with as_airflow_exceptions(self.conn_id):
            return Target(self.kind, self.job_id, self.workspace_id)

    def _trigger_class(self) -> Callable[..., RunTrigger]:
        from airflow_provider_datarecs.triggers.job_next_run import JobNextRunTrigger

        return partial(JobNextRunTrigger, after=self._epoch())

    def _epoch(self) -> float:
        assert isinstance(self.after, datetime)  # noqa: S101 - execute() has read it
        return self.after.timestamp()

    def _read_after(self, context: Context) -> datetime:
        """Give the time that the run may begin at the soonest."""
        after = self.after
        if after is None:
            dag_run: Any = context.get("dag_run")
            after = getattr(dag_run, "start_date", None) or context["ti"].start_date
        with as_airflow_exceptions(self.conn_id):
            return _moment(after)


def _moment(after: Any) -> datetime:
    try:
        moment = read_time(after) if isinstance(after, str) else after
    except ValueError:
        moment = None
    if not isinstance(moment, datetime):
        raise InvalidInput(f"after is {after!r}; it must be a time in ISO 8601, or a datetime")
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
