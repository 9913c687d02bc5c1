"""What all DataRecs sensors share."""

from __future__ import annotations

import inspect
import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Iterator, NoReturn

from airflow.provider.datarecs.links.run import DataRecsRunLink

from airflow_provider_datarecs.api.targets import Target, check_id
from airflow_provider_datarecs.api.times import iso_utc
from airflow_provider_datarecs.choices import FAIL
from airflow_provider_datarecs.compat import (
    AirflowException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    first_reschedule,
    is_deferral_timeout,
    resume_margin,
)
from airflow_provider_datarecs.exceptions import as_airflow_exceptions, told_once
from airflow_provider_datarecs.mixins.arguments import ArgumentsMixin
from airflow_provider_datarecs.mixins.lineage import LineageMixin
from airflow_provider_datarecs.mixins.results import ResultMixin
from airflow_provider_datarecs.polling import events
from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID
from airflow_provider_datarecs.sensors.poke import InProcessWait, WaitEnded

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.contract import TargetKind
    from airflow_provider_datarecs.api.results import RunResult
    from airflow_provider_datarecs.compat import Context
    from airflow_provider_datarecs.triggers.base import RunTrigger

# The trigger ends the wait at its deadline; Airflow's own timeout is for when no triggerer runs the trigger
# any more.
BACKSTOP = timedelta(minutes=10)


