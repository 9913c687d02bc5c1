"""Says whether the trigger of a wait may end its task, with no worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_datarecs.compat import CONFIG_EXCEPTIONS
from airflow_provider_datarecs.mixins.results import ResultMixin
from airflow_provider_datarecs.provider_info import CONFIG_SECTION, END_FROM_TRIGGER

if TYPE_CHECKING:
    from airflow_provider_datarecs.compat import Context


class EndingMixin(ResultMixin):
    """
    Let a trigger end the task of a run that is COMPLETED, where nothing is lost by it.

    :param ends_from_trigger: whether it may, None for what airflow.cfg says. The argument has another name,
        ``end_from_trigger``: a DAG with an attribute of that name cannot be imported where listeners are
    """

    kept_as: ClassVar[dict[str, str]] = {"ends_from_trigger": "end_from_trigger"}

    ends_from_trigger: bool | None
    do_xcom_push: bool
    reruns: int

    def ending(self, context: Context, *, tell: bool) -> dict[str, Any] | None:
        """
        Give what the trigger needs to end the task, None where a worker ends it.

        :param context: the task's context
        :param tell: whether to tell the log why a worker does
        """
        is_wanted = _default(self.log) if self.ends_from_trigger is None else self.ends_from_trigger
        if not is_wanted:
            return None
        lost = self._lost(context)
        if lost:
            if tell:
                self.log.info("The task will end on a worker in spite of end_from_trigger, since %s", lost)
            return None
        from airflow_provider_datarecs.compat.task_ends import AIRFLOW_RELEASE

        limits = self.read_limits()
        return {
            "airflow": AIRFLOW_RELEASE,
            "max_unmatched_rows": limits.rows,
            "max_unmatched_ratio": limits.ratio,
            "returns": bool(self.do_xcom_push),
            "reruns": bool(self.reruns),
        }

    def _lost(self, context: Context) -> str:
        if type(self).__module__.partition(".")[0] != __name__.partition(".")[0]:
            return f"it is a {type(self).__name__}, whose own methods take a worker"
        from airflow_provider_datarecs.compat.task_ends import lost_without_worker

        return lost_without_worker(self, context["ti"])


def _default(log: Any) -> bool:
    """Give what airflow.cfg says; a value that cannot be right is no reason to end a wait."""
    from airflow.configuration import conf

    option, default = END_FROM_TRIGGER
    try:
        return bool(conf.getboolean(CONFIG_SECTION, option, fallback=default))
    except CONFIG_EXCEPTIONS as error:
        log.warning("Going on without end_from_trigger, which airflow.cfg has wrong: %s", error)
        return False
