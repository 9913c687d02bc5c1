"""What all DataRecs sensors share."""

from __future__ import annotations

import inspect
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Callable, ClassVar, NoReturn, Sequence

from airflow.provider.datarecs.links.run import DataRecsRunLink

from airflow_provider_datarecs.api.targets import Target, check_id
from airflow_provider_datarecs.api.times import iso_utc
from airflow_provider_datarecs.choices import FAIL
from airflow_provider_datarecs.compat import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    first_reschedule,
    is_deferral_timeout,
    resume_margin,
)
from airflow_provider_datarecs.exceptions import as_airflow_exceptions, told_once
from airflow_provider_datarecs.mixins.arguments import ArgumentsMixin
from airflow_provider_datarecs.mixins.beginning import BACKSTOP, BeginningMixin, seconds
from airflow_provider_datarecs.mixins.last_run import last_run_of
from airflow_provider_datarecs.mixins.lineage import LineageMixin
from airflow_provider_datarecs.mixins.reruns import RerunMixin
from airflow_provider_datarecs.polling import events, reruns
from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID
from airflow_provider_datarecs.sensors.outcome import outcome
from airflow_provider_datarecs.sensors.poke import InProcessWait, WaitEnded

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.contract import TargetKind
    from airflow_provider_datarecs.api.results import RunResult
    from airflow_provider_datarecs.compat import Context
    from airflow_provider_datarecs.polling.monitor import WaitSpec
    from airflow_provider_datarecs.triggers.base import RunTrigger