class RunSensor(LineageMixin, ArgumentsMixin, ResultMixin, BaseSensorOperator):
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
    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    :param timeout: seconds or timedelta after which the wait ends, default that of Airflow's sensors
    """

    kind: ClassVar[TargetKind]
    operator_extra_links = (DataRecsRunLink(),)
    _wait: InProcessWait | None = None

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
        self.conn_id = conn_id

    @told_once
    def execute(self, context: Context) -> Any:
        """
        Defer to the trigger without a request, since a run just started is never done; or wait in ``mode``.

        :param context: the task's context
        """
        with self._outcome():
            # What cannot be right, be it a limit or the connection, is refused here, not hours later.
            self.read_limits()
            target = self._target()  # which makes text of a number that a template gave
            self._take_times()
            first_poll = None
            if self.reschedule and not self.deferrable:
                first_poll = first_reschedule(self, context)
            if first_poll is None:
                # After that, one that cannot be read is a failed poll, as it is to a trigger.
                self.hook.get_settings()
            self.push_link(context, target, self.run_id)
            if self.deferrable:
                self._defer(context)
            since = first_poll or time.time()
            if first_poll is None:  # else an earlier process of reschedule mode has said so
                self._tell_wait(f"in mode {self.mode}", since, since + self.timeout, events.TIMEOUT)
            self._wait = self._wait_from(since, context["ti"])
            # Airflow's guard around it, from 2.9 on, warns in the task's log of one that a subclass calls.
            return inspect.unwrap(BaseSensorOperator.execute)(self, context)

    def execute_complete(self, context: Context, event: Any = None) -> RunResult:
        """
        Turn the event that ended the wait into this task's outcome.

        :param context: the task's context
        :param event: what the wait ended with; nothing but a COMPLETED for this very run succeeds
        """
        target = self._target()
        is_ours = events.is_about(event, target, self.run_id)
        self.note_run(target, self.run_id, event.get("result") if is_ours else None)
        result = events.result_of(event, target, self.run_id)
        self.log.info("Run %s of %s is %s", self.run_id, target, events.describe(result))
        return self.give(context, target, self.run_id, result)

    @told_once
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume, and let the wait end as it would in any mode and on any Airflow.

        :param next_method: as it was given to ``defer``, or Airflow's own for a deferral that failed
        :param next_kwargs: the event, or why the deferral failed
        :param context: the task's context
        :raises AirflowSensorTimeout: when Airflow has ended the deferral, since no triggerer did
        """
        with self._outcome():
            self.run_url = None
            try:
                # Not what Airflow's sensors do here, which differs from version to version.
                return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
            except AirflowException as error:
                if not is_deferral_timeout(error):
                    raise
                raise AirflowSensorTimeout(
                    f"Run {self.run_id!r} of {self._target()}: no triggerer has ended this wait in time, "
                    "so nobody knows how the run stands. Look at DataRecs, and whether a triggerer runs."
                ) from None

    def on_kill(self) -> None:
        """Cancel the run if a user has ended the task, for ``deferrable=False``."""
        is_timeout = isinstance(sys.exc_info()[1], AirflowTaskTimeout)
        if self.cancel_run_on_kill and self._wait and not is_timeout:
            self._wait.cancel_if_killed()

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """
        Poll once, for ``deferrable=False``.

        :param context: the task's context
        :raises WaitEnded: with what the task is to end with, for :meth:`execute` to raise
        """
        try:
            self._wait = self._wait or self._wait_from(time.time())
            event = self._wait.poll(None if self.exponential_backoff else self.poke_interval)
            if event is None:
                return False
            return PokeReturnValue(is_done=True, xcom_value=self.execute_complete(context, event))
        except (AirflowException, AirflowTaskTimeout) as error:
            raise WaitEnded(error) from error

    def _wait_from(self, since: float, ti: Any = None) -> InProcessWait:
        return InProcessWait(
            self.hook, self._target(), self.run_id, log=self.log, since=since, timeout=self.timeout, ti=ti
        )

    def _take_times(self) -> None:
        # A cluster's policy may set them after __init__, where Airflow takes them in either form.
        self.timeout, self.poke_interval = _seconds(self.timeout), _seconds(self.poke_interval)
        self.max_wait = timedelta(seconds=_seconds(self.max_wait)) if self.max_wait else None

    @contextmanager
    def _outcome(self) -> Iterator[None]:
        """Let every end but a COMPLETED skip the task where the user wants that, whatever Airflow does."""
        error: BaseException
        try:
            yield
        except WaitEnded as ended:
            error = ended.error
            ended.__cause__ = ended.__context__ = None  # Airflow 2.7 walks in circles otherwise
            if isinstance(error, AirflowSkipException):
                raise error from None
        except (AirflowSkipException, AirflowRescheduleException):
            raise
        except (AirflowException, AirflowTaskTimeout) as raised:
            error = raised
        else:
            return
        if isinstance(error, AirflowTaskTimeout) and self._wait:
            error = AirflowTaskTimeout(self._wait.timeout_message())
        if self.soft_fail or getattr(self, "never_fail", False):  # the latter since Airflow 2.10
            self.log.error("The task is skipped where it would fail: %s", error)
            raise AirflowSkipException(str(error)) from None
        raise error from error.__cause__  # not in the context of what carried it here

    def _defer(self, context: Context) -> NoReturn:
        target = self._target()
        if self.cancel_run_on_kill:
            from airflow_provider_datarecs.compat.task_states import note_try

            note_try(context["ti"])
        now = time.time()
        deadline, limit = now + self.timeout, events.TIMEOUT
        if self.execution_timeout:
            # It counts from the start of this try.
            left = context["ti"].start_date.timestamp() + self.execution_timeout.total_seconds() - now
            margin = min(resume_margin(), left / 2.0)
            if now + left - margin < deadline:
                deadline, limit = now + left - margin, events.EXECUTION_TIMEOUT
        self._tell_wait("on the triggerer", now, deadline, limit)
        self.defer(
            trigger=self._trigger_class()(
                **{target.kind.id_field: target.id},
                workspace_id=target.workspace_id,
                run_id=self.run_id,
                conn_id=self.hook.conn_id,
                poke_interval=self.poke_interval,
                since=now,
                deadline=deadline,
                limit=limit,
                exponential_backoff=bool(self.exponential_backoff),
                max_wait=self.max_wait.total_seconds() if self.max_wait else None,
                cancel_run_on_kill=self.cancel_run_on_kill,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout) + BACKSTOP,
        )

    def _tell_wait(self, how: str, since: float, deadline: float, limit: str) -> None:
        self.log.info(
            "Waiting %s for run %s of %s, until %s at the latest (%s, the task's %s)",
            how,
            self.run_id,
            self._target(),
            iso_utc(deadline),
            timedelta(seconds=round(deadline - since)),
            limit,
        )

    def _target(self) -> Target:
        with as_airflow_exceptions(self.conn_id):
            self.run_id = check_id("run_id", self.run_id)
            return Target(self.kind, getattr(self, self.kind.id_field), self.workspace_id)

    def _trigger_class(self) -> type[RunTrigger]:
        # Imported by each sensor only when it defers, which keeps DAG parsing light.
        raise NotImplementedError


def _seconds(span: float | timedelta) -> float:
    return span.total_seconds() if isinstance(span, timedelta) else span
