"""Passes a run's result on, and lets the task end as the result says."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Sequence

from airflow_provider_datarecs.agreement import LimitArgument, UnmatchedLimits
from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import InvalidInput
from airflow_provider_datarecs.api.results import RESULT_KEY
from airflow_provider_datarecs.api.targets import check_choice
from airflow_provider_datarecs.choices import FAIL, ON_UNMATCHED, SKIP
from airflow_provider_datarecs.compat import AirflowSkipException, AirflowTaskTimeout, set_outlet_extra
from airflow_provider_datarecs.constants import LIMITS, check_constants
from airflow_provider_datarecs.exceptions import (
    DataRecsCountsMissing,
    DataRecsRowsUnmatched,
    DataRecsRunCancelled,
    DataRecsRunFailed,
    as_airflow_exceptions,
)
from airflow_provider_datarecs.mixins.hook import HookMixin
from airflow_provider_datarecs.mixins.lineage import REPORTED_FIELDS
from airflow_provider_datarecs.mixins.starter import how_to_start_anew
from airflow_provider_datarecs.polling import events

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.results import RunResult
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.compat import Context

UNSUCCESSFUL = {contract.FAILED: DataRecsRunFailed, contract.CANCELLED: DataRecsRunCancelled}


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
            raise InvalidInput(f"of task {task.task_id!r}, {error}. This try has started no run") from None


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

    def push_result(self, context: Context, result: RunResult) -> None:
        """
        Push the XCom ``run_result``, for whoever looks at this task whatever becomes of it.

        :param context: the task's context
        :param result: the run's result, or what is known of the run
        """
        context["ti"].xcom_push(key=RESULT_KEY, value=result)

    def check_completed(
        self,
        context: Context,
        target: Target,
        run_id: str,
        result: RunResult,
        *,
        earlier: Sequence[str] = (),
    ) -> None:
        """
        Let nothing but a COMPLETED run pass; of any other, push the result first.

        :param context: the task's context
        :param target: the job or job group
        :param run_id: the run's id
        :param result: the run's result
        :param earlier: the runs that it is a rerun of, which are FAILED, default none
        :raises DataRecsRunFailed: when the run is FAILED
        :raises DataRecsRunCancelled: when it is CANCELLED
        """
        status = result["status"]
        if status == contract.COMPLETED:
            return
        self.push_result(context, result)
        url = self.url_of(target, run_id) or None
        those = "FAILED as well" if status == contract.FAILED else "which FAILED"
        rerun = f", a rerun after {', '.join(map(repr, earlier))}, {those}" if earlier else ""
        message = f"{status}: {target.name_run(run_id)}{rerun}. {events.why_not_completed(result)}"
        raise UNSUCCESSFUL[status](f"{message}. {self._advice(url)}", result=result, url=url)

    def give(self, context: Context, target: Target, run_id: str, result: RunResult) -> RunResult:
        """
        Judge a result, push the XCom ``run_result``, tell the outlets, and give the result back.

        :param context: the task's context
        :param target: the job or job group
        :param run_id: the run's id
        :param result: the run's result
        :raises DataRecsRowsUnmatched: where the data do not agree, unless that skips or warns
        :raises DataRecsCountsMissing: where there is a limit, and the result does not tell
        """
        name = target.name_run(run_id)
        self.log.info("%s", events.describe(result, name))
        limits = self.read_limits()
        over, missing = limits.judge(result)
        result = limits.with_verdict(result, over, missing)
        self.push_result(context, result)
        if over and (self.on_unmatched == FAIL or not missing):
            self._disagree(name, [*over, *missing], limits, result, self.url_of(target, run_id))
        elif missing:
            url = self.url_of(target, run_id) or None
            raise DataRecsCountsMissing(
                f"Nobody can say whether the data agree, since {'; '.join([*missing, *over])}: {name}. "
                f"{self._advice(url)} Without max_unmatched_rows and max_unmatched_ratio this task does not "
                "ask.",
                result=result,
                url=url,
            )
        elif limits.are_set:
            self.log.info("The data agree, with %s: %s", events.share_unmatched(result), name)
        set_outlet_extra(
            self.outlets,
            context,
            {
                **target.ids_of(run_id),
                **{field: result.get(field) for field in REPORTED_FIELDS},
                "agreed": not over if limits.are_set else None,
            },
        )
        return result

    def _disagree(
        self, name: str, over: list[str], limits: UnmatchedLimits, result: RunResult, url: str
    ) -> None:
        verdict = f"{result.get('status')}, but the data do not agree: {'; '.join(over)}"
        message = f"{verdict}: {name}. {self._advice(url)}"
        if self.on_unmatched == FAIL:
            raise DataRecsRowsUnmatched(
                message,
                result=result,
                url=url or None,
                max_unmatched_rows=limits.rows,
                max_unmatched_ratio=limits.ratio,
            )
        self.log.warning("%s", message)
        if self.on_unmatched == SKIP:
            raise AirflowSkipException(message)

    def _advice(self, url: str | None) -> str:
        return f"Look at the run at DataRecs{f': {url}' if url else ''}. {how_to_start_anew(self)}"
