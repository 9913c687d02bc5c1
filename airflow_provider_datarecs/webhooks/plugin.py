"""
The plugin by which Airflow's API server or web server receives events.

Every Airflow process loads this module, so that it imports nothing of the receiver until a server asks for
it; and what goes wrong then is a line in that server's log, and stops nothing.
"""

from __future__ import annotations

import logging
from typing import Any, Callable

from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)


class DataRecsWebhooksPlugin(AirflowPlugin):
    """Receive the events that DataRecs posts, if ``[datarecs] webhooks`` says so."""

    name = "datarecs_webhooks"

    @property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """What the API server of Airflow 3 mounts."""
        return _unless_it_fails(_apps)

    @property
    def flask_blueprints(self) -> list[Any]:  # type: ignore[override]
        """What the web server of Airflow 2 registers."""
        return _unless_it_fails(_blueprints)


def _unless_it_fails(make: Callable[[], list[Any]]) -> list[Any]:
    try:
        from airflow_provider_datarecs.webhooks import settings

        return make() if settings.allowed() else []
    except Exception:
        log.exception("This server receives no events of DataRecs")
        return []


def _apps() -> list[Any]:
    from airflow_provider_datarecs.compat import SERVER_IS_ASGI

    if not SERVER_IS_ASGI:
        return []
    from airflow_provider_datarecs.webhooks import settings
    from airflow_provider_datarecs.webhooks.asgi import EventsApp
    from airflow_provider_datarecs.webhooks.receiver import PATH, Receiver

    return [{"app": EventsApp(Receiver(settings.allowed())), "url_prefix": PATH, "name": "DataRecs events"}]


def _blueprints() -> list[Any]:
    from airflow_provider_datarecs.compat import SERVER_IS_ASGI

    if SERVER_IS_ASGI:
        return []
    from airflow_provider_datarecs.webhooks import settings, wsgi
    from airflow_provider_datarecs.webhooks.receiver import Receiver

    return [wsgi.register(Receiver(settings.allowed()))]
