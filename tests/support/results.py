"""Puts results into Airflow's database as tasks would, for what reads many of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from airflow_provider_datarecs.compat import AIRFLOW_VERSION

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

NOW = datetime.now(timezone.utc)
BUNDLE = "tests"
OF_ATTEMPTS = AIRFLOW_VERSION >= (3, 4)  # an XCom is that of an attempt of a task


def result(**more: Any) -> dict[str, Any]:
    """Give a ``run_result``: COMPLETED, and 10 of 1,000 rows unmatched unless told otherwise."""
    counts = {"rows_processed": 1000, "rows_matched": 990, "rows_unmatched": 10}
    ids = {"run_id": "run_1", "job_id": "job_1", "workspace_id": "ws_1"}
    times = {"started_at": None, "completed_at": None, "error": None}
    return {**ids, "status": "COMPLETED", **counts, **times, **more}


def models() -> list[Any]:
    """Give the tables that results are in, each after those that it needs."""
    from airflow.models import DagModel, DagRun, TaskInstance, xcom
    from airflow.models.dagbundle import DagBundleModel

    written = xcom.XComModelV2 if OF_ATTEMPTS else xcom.XComModel
    return [DagBundleModel, DagModel, DagRun, TaskInstance, written]


class Store:
    """
    Put rows into Airflow's database.

    :param session: of it
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._runs: dict[tuple[str, str], int] = {}
        self._attempts: dict[tuple[Any, ...], UUID] = {}  # of each task
        self._dags: set[str] = set()
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def add(
        self,
        dag_id: str,
        value: Any,
        *,
        ago: float = 0,
        task_id: str = "wait",
        run: str | None = None,
        map_index: int = -1,
        url: Any = None,
        key: str = "run_result",
    ) -> None:
        """Add a result that a task pushed some seconds ago, in a DAG run of its own unless that is named."""
        at = NOW - timedelta(seconds=ago)
        run_id = run or f"run-{len(self._runs)}"
        dag_run_id = self._run(dag_id, run_id, at)
        task = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        attempt = self._attempts.get(tuple(task.values()))
        if attempt is None:
            attempt = self._attempts[tuple(task.values())] = uuid4()
            fields = {"pool": "default_pool", "pool_slots": 1, "try_number": 1, "max_tries": 0}
            index = {"id": attempt, "region_index": map_index} if OF_ATTEMPTS else {}
            self._row("task_instance", state="success", **task, **fields, **index)
        of_task = {"task_instance_id": attempt} if OF_ATTEMPTS else {**task, "dag_run_id": dag_run_id}
        xcom = {**of_task, "timestamp": at}
        self._row("xcom", **xcom, key=key, value=value)
        if url is not None:
            self._row("xcom", **xcom, key="datarecs_run_url", value=url)

    def write(self) -> None:
        """Write what was added."""
        from sqlalchemy import insert

        for model in models():
            rows = self._rows.pop(model.__tablename__.partition("_v2")[0], [])
            if rows:
                self._session.execute(insert(model.__table__), rows)
        self._session.commit()

    def _row(self, table: str, **fields: Any) -> None:
        self._rows.setdefault(table, []).append(fields)

    def _run(self, dag_id: str, run_id: str, at: datetime) -> int:
        if not self._dags:
            self._row("dag_bundle", name=BUNDLE, active=True)
        if dag_id not in self._dags:
            self._dags.add(dag_id)
            flags = {"is_paused": True, "is_stale": False, "max_active_tasks": 16}
            fields = {"max_consecutive_failed_dag_runs": 0, "has_task_concurrency_limits": False}
            self._row("dag", dag_id=dag_id, bundle_name=BUNDLE, **flags, **fields)
        if (dag_id, run_id) not in self._runs:
            number = self._runs[dag_id, run_id] = 1_000_000 + len(self._runs)
            times = {"run_after": at, "start_date": at, "end_date": at, "queued_at": at}
            kind = {"run_type": "manual", "state": "success", "clear_number": 0}
            self._row("dag_run", id=number, dag_id=dag_id, run_id=run_id, **times, **kind)
        return self._runs[dag_id, run_id]
