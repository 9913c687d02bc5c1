"""An auth manager whose users may read some DAGs, and of some of these the XComs."""

from __future__ import annotations

import json
import os
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

READERS = "DATARECS_TEST_READERS"  # an environment variable: of each user the DAGs, and those with XComs


class RestrictedAuthManager(SimpleAuthManager):
    """Airflow's simple one, but for those users."""

    def is_authorized_dag(
        self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None
    ) -> bool:
        """Say whether a user may."""
        readable = json.loads(os.environ.get(READERS, "{}")).get(user.get_name())
        if readable is None:
            return super().is_authorized_dag(
                method=method, user=user, access_entity=access_entity, details=details
            )
        dag_ids = readable["xcoms" if access_entity is DagAccessEntity.XCOM else "dags"]
        return method == "GET" and (details.id in dag_ids if details and details.id else bool(dag_ids))


def token_of(name: str, role: str = "viewer") -> str:
    """Give what a user who has logged in sends as a cookie."""
    from airflow.api_fastapi.app import get_auth_manager

    return str(get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role.upper())))
