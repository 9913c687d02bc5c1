"""Says of a task's arguments, before templates are rendered, which of them cannot be right."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Callable, Mapping

from airflow_provider_datarecs.agreement import check_ratio, check_rows, is_constant
from airflow_provider_datarecs.api.errors import InvalidInput
from airflow_provider_datarecs.api.targets import check_choice, check_id, check_text
from airflow_provider_datarecs.choices import FAIL, ON_UNCERTAIN, ON_UNMATCHED

LIMITS = ("max_unmatched_rows", "max_unmatched_ratio")


def check_constants(arguments: Mapping[str, Any], template_fields: tuple[str, ...] = ()) -> None:
    """
    Refuse what cannot be right, whatever templates may give later.

    :param arguments: the arguments of a task, by their names
    :param template_fields: which of them Airflow is still to render, default none: a template, or what
        stands for the value of another task, is not looked at there
    :raises InvalidInput: naming the argument
    """
    for name, value in arguments.items():
        if name in _CHECKS and (name not in template_fields or is_constant(value)):
            _CHECKS[name](name, value)


def without_effect(arguments: Mapping[str, Any], defaults: Mapping[str, Any]) -> str | None:
    """
    Say which argument has no effect beside the others, None if each has one.

    :param arguments: the arguments of a task, by their names
    :param defaults: its ``default_args``, which are for many tasks
    """
    chosen = arguments.get("on_unmatched", FAIL)
    if chosen == FAIL or chosen == defaults.get("on_unmatched"):
        return None
    if any(arguments.get(limit) is not None for limit in LIMITS):
        return None
    return f"on_unmatched={chosen!r} has no effect without {' or '.join(LIMITS)}"


def _given(check: Callable[[str, Any], Any]) -> Callable[[str, Any], None]:
    """Make a check refuse None, which no template has given here."""

    def check_given(name: str, value: Any) -> None:
        if value is None:
            raise InvalidInput(f"{name} is None; give what DataRecs shows")
        check(name, value)

    return check_given


def _unless_none(check: Callable[[str, Any], Any]) -> Callable[[str, Any], None]:
    def check_if_given(name: str, value: Any) -> None:
        if value is not None:
            check(name, value)

    return check_if_given


def _check_label(name: str, value: Any) -> None:
    if value not in (None, ""):
        check_text(name, value)


def _check_switch(name: str, value: Any) -> None:
    if not isinstance(value, (bool, int, type(None))):  # any text would count as True
        raise InvalidInput(f"{name} is {value!r}, which is no template field; it must be True or False")


def _check_interval(name: str, value: Any) -> None:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not isinstance(seconds, (int, float)) or not seconds > 0:
        raise InvalidInput(f"{name} is {value!r}; it must be seconds or a timedelta, at least 1 s")


def _check_reruns(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidInput(
            f"{name} is {value!r}, which is no template field; it must be a whole number, 0 or more"
        )


def _check_delay(name: str, value: Any) -> None:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds < float("inf"):
        raise InvalidInput(f"{name} is {value!r}; it must be seconds or a timedelta, 0 or more")


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    **dict.fromkeys(("job_id", "job_group_id", "workspace_id", "run_id"), _given(check_id)),
    **dict.fromkeys(("job_name", "workspace_name", "conn_id"), _given(check_text)),
    "run_label": _check_label,
    "max_unmatched_rows": _unless_none(check_rows),
    "max_unmatched_ratio": _unless_none(check_ratio),
    "on_unmatched": lambda name, value: check_choice(name, value, ON_UNMATCHED),
    "on_uncertain": lambda name, value: check_choice(name, value, ON_UNCERTAIN),
    **dict.fromkeys(("unique_label", "deferrable", "cancel_run_on_kill"), _check_switch),
    **dict.fromkeys(("start_from_trigger", "end_from_trigger"), _check_switch),
    "poke_interval": _check_interval,
    "reruns": _check_reruns,
    "rerun_delay": _check_delay,
}