class RunSensor(LineageMixin, BeginningMixin, ArgumentsMixin, RerunMixin, BaseSensorOperator):
    """
    Wait for a run and push its result.

    :param workspace_id: the id of the workspace (templated)
    :param run_id: the run's id (templated)
    :param deferrable: wait on the triggerer, default True; False waits in ``mode``
    :param cancel_run_on_kill: cancel the run at DataRecs when a user kills, clears or marks the waiting task,
        default False; never on a restart or a timeout, nor where Airflow cannot say what happened
    :param max_unmatched_rows: how many rows may be unmatched (templated), default any number
    :param max_unmatched_ratio: which part of the processed rows may be unmatched, 0 to 1 (templated), default
        any
    :param on_unmatched: what becomes of the task where that is exceeded (templated): ``fail``, the default,
        ``skip`` or ``warn``
    :param reruns: how many times a run that ends FAILED is started anew, default 0
    :param rerun_delay: seconds or timedelta from the end of a run that FAILED to that, default 0
    :param start_from_trigger: begin the wait on the triggerer, without a worker; None for what airflow.cfg
        says, default False
    :param end_from_trigger: end the task on the triggerer, without a worker, if the run is COMPLETED; None
        for what airflow.cfg says, default False
    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    :param timeout: seconds or timedelta after which the wait ends, default that of Airflow's sensors
    """

    kind: ClassVar[TargetKind]
    operator_extra_links = (DataRecsRunLink(),)
    in_process: InProcessWait | None = None
    _earlier_run_ids: Sequence[str] = ()  # that have FAILED, where the wait is in this process

    def __init__(
        self,
        *,
        workspace_id: str,
        run_id: str,
        deferrable: bool = True,
        cancel_run_on_kill: bool = False,
        max_unmatched_rows: int | str | None = None,
        max_unmatched_ratio: float | str | None = None,
        on_unmatched: str = FAIL,
        reruns: int = 0,
        rerun_delay: float | timedelta = 0,
        start_from_trigger: bool | None = False,
        end_from_trigger: bool | None = False,
        conn_id: str = DEFAULT_CONN_ID,
        timeout: float | timedelta | None = None,
        **kwargs: Any,
    ) -> None:
        if timeout is not None:  # which Airflow 2 does not take for its default
            kwargs["timeout"] = timeout
        super().__init__(**kwargs)
        self.workspace_id = workspace_id
        self.run_id = run_id
        self.deferrable = deferrable
        self.cancel_run_on_kill = cancel_run_on_kill
        self.max_unmatched_rows = max_unmatched_rows
        self.max_unmatched_ratio = max_unmatched_ratio
        self.on_unmatched = on_unmatched
        self.reruns = reruns
        self.rerun_delay = rerun_delay
        self.starts_from_trigger = start_from_trigger
        self.ends_from_trigger = end_from_trigger
        self.conn_id = conn_id

    @told_once
    def execute(self, context: Context) -> Any:
        """
        Defer to the trigger without a request, since a run just started is never done; or wait in ``mode``.

        :param context: the task's context
        """
        with outcome(self, context):
            # What cannot be right, be it a limit or the connection, is refused here, not hours later.
            self.read_limits()
            target = self._target()  # which makes text of a number that a template gave
            self._take_times()
            first_poll = None
            if self.reschedule and not self.deferrable:
                first_poll = first_reschedule(self, context)
                self.is_rescheduled = first_poll is not None
            if first_poll is None:
                # After that, one that cannot be read is a failed poll, as it is to a trigger.
                self.hook.get_settings()
            self.push_link(context, target, self.run_id)
            if self.deferrable:
                self.tell_why_on_worker()
                self._defer(context, [self.run_id], time.time())
            since = first_poll or time.time()
            if first_poll is None:  # else an earlier process of reschedule mode has said so
                self._tell_wait(
                    f"in mode {self.mode}", self.run_id, since, since + self.timeout, events.TIMEOUT
                )
            self.in_process = self._wait_from(self.run_id, since, since + self.timeout, context["ti"])
            # Airflow's guard around it, from 2.9 on, warns in the task's log of one that a subclass calls.
            return inspect.unwrap(BaseSensorOperator.execute)(self, context)

    def execute_complete(self, context: Context, event: Any = None) -> RunResult:
        """
        Turn the event that ended the wait into this task's outcome, or wait on for a rerun, or begin.

        :param context: the task's context
        :param event: what the wait ended with; nothing but a COMPLETED for this very run succeeds
        """
        if events.is_to_begin(event):
            self.begin_on_worker(context, event)
            begun: RunResult = self.execute(context)
            return begun
        if self.reruns:
            self._take_times()
            target, began = self._target(), _began(context)
            deadline, _ = self._deadline(context, began)
            # The trigger has let the delay pass, unless there is no time for it.
            if self.rerun_due(target, event, deadline, seen_at=time.time()) is not None:
                self._defer(context, self.start_rerun(context, target, event), began)
        return self._end(context, event)

    def _end(self, context: Context, event: Any) -> RunResult:
        target, run_ids = self._target(), reruns.run_ids_of(event, self.run_id)
        run_id = run_ids[-1]
        is_ours = events.is_about(event, target, run_id)
        self.note_run(target, run_id, event.get("result") if is_ours else None)
        if self.reruns:
            self.push_run_ids(context, target, run_ids)
        try:
            result = events.result_of(event, target, run_id)
        except (AirflowException, AirflowTaskTimeout):
            self.push_result(context, events.nothing_ended(event, target, run_id))
            raise
        self.check_completed(context, target, run_id, result, earlier=run_ids[:-1])
        return self.give(context, target, run_id, result)

    @told_once
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume, and let the wait end as it would in any mode and on any Airflow.

        :param next_method: as it was given to ``defer``, or Airflow's own for a deferral that failed
        :param next_kwargs: the event, or why the deferral failed
        :param context: the task's context
        :raises AirflowSensorTimeout: when Airflow has ended the deferral, since no triggerer did
        """
        with outcome(self, context):
            self.run_url = None
            try:
                # Not what Airflow's sensors do here, which differs from version to version.
                return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
            except AirflowException as error:
                if not is_deferral_timeout(error):
                    raise
                target = self._target()
                self.push_result(context, events.nothing_ended(None, target, self.run_id))
                or_rerun = ", or the last rerun of it" if self.reruns else ""
                raise AirflowSensorTimeout(
                    "Unknown how it stands, since no triggerer has ended this wait in time: "
                    f"{self._name(self.run_id)}{or_rerun}. Look at DataRecs, and whether a triggerer "
                    "runs."
                ) from None

    def on_kill(self) -> None:
        """Cancel the run if a user has ended the task, for ``deferrable=False``."""
        is_timeout = isinstance(sys.exc_info()[1], AirflowTaskTimeout)
        if self.cancel_run_on_kill and self.in_process and not is_timeout:
            self.in_process.cancel_if_killed()

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """
        Poll once, and a rerun as well, for ``deferrable=False``.

        :param context: the task's context
        :raises WaitEnded: with what the task is to end with, for :meth:`execute` to raise
        """
        try:
            now = time.time()
            self.in_process = self.in_process or self._wait_from(self.run_id, now, now + self.timeout)
            while True:
                event = self.in_process.poll(None if self.exponential_backoff else self.poke_interval)
                if event is None:
                    return False
                event = reruns.with_earlier(event, self._earlier_run_ids)
                target, deadline = self._target(), self.in_process.deadline
                seen_at = None if self.reschedule else time.time()
                due = self.rerun_due(target, event, deadline, seen_at=seen_at)
                if due is None:
                    return PokeReturnValue(is_done=True, xcom_value=self._end(context, event))
                self.in_process = None  # of a run that is over, which nobody need cancel
                name = target.name_run(event["run_id"])
                if not self.wait_until(due, name, holds_worker=not self.reschedule):
                    return False
                *self._earlier_run_ids, run_id = self.start_rerun(context, target, event)
                self.in_process = self._wait_from(run_id, time.time(), deadline, context["ti"])
        except (AirflowException, AirflowTaskTimeout) as error:
            raise WaitEnded(error) from error

    def _wait_from(self, run_id: str, since: float, deadline: float, ti: Any = None) -> InProcessWait:
        from airflow_provider_datarecs.polling.monitor import RunMonitor  # here, as all that polls

        wait = self._wait_spec(run_id, since, deadline)
        return InProcessWait(self.hook, RunMonitor(wait, first_poll=since), ti=ti)

    def _wait_spec(self, run_id: str, since: float, deadline: float) -> WaitSpec:
        from airflow_provider_datarecs.polling.monitor import WaitSpec

        return WaitSpec(self._target(), run_id, self.hook.conn_id, self.log, since=since, deadline=deadline)

    def _take_times(self) -> None:
        # A cluster's policy may set them after __init__, where Airflow takes them in either form.
        self.timeout, self.poke_interval = seconds(self.timeout), seconds(self.poke_interval)
        self.rerun_delay = seconds(self.rerun_delay)
        self.max_wait = timedelta(seconds=seconds(self.max_wait)) if self.max_wait else None

    def _deadline(self, context: Context, began: float) -> tuple[float, str]:
        """Give when the wait ends that began at a time, and which of the task's limits that comes from."""
        deadline, limit, now = began + self.timeout, events.TIMEOUT, time.time()
        if self.execution_timeout:
            # It counts from the start of this try.
            left = _began(context) + self.execution_timeout.total_seconds() - now
            margin = min(resume_margin(), left / 2.0)
            if now + left - margin < deadline:
                deadline, limit = now + left - margin, events.EXECUTION_TIMEOUT
        return deadline, limit

    def _defer(self, context: Context, run_ids: Sequence[str], began: float) -> NoReturn:
        target, run_id = self._target(), run_ids[-1]
        ending = self.ending(context["ti"], tell=len(run_ids) == 1)
        if self.cancel_run_on_kill:
            from airflow_provider_datarecs.compat.task_states import note_try

            note_try(context["ti"])
        is_first, now = len(run_ids) == 1, time.time()
        # A rerun starts where a worker resumes a task that began long ago.
        worker_took = max(0.0, now - _began(context)) if is_first else 0.0
        now = began if is_first else now
        deadline, limit = self._deadline(context, began)
        self._tell_wait("on the triggerer", run_id, now, deadline, limit)
        self.defer(
            trigger=self._trigger_class()(
                **{target.kind.id_field: target.id},
                workspace_id=target.workspace_id,
                run_id=run_id,
                conn_id=self.hook.conn_id,
                poke_interval=self.poke_interval,
                since=now,
                deadline=deadline,
                limit=limit,
                exponential_backoff=bool(self.exponential_backoff),
                max_wait=self.max_wait.total_seconds() if self.max_wait else None,
                cancel_run_on_kill=self.cancel_run_on_kill,
                earlier_run_ids=run_ids[:-1],
                rerun_delay=self.rerun_delay if len(run_ids) <= self.reruns else None,
                ending=self.read_limits().add_to(ending),
                worker_took=worker_took,
                last_run=last_run_of(context, target) if is_first else None,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout - (now - began)) + BACKSTOP,
        )

    def _tell_wait(self, how: str, run_id: str, since: float, deadline: float, limit: str) -> None:
        self.log.info(
            "Waiting %s for %s, until %s at the latest (%s, the task's %s)",
            how,
            self._name(run_id),
            iso_utc(deadline),
            timedelta(seconds=round(deadline - since)),
            limit,
        )

    def _name(self, run_id: str) -> str:
        """Name what is waited for."""
        return self._target().name_run(run_id)

    def _target(self) -> Target:
        with as_airflow_exceptions(self.conn_id):
            self.run_id = check_id("run_id", self.run_id)
            return Target(self.kind, getattr(self, self.kind.id_field), self.workspace_id)

    def _trigger_class(self) -> Callable[..., RunTrigger]:
        # Imported by each sensor only when it defers, which keeps DAG parsing light.
        raise NotImplementedError


def _began(context: Context) -> float:
    # Nothing tells it in dag.test() before Airflow 3.
    start: Any = context["ti"].start_date
    return start.timestamp() if start else time.time()
