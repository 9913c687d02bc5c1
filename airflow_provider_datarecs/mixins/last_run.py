"""Looks up how long the last run took that a task has waited for, among its own XComs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.contract import COMPLETED_AT, STARTED_AT, STATUS
from airflow_provider_datarecs.api.results import RESULT_KEY
from airflow_provider_datarecs.api.times import epoch_seconds
from airflow_provider_datarecs.compat import may_have_earlier_xcoms

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.compat import Context
    from airflow_provider_datarecs.polling.durations import KnownRun


def last_run_of(context: Context, target: Target) -> KnownRun | None:
    """
    Give the COMPLETED run that a task has waited for before, None where none is known.

    A triggerer that starts anew knows by it when to look, before it has read the job's history.

    :param context: the task's context
    :param target: the job or job group whose run it is to be
    """
    ti: Any = context["ti"]
    try:
        if not may_have_earlier_xcoms(context):
            return None
        result = ti.xcom_pull(
            task_ids=ti.task_id, key=RESULT_KEY, map_indexes=ti.map_index, include_prior_dates=True
        )
    except Exception:  # noqa: BLE001 - an XCom that cannot be had only makes polls less apt
        return None
    if not isinstance(result, Mapping) or result.get(STATUS) != contract.COMPLETED:
        return None
    run_id, owner = result.get(contract.RUN_ID), result.get(target.kind.id_field)
    started, ended = epoch_seconds(result.get(STARTED_AT)), epoch_seconds(result.get(COMPLETED_AT))
    if owner != target.id or not isinstance(run_id, str) or started is None or ended is None:
        return None
    return {"run_id": run_id, "ended": ended, "seconds": ended - started}
