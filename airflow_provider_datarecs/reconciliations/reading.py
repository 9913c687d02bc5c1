"""Reads the results that a user may see from Airflow's database."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Collection, NamedTuple

from airflow.provider.datarecs.links.run import XCOM_KEY

from airflow_provider_datarecs.api.results import RESULT_KEY
from airflow_provider_datarecs.reconciliations import JOB_KEY

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MOST_RESULTS = 10_000
"""How many results are read at once, the newest."""
MOST_DAYS = 90
"""How many days back they are read."""
MOST_NAMES = 2_000
"""How many XComs with the names of jobs are read at once, the newest."""


class Found(NamedTuple):
    """
    A result as an XCom holds it; its value is whatever a task has pushed.

    :param dag_id: the DAG
    :param dag_run_id: the run id of the DAG run
    :param task_id: the task
    :param map_index: which of a mapped task, -1 for one that is not
    :param at: when it was pushed
    :param value: the XCom's
    :param url: that of the run at DataRecs, if the task has pushed one
    """

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int
    at: datetime
    value: Any
    url: Any


class NotPermitted(Exception):
    """The user may read the XComs of no DAG."""


def readable_dag_ids(manager: Any, user: Any, session: Session) -> set[str]:
    """
    Give the DAGs with results that a user may read, both them and their XComs.

    :param manager: Airflow's auth manager
    :param user: the user
    :param session: of Airflow's database
    :raises NotPermitted: when there is none, and the user may read no XComs at all
    """
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    from airflow_provider_datarecs.compat import team_names

    def may_read_xcoms(**details: Any) -> bool:
        return bool(
            manager.is_authorized_dag(method="GET", access_entity=DagAccessEntity.XCOM, user=user, **details)
        )

    query = select(XComModel.dag_id).where(XComModel.key == RESULT_KEY, XComModel.timestamp >= _oldest())
    dag_ids = set(session.scalars(query.distinct()))
    dag_ids &= set(manager.get_authorized_dag_ids(user=user, method="GET"))
    teams = team_names(dag_ids, session)
    readable = {
        dag_id
        for dag_id in dag_ids
        if may_read_xcoms(details=DagDetails(id=dag_id, team_name=teams.get(dag_id)))
    }
    if not readable and not may_read_xcoms():
        raise NotPermitted
    return readable


def read_results(dag_ids: Collection[str], session: Session, *, most: int = MOST_RESULTS) -> list[Found]:
    """
    Read the results of DAGs in one query, the newest first.

    :param dag_ids: the DAGs
    :param session: of Airflow's database
    :param most: how many at most
    """
    from airflow.models.xcom import XComModel
    from sqlalchemy import and_, select
    from sqlalchemy.orm import aliased

    link = aliased(XComModel)
    is_of_same_task = and_(
        link.dag_run_id == XComModel.dag_run_id,
        link.task_id == XComModel.task_id,
        link.map_index == XComModel.map_index,
        link.key == XCOM_KEY,
    )
    query = (
        select(
            XComModel.dag_id,
            XComModel.run_id,
            XComModel.task_id,
            XComModel.map_index,
            XComModel.timestamp,
            XComModel.value,
            link.value,
        )
        .outerjoin(link, is_of_same_task)
        .where(XComModel.key == RESULT_KEY, XComModel.timestamp >= _oldest(), XComModel.dag_id.in_(dag_ids))
        .order_by(XComModel.timestamp.desc())
        .limit(most)
    )
    return [Found(*row) for row in session.execute(query)]


def read_jobs(dag_ids: Collection[str], session: Session) -> list[Any]:
    """
    Read what tasks that were given a job by its name have pushed of it, the newest first.

    :param dag_ids: the DAGs
    :param session: of Airflow's database
    """
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    query = (
        select(XComModel.value)
        .where(XComModel.key == JOB_KEY, XComModel.timestamp >= _oldest(), XComModel.dag_id.in_(dag_ids))
        .order_by(XComModel.timestamp.desc())
        .limit(MOST_NAMES)
    )
    return list(session.scalars(query))


def _oldest() -> datetime:
    return datetime.now(timezone.utc) - timedelta(days=MOST_DAYS)
