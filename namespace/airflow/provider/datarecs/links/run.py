"""The link from a task to its run. Defined here, since Airflow 2 takes links from no other place."""

from __future__ import annotations

from typing import Any

from airflow_provider_datarecs.compat import BaseOperatorLink, get_xcom

XCOM_KEY = "datarecs_run_url"


class DataRecsRunLink(BaseOperatorLink):
    """Lead from a task to its run at DataRecs, where the connection's extra has a ``console_url``."""

    name = "DataRecs run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - as Airflow calls it
        """
        Give the URL of the run, empty where there is none.

        :param operator: the task
        :param ti_key: the key of the task instance
        """
        return get_xcom(ti_key, XCOM_KEY) or ""
