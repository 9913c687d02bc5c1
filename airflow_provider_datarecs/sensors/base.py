"""What all DataRecs sensors share."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow_provider_datarecs.api.runs import Runnable, check_id
from airflow_provider_datarecs.compat import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    TaskDeferralError,
    first_reschedule,
    is_deferral_timeout,
)
from airflow_provider_datarecs.exceptions import as_airflow_exceptions
from airflow_provider_datarecs.operators.base import HasHook
from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID
from airflow_provider_datarecs.waits import events
from airflow_provider_datarecs.waits.watch import Watch

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.contract import Kind
    from airflow_provider_datarecs.compat import Context
    from airflow_provider_datarecs.triggers.base import RunTrigger

# The trigger ends the wait at its deadline; Airflow's own timeout is for when no triggerer runs the trigger
# any more.
BACKSTOP = timedelta(minutes=10)


class RunSensor(HasHook, BaseSensorOperator):
    """
    Wait for a run and push its result.

    :param workspace_id: the id of the workspace (templated)
    :param run_id: the run's id (templated)
    :param deferrable: wait on the triggerer, default True; False waits in ``mode``
    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    """

    kind: ClassVar[Kind]
    _watch: Watch | None = None

    def __init__(
        self,
        *,
        workspace_id: str,
        run_id: str,
        deferrable: bool = True,
        conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.workspace_id = workspace_id
        self.run_id = run_id
        self.deferrable = deferrable
        self.conn_id = conn_id

    def execute(self, context: Context) -> Any:
        """
        Defer to the trigger without a request, since a run just started is never done; or wait in ``mode``.

        :param context: the task's context
        """
        if self.deferrable:
            self._defer()
        return super().execute(context)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """
        Turn the event that ended the wait into this task's outcome.

        :param context: the task's context
        :param event: what the wait ended with; nothing but a COMPLETED for this very run succeeds
        """
        result = events.result_of(event, self._runnable(), self.run_id)
        self.log.info("Run %s is COMPLETED: %s", self.run_id, result)
        context["ti"].xcom_push(key="run_result", value=result)
        return result

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; a deferral that Airflow ended for its time is an AirflowSensorTimeout on every version."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralError as error:
            if is_deferral_timeout(error):
                raise AirflowSensorTimeout(str(error)) from error
            raise

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """
        Look once, for ``deferrable=False``.

        :param context: the task's context
        """
        runnable = self._runnable()
        if self._watch is None:
            first_look = (first_reschedule(self, context) if self.reschedule else None) or time.time()
            self._watch = Watch(
                runnable,
                self.run_id,
                conn_id=self.conn_id,
                log=self.log,
                since=first_look,
                first_look=first_look,
            )
        if time.time() < self._watch.not_before:
            return False
        event = self._watch.judge(self.hook.look(runnable, self.run_id))
        if event is None:
            return False
        try:
            result = self.execute_complete(context, event)
        except AirflowException as error:
            # As after a deferral: of itself, Airflow 3 would skip only some failures here.
            if self.soft_fail:
                raise AirflowSkipException(str(error)) from error
            raise
        return PokeReturnValue(is_done=True, xcom_value=result)

    def _defer(self) -> NoReturn:
        runnable = self._runnable()
        self.hook.get_settings()  # a connection that cannot be right is refused here, not hours later
        self.log.info(
            "Waiting on the triggerer for run %s of %s, %s at most",
            self.run_id,
            runnable,
            timedelta(seconds=self.timeout),
        )
        now = time.time()
        self.defer(
            trigger=self._trigger_class()(
                **{runnable.kind.id_field: runnable.id},
                workspace_id=runnable.workspace_id,
                run_id=self.run_id,
                conn_id=self.conn_id,
                poke_interval=self.poke_interval,
                since=now,
                deadline=now + self.timeout,
                exponential_backoff=bool(self.exponential_backoff),
                max_wait=self.max_wait.total_seconds() if self.max_wait else None,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout) + BACKSTOP,
        )

    def _runnable(self) -> Runnable:
        with as_airflow_exceptions(self.conn_id):
            check_id("run_id", self.run_id)
            return Runnable(self.kind, getattr(self, self.kind.id_field), self.workspace_id)

    def _trigger_class(self) -> type[RunTrigger]:
        # Imported by each sensor only when it defers, which keeps DAG parsing light.
        raise NotImplementedError
