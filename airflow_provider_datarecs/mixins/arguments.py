"""Finds arguments of a task that cannot be right while its DAG is parsed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Mapping, Sequence

from airflow_provider_datarecs.api.errors import InvalidInput
from airflow_provider_datarecs.compat import is_unmapped
from airflow_provider_datarecs.constants import check_constants, without_effect

if TYPE_CHECKING:
    from airflow_provider_datarecs.compat import BaseOperator as Base
else:
    Base = object


class ArgumentsMixin(Base):
    """Refuse, as an error of the DAG, a constant that cannot be right; templates are left to the task."""

    template_fields: Sequence[str]
    may_be_none: ClassVar[tuple[str, ...]] = ()
    kept_as: ClassVar[dict[str, str]] = {}  # arguments whose attribute has another name, by that

    def check_arguments(self) -> None:
        """
        Check the constants among this task's arguments; each constructor ends with it.

        :raises ValueError: naming the task and the argument
        """
        if is_unmapped(self):
            return  # on a worker, where execute() refuses it, and decides about retries
        kept = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        arguments = {self.kept_as.get(name, name): value for name, value in kept.items()}
        self._check(self.task_id, arguments)
        problem = without_effect(arguments, _default_args_of(self))
        if problem:
            warnings.warn(f"{_name(type(self), self.task_id)}: {problem}", UserWarning, stacklevel=2)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """
        Check the constants of mapped tasks, which Airflow makes no task of until it runs them.

        :param kwargs: what each of the tasks is given
        :raises ValueError: naming the task and the argument
        """
        cls._check(kwargs.get("task_id"), kwargs)
        return super().partial(**kwargs)

    @classmethod
    def _check(cls, task_id: Any, arguments: Mapping[str, Any]) -> None:
        given = {
            name: value
            for name, value in arguments.items()
            if value is not None or name not in cls.may_be_none
        }
        try:
            check_constants(given, tuple(cls.template_fields))
        except InvalidInput as error:
            raise ValueError(f"{_name(cls, task_id)}: {error}") from None


def _name(cls: type, task_id: Any) -> str:
    return f"{cls.__name__} {task_id!r}"


def _default_args_of(task: Any) -> dict[str, Any]:
    givers = (task.dag if task.has_dag() else None, getattr(task, "task_group", None))
    return {
        name: value
        for giver in givers
        for name, value in (getattr(giver, "default_args", None) or {}).items()
    }
