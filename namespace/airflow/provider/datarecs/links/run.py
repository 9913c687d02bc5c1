"""The link from a task to its run. Defined here, since Airflow 2 takes links from no other place."""

from __future__ import annotations

from typing import Any

from airflow_provider_datarecs.compat import TASKS_MAKE_LINKS, BaseOperatorLink, get_xcom

XCOM_KEY = "datarecs_run_url"


class DataRecsRunLink(BaseOperatorLink):
    """Lead from a task to its run at DataRecs, where the connection's extra has a ``console_url``."""

    name = "DataRecs run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """
        Give the URL of the run, empty where there is none.

        :param operator: the task
        :param ti_key: the key of the task instance
        """
        url = getattr(operator, "run_url", None) if TASKS_MAKE_LINKS else None
        # What is not there is an ERROR in the log of Airflow 3; what an earlier process of the task gave is.
        for key in (self.xcom_key, XCOM_KEY) if TASKS_MAKE_LINKS else (XCOM_KEY,):
            if url is None:
                url = get_xcom(ti_key, key)
        return url or ""
