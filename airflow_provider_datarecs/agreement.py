"""Says whether the data of a run agree: the limits that a task sets, and how a result stands to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence, TypeVar, cast

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import InvalidInput
from airflow_provider_datarecs.api.results import UNREADABLE
from airflow_provider_datarecs.api.targets import check_text
from airflow_provider_datarecs.compat import is_mapped_argument

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.results import RunResult

Number = TypeVar("Number", int, float)
_Counts = Mapping[str, Any]  # a run's result, or that of a job run in it

_IS_LOST = "_{}_is_lost"  # the attribute that says so of a limit


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

    @classmethod
    def of(cls, task: Any) -> UnmatchedLimits:
        """
        Read the limits of a task.

        :param task: the task, whose templates are rendered
        :raises InvalidInput: naming the argument, when one cannot be right
        """
        return cls(
            rows=_limit_of(task, "max_unmatched_rows", check_rows),
            ratio=_limit_of(task, "max_unmatched_ratio", check_ratio),
        )

    def as_given(self) -> dict[str, int | float | None]:
        """Give the limits by the names that users know them by."""
        return {"max_unmatched_rows": self.rows, "max_unmatched_ratio": self.ratio}

    def judge(self, result: RunResult) -> tuple[list[str], list[str]]:
        """
        Say what is over a limit, and what is missing to tell; the data agree where both are empty.

        :param result: the run's ``run_result``
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
            rows = f"{who}{unmatched:,}{'' if processed is None else f' of {processed:,}'} rows are unmatched"
            if self.rows is not None and unmatched > self.rows:
                over.append(f"{rows}, over max_unmatched_rows={self.rows}")
            if self.ratio is not None and processed is not None:
                share = unmatched / processed if processed else float(unmatched > 0)
                if share > self.ratio:
                    over.append(f"{rows} ({share:.4%}), over max_unmatched_ratio={self.ratio}")
        return over, missing

    def add_to(self, ending: dict[str, Any] | None) -> dict[str, Any] | None:
        """
        Add the limits to what a trigger needs to end a task, None where a worker ends it.

        :param ending: as :meth:`.EndingMixin.ending` gives it
        """
        if ending is None:
            return None
        return {**ending, **self.as_given()}

    def with_verdict(self, result: RunResult, over: Sequence[str], missing: Sequence[str]) -> RunResult:
        """
        Give a result that says whether the data agree and by which limits, or as it is where there is none.

        :param result: the run's ``run_result``
        :param over: what is over a limit
        :param missing: what is missing to tell
        """
        if not self.are_set:
            return result
        agreed = False if over else None if missing else True
        return cast("RunResult", {**result, "agreed": agreed, **self.as_given()})


class LimitArgument:
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


def _limit_of(task: Any, name: str, read: Callable[[str, Any], Number]) -> Number | None:
    value, is_lost = getattr(task, name), getattr(task, _IS_LOST.format(name), False)
    return None if value is None and not is_lost else read(name, value)


def _parts(result: RunResult) -> list[tuple[str, _Counts]]:
    """Give what limits are held against, each with its name: a run, and the job runs of a group run."""
    runs = result.get("runs")
    if runs is None:
        return [("", result)]
    return [("in all, ", result), *((f"job {run.get('job_id')!r}: ", run) for run in runs)]


def _count(counts: _Counts, name: str) -> int | None:
    count = counts.get(name)
    return count if isinstance(count, int) and count >= 0 else None


def _missing(counts: _Counts, name: str) -> str:
    odd = (counts.get(UNREADABLE) or {}).get(name)
    return (
        f"DataRecs gives {name} as {odd}, which is no number of rows" if odd else f"DataRecs gives no {name}"
    )


def _is_template(value: Any) -> bool:
    return not (is_constant(value) or is_mapped_argument(value))


def is_constant(value: Any) -> bool:
    """
    Say whether an argument is the same before and after Airflow renders templates.

    :param value: the argument, before that
    """
    if isinstance(value, str):
        return "{" not in value
    return isinstance(value, (type(None), int, float, bytes, list, tuple, dict, set))


def check_rows(argument: str, value: Any) -> int:
    """
    Give a limit on rows as a number.

    :param argument: the argument's name, for the message
    :param value: what it holds
    :raises InvalidInput: when it cannot be one
    """
    return _number(argument, value, int, "a whole number, 0 or more")


def check_ratio(argument: str, value: Any) -> float:
    """
    Give a limit on the part of the rows as a number.

    :param argument: the argument's name, for the message
    :param value: what it holds
    :raises InvalidInput: when it cannot be one
    """
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
