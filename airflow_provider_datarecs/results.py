"""What a task does with a run's result: it passes it on, and judges whether the data agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import InvalidInput
from airflow_provider_datarecs.api.runs import UNREADABLE
from airflow_provider_datarecs.api.targets import check_choice, check_text
from airflow_provider_datarecs.compat import AirflowSkipException, is_mapped_argument, set_outlet_extra
from airflow_provider_datarecs.exceptions import (
    DataRecsCountsMissing,
    DataRecsRowsUnmatched,
    as_airflow_exceptions,
)
from airflow_provider_datarecs.operators.base import HookMixin

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.compat import Context

Number = TypeVar("Number", int, float)

ON_UNMATCHED = FAIL, SKIP, WARN = "fail", "skip", "warn"
_IS_LOST = "_{}_is_lost"  # the attribute that says so of a limit
# What of a result is told to others: those who wait for an asset, and OpenLineage.
TOLD = ("status", *contract.COUNTS, "started_at", "completed_at")


@dataclass(frozen=True)
class UnmatchedLimits:
    """
    How much may be unmatched where the data agree; for a group run, in all and in each of its job runs.

    :param rows: how many rows, None for any number
    :param ratio: which part of the rows that were processed, None for any
    """

    rows: int | None
    ratio: float | None

    @property
    def are_set(self) -> bool:
        """Say whether there is any limit."""
        return (self.rows, self.ratio) != (None, None)

    def judge(self, result: dict[str, Any]) -> tuple[list[str], list[str]]:
        """
        Say what is over a limit, and what is missing to tell; the data agree where both are empty.

        :param result: a run's, as ``run_result``
        """
        over: list[str] = []
        missing: list[str] = []
        if self.are_set and result.get("status") != contract.COMPLETED:
            return over, [f"the run is {result.get('status')}"]
        for who, counts in _parts(result):
            processed, unmatched = _count(counts, "rows_processed"), _count(counts, "rows_unmatched")
            if self.are_set and unmatched is None:
                missing.append(f"{who}{_missing(counts, 'rows_unmatched')}")
            elif self.ratio is not None and processed is None:
                missing.append(f"{who}{_missing(counts, 'rows_processed')}")
            if unmatched is None:
                continue
            of = "" if processed is None else f" of {processed}"
            if self.rows is not None and unmatched > self.rows:
                over.append(f"{who}{unmatched}{of} rows are unmatched, over max_unmatched_rows={self.rows}")
            if self.ratio is not None and processed is not None:
                share = unmatched / processed if processed else float(unmatched > 0)
                if share > self.ratio:
                    over.append(
                        f"{who}{unmatched}{of} rows are unmatched ({share:.4%}), "
                        f"over max_unmatched_ratio={self.ratio}"
                    )
        return over, missing


def check_unmatched_arguments(rows: Any, ratio: Any, on_unmatched: Any) -> None:
    """
    Refuse what cannot be right, as far as that is known before templates are rendered.

    :param rows: as ``max_unmatched_rows``
    :param ratio: as ``max_unmatched_ratio``
    :param on_unmatched: as the tasks take it
    :raises ValueError: naming the argument
    """
    check_choice("on_unmatched", on_unmatched, ON_UNMATCHED)
    if _is_constant(rows):
        _whole_number("max_unmatched_rows", rows)
    if _is_constant(ratio):
        _part("max_unmatched_ratio", ratio)


class Limit:
    """
    Hold a limit of a task, which whoever comes after ``__init__`` may set, such as a cluster's policy.

    None is no limit, also where one of several mapped groups or tasks is given it; but not where a template
    was to give a limit and found nothing.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name, self._is_lost = name, _IS_LOST.format(name)

    def __get__(self, task: Any, owner: type) -> Any:
        return self if task is None else task.__dict__.get(self._name)

    def __set__(self, task: Any, value: Any) -> None:
        # Airflow renders a template by putting in its place what comes of it.
        was_template = _is_template(task.__dict__.get(self._name)) or getattr(task, self._is_lost, False)
        task.__dict__[self._name] = value
        task.__dict__[self._is_lost] = value is None and was_template


