"""Says whether a wait begins on the triggerer, with no worker, and what the triggerer needs for that."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Mapping

from airflow.provider.datarecs.links.run import XCOM_KEY

from airflow_provider_datarecs.api.results import RESULT_KEY
from airflow_provider_datarecs.constants import LIMITS
from airflow_provider_datarecs.mixins.ending import EndingMixin, default_of, why_own_class
from airflow_provider_datarecs.provider_info import START_FROM_TRIGGER

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.contract import TargetKind

# The trigger ends the wait at its deadline; Airflow's own timeout is for when no triggerer runs the trigger
# any more.
BACKSTOP = timedelta(minutes=10)
TRIGGER = "airflow_provider_datarecs.triggers.beginning.BeginningTrigger"


class _OfTask:
    """
    What Airflow asks a task, and takes from its class for mapped tasks, which always begin on workers.

    :param of_class: what the class says
    :param ask: gives what a task says
    """

    def __init__(self, of_class: Any, ask: Callable[[Any], Any]) -> None:
        self._of_class = of_class
        self._ask = ask

    def __get__(self, task: Any, owner: type) -> Any:
        return self._of_class if task is None else self._ask(task)


class BeginningMixin(EndingMixin):
    """
    Let a wait begin on the triggerer, where nothing is lost by it.

    :param starts_from_trigger: whether it may, None for what airflow.cfg says; the argument is
        ``start_from_trigger``, which is Airflow's own name for what comes of it
    """

    start_trigger_args: Any = _OfTask(None, lambda task: task.to_start_from_trigger())
    start_from_trigger: Any = _OfTask(False, lambda task: task.to_start_from_trigger() is not None)

    kind: ClassVar[TargetKind]
    kept_as: ClassVar[dict[str, str]] = {
        **EndingMixin.kept_as,
        "starts_from_trigger": "start_from_trigger",
    }

    starts_from_trigger: bool | None
    operator_extra_links: Any
    deferrable: bool
    timeout: Any
    poke_interval: Any
    exponential_backoff: bool
    max_wait: Any
    cancel_run_on_kill: bool
    rerun_delay: Any

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """
        Make mapped tasks, which Airflow takes for such as may start on the triggerer, were the argument kept.

        :param kwargs: what each of the tasks is given
        """
        kwargs.pop("start_from_trigger", None)
        return super().partial(**kwargs)  # type: ignore[misc]

    def tell_why_on_worker(self) -> None:
        """Tell the log why a worker begins the wait, where it should not."""
        if not self._starts_from_trigger():
            return
        from airflow_provider_datarecs.compat.task_starts import CannotBegin

        try:
            self._arguments()
        except CannotBegin as error:
            self.log.info("The wait begins on a worker in spite of start_from_trigger, since %s", error)

    def begin_on_worker(self, context: Any, event: Mapping[str, Any]) -> None:
        """
        Say why a worker begins the wait, and delete the XComs of an earlier try, which Airflow has left.

        :param context: the task's context
        :param event: what the triggerer has fired in place of beginning it
        """
        why = event.get("why")
        self.log.info("The wait begins on a worker, since the triggerer could not begin it (%s)", why)
        from airflow_provider_datarecs.compat.task_starts import TRIGGERS_CAN_START_TASKS, delete_xcoms

        if not TRIGGERS_CAN_START_TASKS:  # another Airflow had begun it
            return
        ids = (self.kind.id_field, "workspace_id", "run_id", "run_ids")
        links = (XCOM_KEY, *(link.xcom_key for link in self.operator_extra_links))
        delete_xcoms(context["ti"], (RESULT_KEY, "return_value", *ids, *links))

    def _starts_from_trigger(self) -> bool:
        if self.starts_from_trigger is None:
            return default_of(START_FROM_TRIGGER, self.log)
        return self.starts_from_trigger

    def to_start_from_trigger(self) -> Any:
        """Give what Airflow needs to start the task on the triggerer, None where a worker starts it."""
        # Airflow asks while the task is still being made, as well.
        is_whole = self.kind.id_field in vars(self)
        if not is_whole or not self.deferrable or not self._starts_from_trigger():
            return None
        from airflow_provider_datarecs.compat.task_starts import CannotBegin, start_trigger_args

        try:
            arguments = self._arguments()
        except CannotBegin:
            return None
        return start_trigger_args(TRIGGER, arguments, timedelta(seconds=arguments["timeout"]) + BACKSTOP)

    def _arguments(self) -> dict[str, Any]:
        """
        Give the arguments of the trigger.

        :raises CannotBegin: when a worker has to begin the task
        """
        from airflow_provider_datarecs.compat.task_ends import AIRFLOW_RELEASE
        from airflow_provider_datarecs.compat.task_starts import (
            CannotBegin,
            as_template,
            lost_without_first_worker,
        )

        lost = why_own_class(self) or lost_without_first_worker(self)
        if lost:
            raise CannotBegin(lost)
        if self.cancel_run_on_kill:
            raise CannotBegin("cancel_run_on_kill tells a task's tries apart by what a worker notes")
        ending, why_not_ending = self.ending_or_why(None)
        names = (self.kind.id_field, "workspace_id", "run_id", "conn_id", *LIMITS, "on_unmatched")
        return {
            "airflow": AIRFLOW_RELEASE,
            "kind": self.kind.name,
            "fields": {name: as_template(getattr(self, name)) for name in names},
            "timeout": seconds(self.timeout),
            "ending": ending,
            "why_not_ending": why_not_ending,
            "wait": {
                "poke_interval": seconds(self.poke_interval),
                "exponential_backoff": bool(self.exponential_backoff),
                "max_wait": seconds(self.max_wait) if self.max_wait else None,
                "rerun_delay": seconds(self.rerun_delay) if self.reruns else None,
            },
        }


def seconds(span: float | timedelta) -> float:
    """
    Give a span in seconds, which Airflow and a cluster's policy may set in either form.

    :param span: seconds or timedelta
    """
    return span.total_seconds() if isinstance(span, timedelta) else span
