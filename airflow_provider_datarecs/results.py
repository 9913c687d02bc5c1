"""What a task does with a run's result: it passes it on, and judges whether the data agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import InvalidInput
from airflow_provider_datarecs.compat import AirflowException, AirflowSkipException, set_outlet_extra
from airflow_provider_datarecs.exceptions import (
    DataRecsCountsMissing,
    DataRecsRowsUnmatched,
    as_airflow_exceptions,
)
from airflow_provider_datarecs.operators.base import HasHook

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.runs import Runnable
    from airflow_provider_datarecs.compat import Context

Number = TypeVar("Number", int, float)

FAIL, SKIP, WARN = "fail", "skip", "warn"
TOLD = (
    "status",
    *contract.COUNTS,
    "started_at",
    "completed_at",
)  # of a result, to those who wait for an asset


@dataclass(frozen=True)
class Limits:
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
        over, missing = [], []
        if self.are_set and result.get("status") != contract.COMPLETED:
            missing.append(f"the run is {result.get('status')}")
        for who, counts in _parts(result):
            processed, unmatched = _count(counts, "rows_processed"), _count(counts, "rows_unmatched")
            if self.rows is not None:
                if unmatched is None:
                    missing.append(f"{who}DataRecs gives no rows_unmatched")
                elif unmatched > self.rows:
                    over.append(f"{who}{unmatched} rows are unmatched, over max_unmatched_rows={self.rows}")
            if self.ratio is not None:
                if processed is None or unmatched is None:
                    missing.append(f"{who}DataRecs does not give both rows_processed and rows_unmatched")
                elif unmatched > self.ratio * processed:
                    share = f" ({unmatched / processed:.4%})" if processed else ""
                    over.append(
                        f"{who}{unmatched} of {processed} rows are unmatched{share}, "
                        f"over max_unmatched_ratio={self.ratio}"
                    )
        return over, missing


class GivesResult(HasHook):
    """
    Pass a run's result on as XCom and to outlets; fail, skip or warn where the data do not agree.

    :param max_unmatched_rows: how many rows may be unmatched (templated), default any number
    :param max_unmatched_ratio: which part of the processed rows may be unmatched, 0 to 1 (templated), default
        any
    :param on_unmatched: what becomes of the task where that is exceeded: ``fail``, ``skip`` or ``warn``
    """

    max_unmatched_rows: Any
    max_unmatched_ratio: Any
    on_unmatched: str
    # Whether they were given: a template that finds nothing must not lift a limit.
    rows_limited: bool
    ratio_limited: bool
    outlets: Any
    log: Any

    def read_limits(self) -> Limits:
        """
        Check this task's limits and give them.

        :raises AirflowFailException: naming the argument, when one cannot be right
        """
        self.hook.check_choice("on_unmatched", self.on_unmatched, (FAIL, SKIP, WARN))
        with as_airflow_exceptions(self.conn_id):
            return Limits(
                _number("max_unmatched_rows", self.max_unmatched_rows, int) if self.rows_limited else None,
                _number("max_unmatched_ratio", self.max_unmatched_ratio, float, most=1.0)
                if self.ratio_limited
                else None,
            )

    def give(
        self, context: Context, runnable: Runnable, run_id: str, result: dict[str, Any]
    ) -> dict[str, Any]:
        """
        Push the XCom ``run_result``, judge it, tell the outlets, and give the result back.

        :param context: the task's context
        :param runnable: the job or job group
        :param run_id: the run's id
        :param result: the run's result
        :raises DataRecsRowsUnmatched: where the data do not agree, unless that skips or warns
        :raises DataRecsCountsMissing: where there is a limit, and the result does not tell
        """
        context["ti"].xcom_push(key="run_result", value=result)
        limits = self.read_limits()
        over, missing = limits.judge(result)
        subject = f"Run {run_id!r} of {runnable}"
        if over:
            self._disagree(subject, over, limits, run_id, result, self._where(runnable, run_id))
        elif missing:
            raise DataRecsCountsMissing(
                f"{subject}: nobody can say whether the data agree, since {'; '.join(missing)}. Look at the "
                f"run at DataRecs{self._where(runnable, run_id)}; without max_unmatched_rows and "
                "max_unmatched_ratio this task does not ask."
            )
        elif limits.are_set:
            counts = result["rows_unmatched"], result["rows_processed"]
            self.log.info("%s: the data agree, with %s of %s rows unmatched", subject, *counts)
        set_outlet_extra(
            self.outlets,
            context,
            {
                runnable.kind.id_field: runnable.id,
                "workspace_id": runnable.workspace_id,
                "run_id": run_id,
                **{name: result.get(name) for name in TOLD},
                "agreed": not over if limits.are_set else None,
            },
        )
        return result

    def _disagree(
        self, subject: str, over: list[str], limits: Limits, run_id: str, result: dict[str, Any], where: str
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

    def _where(self, runnable: Runnable, run_id: str) -> str:
        try:
            url = self.hook.run_url(runnable, run_id)
        except AirflowException:  # of the connection, which has done its work
            url = None
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


def _number(argument: str, value: Any, kind: Callable[[str], Number], most: float = float("inf")) -> Number:
    """Read a number that may have come as text, from a template."""
    try:
        number = kind(str(value))
        if 0 <= number <= most:
            return number
    except ValueError:
        pass
    bounds = "0 to 1" if most == 1 else "0 or more"
    raise InvalidInput(f"{argument} is {value!r}; it must be a number, {bounds}")
