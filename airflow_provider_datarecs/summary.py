"""Sums up the results of many runs, as those of mapped tasks, for a log, a chat or an e-mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable, Mapping

from airflow_provider_datarecs.api import contract

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.results import RunResult

HEAD = ("job", "status", "processed", "matched", "unmatched", "agreed")
IS_TEXT = (True, True, False, False, False, True)  # the columns of numbers end at the right
NO_RESULT = "no result"
AGREED = {True: "yes", False: "no"}


def summarize(
    results: Iterable[RunResult | None] | None, jobs: Iterable[Mapping[str, Any]] | None = None
) -> str:
    """
    Give a table as plain text: of each run its job, status, counts and whether the data agree.

    A last line counts the statuses. Of several results of one run the last counts. Where a status is not
    COMPLETED, FAILED or CANCELLED, the wait ended before the run did.

    :param results: the ``run_result`` of each task, such as
        ``ti.xcom_pull(task_ids="wait", key="run_result")`` gives of mapped tasks
    :param jobs: the jobs that results are wanted of, as ``ListJobsOperator`` gives them, default those of the
        results; they give the order and the names, and one without a result is told as such
    """
    found = list({result.get("run_id"): result for result in results or () if result}.values())
    named = {
        str(job.get(contract.ID)): str(job.get(contract.NAME) or job.get(contract.ID)) for job in jobs or ()
    }
    without = [job_id for job_id in named if job_id not in map(_id_of, found)]
    order = {job_id: place for place, job_id in enumerate(named)}
    rows = [
        (order.get(_id_of(result), len(order)), _row(result, named.get(_id_of(result)))) for result in found
    ]
    rows += [(order[job_id], (named[job_id], NO_RESULT, "-", "-", "-", "-")) for job_id in without]
    lines = [row for _, row in sorted(rows, key=lambda placed: placed[0])]
    widths = [max(map(len, column)) for column in zip(HEAD, *lines)]
    table = [_line(cells, widths) for cells in (HEAD, ["-" * width for width in widths], *lines)]
    return "\n".join([*table, "", _totals([line[1] for line in lines])])


def _row(result: RunResult, name: str | None) -> tuple[str, ...]:
    shown = name or result.get("job_name") or result.get("job_group_name") or _id_of(result) or "?"
    counts: list[Any] = [result.get(count) for count in contract.COUNTS]
    return (
        str(shown),
        result.get("status") or "unknown",
        *("-" if count is None else f"{count:,}" for count in counts),
        AGREED.get(result.get("agreed"), "-"),  # type: ignore[arg-type]
    )


def _id_of(result: RunResult) -> str:
    return result.get("job_id") or result.get("job_group_id") or ""


def _line(cells: Iterable[str], widths: list[int]) -> str:
    padded = (
        cell.ljust(width) if is_text else cell.rjust(width)
        for cell, width, is_text in zip(cells, widths, IS_TEXT)
    )
    return "  ".join(padded).rstrip()


def _totals(statuses: list[str]) -> str:
    counted = ", ".join(f"{statuses.count(status):,} {status}" for status in dict.fromkeys(statuses))
    return f"{len(statuses):,} in all: {counted}" if statuses else "none"
