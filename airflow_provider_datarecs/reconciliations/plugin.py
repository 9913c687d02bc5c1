"""
The plugin by which Airflow 3.1 and later show the page.

Every Airflow process loads this module, so that it imports nothing of the page until a server asks for it;
and what goes wrong then is a line in that server's log, and stops nothing.
"""

from __future__ import annotations

import logging
from typing import Any, Callable

from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)


class DataRecsReconciliationsPlugin(AirflowPlugin):
    """Show the page *Reconciliations*, unless ``[datarecs] reconciliations_page`` says no."""

    name = "datarecs_reconciliations"

    @property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """What the API server mounts."""
        return _unless_it_fails(_apps)

    @property
    def external_views(self) -> list[Any]:  # type: ignore[override]
        """What Airflow's pages have in their menu *Browse*."""
        return _unless_it_fails(_views)


def _unless_it_fails(make: Callable[[], list[Any]]) -> list[Any]:
    try:
        return make() if _is_on() else []
    except Exception:
        log.exception("This server shows no page of DataRecs's reconciliations")
        return []


def _is_on() -> bool:
    from airflow.configuration import conf

    from airflow_provider_datarecs.compat import PAGES_SHOW_VIEWS
    from airflow_provider_datarecs.provider_info import CONFIG_SECTION, RECONCILIATIONS_PAGE

    name, default = RECONCILIATIONS_PAGE
    return PAGES_SHOW_VIEWS and bool(conf.getboolean(CONFIG_SECTION, name, fallback=default))


def _apps() -> list[Any]:
    from airflow_provider_datarecs.reconciliations import PATH
    from airflow_provider_datarecs.reconciliations.app import make_app

    return [{"app": make_app(), "url_prefix": PATH, "name": "DataRecs reconciliations"}]


def _views() -> list[Any]:
    from airflow_provider_datarecs.reconciliations import PATH

    return [
        {
            "name": "Reconciliations",
            # Against the base of Airflow's pages, which may lie below a path of their own.
            "href": f"{PATH[1:]}/",
            "destination": "nav",
            "category": "browse",
            "url_route": "datarecs-reconciliations",
        }
    ]
