"""Passes a run's result on, and lets the task end as the result says."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_datarecs.agreement import LimitArgument, UnmatchedLimits
from airflow_provider_datarecs.api.errors import InvalidInput
from airflow_provider_datarecs.api.targets import check_choice
from airflow_provider_datarecs.choices import FAIL, ON_UNMATCHED, SKIP
from airflow_provider_datarecs.compat import AirflowSkipException, AirflowTaskTimeout, set_outlet_extra
from airflow_provider_datarecs.constants import LIMITS, check_constants
from airflow_provider_datarecs.exceptions import (
    DataRecsCountsMissing,
    DataRecsRowsUnmatched,
    as_airflow_exceptions,
)
from airflow_provider_datarecs.mixins.hook import HookMixin
from airflow_provider_datarecs.mixins.lineage import REPORTED_FIELDS

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.results import RunResult
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.compat import Context


def check_limits_ahead(task: Any, context: Context) -> None:
    """
    Check the limits of a task that runs later, as far as they are known before the run is started.

    What its templates cannot tell yet, such as what another task is still to push, is left to the task.

    :param task: the task
    :param context: the context of the task that starts the run
    :raises AirflowFailException: naming the task and the argument, when one cannot be right
    """
    limits = {}
    for name in (*LIMITS, "on_unmatched"):
        try:
            value = task.render_template(getattr(task, name), context)
        except AirflowTaskTimeout:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the templates of users raise
            log.info("%s of task %s is not known yet: %s", name, task.task_id, error)
            continue
        if value not in (None, "None"):
            limits[name] = value
    with as_airflow_exceptions(task.conn_id):
        try:
            check_constants(limits)
        except InvalidInput as error:
            raise InvalidInput(f"of task {task.task_id!r}, {error}. No run was started") from None


class ResultMixin(HookMixin):
    """
    Pass a run's result on as XCom and to outlets; fail, skip or warn where the data do not agree.

    :param max_unmatched_rows: how many rows may be unmatched (templated), default any number
    :param max_unmatched_ratio: which part of the processed rows may be unmatched, 0 to 1 (templated), default
        any
    :param on_unmatched: what becomes of the task where that is exceeded (templated): ``fail``, ``skip`` or
        ``warn``
    """

    max_unmatched_rows: Any = LimitArgument()
    max_unmatched_ratio: Any = LimitArgument()
    task_id: str
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
            return UnmatchedLimits.of(self)

    def give(self, context: Context, target: Target, run_id: str, result: RunResult) -> RunResult:
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
                **{name: result.get(name) for name in REPORTED_FIELDS},
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
        result: RunResult,
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
