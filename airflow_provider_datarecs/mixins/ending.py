"""Says whether the trigger of a wait may end its task, with no worker."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_provider_datarecs.compat import CONFIG_EXCEPTIONS
from airflow_provider_datarecs.mixins.results import ResultMixin
from airflow_provider_datarecs.provider_info import CONFIG_SECTION, END_FROM_TRIGGER


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

    def ending(self, ti: Any, *, tell: bool = False) -> dict[str, Any] | None:
        """
        Give what the trigger needs to end the task besides its limits, None where a worker ends it.

        :param ti: the task instance, None where there is none yet, for a task that is not mapped
        :param tell: whether to tell the log why a worker does, default False
        """
        ending, why_not = self.ending_or_why(ti)
        if tell:
            tell_why_on_worker(self.log, why_not)
        return ending

    def ending_or_why(self, ti: Any) -> tuple[dict[str, Any] | None, str]:
        """
        Give the same, and why a worker ends the task in spite of ``end_from_trigger``, empty for nothing.

        :param ti: the task instance, None where there is none yet, for a task that is not mapped
        """
        is_wanted = self.ends_from_trigger
        if is_wanted is None:
            is_wanted = default_of(END_FROM_TRIGGER, self.log)
        if not is_wanted:
            return None, ""
        from airflow_provider_datarecs.compat.task_ends import AIRFLOW_RELEASE, lost_without_worker

        lost = why_own_class(self) or lost_without_worker(self, ti)
        if lost:
            return None, lost
        pushes = {"returns": bool(self.do_xcom_push), "reruns": bool(self.reruns)}
        return {"airflow": AIRFLOW_RELEASE, **pushes}, ""


def tell_why_on_worker(log: Any, why: str) -> None:
    """
    Tell a task's log why it will end on a worker in spite of ``end_from_trigger``.

    :param log: the task's logger
    :param why: why, empty where it is not so
    """
    if why:
        log.info("The task will end on a worker in spite of end_from_trigger, since %s", why)


def why_own_class(task: Any) -> str:
    """
    Say why a task that is of a class of a user's own takes a worker, empty where it is of none.

    :param task: the task
    """
    if type(task).__module__.partition(".")[0] == __name__.partition(".")[0]:
        return ""
    return f"it is a {type(task).__name__}, whose own methods take a worker"


def default_of(option: tuple[str, bool], log: Any) -> bool:
    """
    Give what airflow.cfg says; a value that cannot be right is no reason to end a wait.

    :param option: its name and its default
    :param log: the task's logger
    """
    from airflow.configuration import conf

    name, default = option
    try:
        return bool(conf.getboolean(CONFIG_SECTION, name, fallback=default))
    except CONFIG_EXCEPTIONS as error:
        log.warning("Going on without %s, which airflow.cfg has wrong: %s", name, error)
        return False