class ResultMixin(HookMixin):
    """
    Pass a run's result on as XCom and to outlets; fail, skip or warn where the data do not agree.

    :param max_unmatched_rows: how many rows may be unmatched (templated), default any number
    :param max_unmatched_ratio: which part of the processed rows may be unmatched, 0 to 1 (templated), default
        any
    :param on_unmatched: what becomes of the task where that is exceeded: ``fail``, ``skip`` or ``warn``
    """

    max_unmatched_rows: Any = Limit()
    max_unmatched_ratio: Any = Limit()
    on_unmatched: str
    outlets: Any
    log: Any

    def read_limits(self) -> UnmatchedLimits:
        """
        Check this task's limits and give them.

        :raises AirflowFailException: naming the argument, when one cannot be right
        """
        with as_airflow_exceptions(self.conn_id):
            check_choice("on_unmatched", self.on_unmatched, ON_UNMATCHED)
            return UnmatchedLimits(
                self._limit("max_unmatched_rows", _whole_number), self._limit("max_unmatched_ratio", _part)
            )

    def _limit(self, name: str, read: Callable[[str, Any], Number]) -> Number | None:
        value, is_lost = getattr(self, name), getattr(self, _IS_LOST.format(name), False)
        return None if value is None and not is_lost else read(name, value)

    def give(self, context: Context, target: Target, run_id: str, result: dict[str, Any]) -> dict[str, Any]:
        """
        Push the XCom ``run_result``, judge it, tell the outlets, and give the result back.

        :param context: the task's context
        :param target: the job or job group
        :param run_id: the run's id
        :param result: the run's result
        :raises DataRecsRowsUnmatched: where the data do not agree, unless that skips or warns
        :raises DataRecsCountsMissing: where there is a limit, and the result does not tell
        """
        context["ti"].xcom_push(key="run_result", value=result)
        limits = self.read_limits()
        over, missing = limits.judge(result)
        subject = f"Run {run_id!r} of {target}"
        if over and (self.on_unmatched == FAIL or not missing):
            self._disagree(subject, [*over, *missing], limits, run_id, result, self._where(target, run_id))
        elif missing:
            raise DataRecsCountsMissing(
                f"{subject}: nobody can say whether the data agree, since {'; '.join([*missing, *over])}. "
                f"Look at the run at DataRecs{self._where(target, run_id)}; without max_unmatched_rows and "
                "max_unmatched_ratio this task does not ask."
            )
        elif limits.are_set:
            counts = result["rows_unmatched"], result["rows_processed"]
            self.log.info("%s: the data agree, with %s of %s rows unmatched", subject, *counts)
        set_outlet_extra(
            self.outlets,
            context,
            {
                target.kind.id_field: target.id,
                "workspace_id": target.workspace_id,
                "run_id": run_id,
                **{name: result.get(name) for name in TOLD},
                "agreed": not over if limits.are_set else None,
            },
        )
        return result

    def _disagree(
        self,
        subject: str,
        over: list[str],
        limits: UnmatchedLimits,
        run_id: str,
        result: dict[str, Any],
        where: str,
    ) -> None:
        message = (
            f"{subject} is {result.get('status')}, but the data do not agree: {'; '.join(over)}. Look at the "
            f"run at DataRecs{where}. A retry would see the same; when the data are mended, start a new run."
        )
        if self.on_unmatched == FAIL:
            raise DataRecsRowsUnmatched(
                message,
                run_id=run_id,
                result=result,
                max_unmatched_rows=limits.rows,
                max_unmatched_ratio=limits.ratio,
            )
        self.log.warning("%s", message)
        if self.on_unmatched == SKIP:
            raise AirflowSkipException(message)

    def _where(self, target: Target, run_id: str) -> str:
        url = self.url_of(target, run_id)
        return f": {url}" if url else ""


def _parts(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Give what limits are held against, each with its name: a run, and the job runs of a group run."""
    runs = result.get("runs")
    if runs is None:
        return [("", result)]
    return [("in all, ", result), *((f"job {run.get('job_id')!r}: ", run) for run in runs)]


def _count(counts: dict[str, Any], name: str) -> int | None:
    count = counts.get(name)
    return count if isinstance(count, int) and count >= 0 else None


def _missing(counts: dict[str, Any], name: str) -> str:
    odd = (counts.get(UNREADABLE) or {}).get(name)
    return (
        f"DataRecs gives {name} as {odd}, which is no number of rows" if odd else f"DataRecs gives no {name}"
    )


def _is_template(value: Any) -> bool:
    return not (value is None or _is_constant(value) or is_mapped_argument(value))


def _is_constant(value: Any) -> bool:
    return isinstance(value, (int, float)) or (isinstance(value, str) and "{" not in value)


def _whole_number(argument: str, value: Any) -> int:
    return _number(argument, value, int, "a whole number, 0 or more")


def _part(argument: str, value: Any) -> float:
    return _number(argument, value, float, "a number from 0 to 1, such as 0.05 for 5 %", most=1.0)


def _number(
    argument: str, value: Any, kind: Callable[[str], Number], meaning: str, most: float = float("inf")
) -> Number:
    """Read a number that may have come as text, from a template."""
    if value in (None, "None"):
        check_text(argument, value)  # which says that a template found nothing
    try:
        number = kind(str(value))
        if 0 <= number <= most:
            return number
    except ValueError:
        pass
    raise InvalidInput(f"{argument} is {value!r}; it must be {meaning}")
