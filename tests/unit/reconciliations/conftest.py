from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_provider_datarecs.compat import PAGES_SHOW_VIEWS
from airflow_provider_datarecs.reconciliations import PATH

collect_ignore = [] if PAGES_SHOW_VIEWS else ["test_app.py", "test_many.py", "test_reading.py"]


@pytest.fixture(scope="session")
def results_db():
    """Make Airflow's database."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)


@pytest.fixture
def session(results_db):
    """A session of a database without results."""
    from airflow.utils.session import create_session
    from support.results import models

    with create_session(scoped=False) as session:
        yield session
        session.rollback()
        for model in reversed(models()):
            session.query(model).delete()


@pytest.fixture
def store(session):
    from support.results import Store

    return Store(session)


@pytest.fixture(scope="module")
def airflow_app(results_db):
    """Make Airflow's API server, with users who may read some DAGs and XComs."""
    from support.restricted import READERS

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "support.restricted.RestrictedAuthManager")
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "0123456789abcdef" * 4)
        readers = {
            "reader": {"dags": ["mine", "no_xcoms"], "xcoms": ["mine"]},
            "nobody": {"dags": [], "xcoms": []},
        }
        patch.setenv(READERS, json.dumps(readers))
        from airflow.api_fastapi.app import create_app, purge_cached_app

        purge_cached_app()
        yield create_app(apps="core")
        purge_cached_app()


@pytest.fixture
def get(airflow_app):
    """Ask as a user who has logged in, or as nobody."""
    from starlette.testclient import TestClient
    from support.restricted import token_of

    def get(path, user=None, **query):
        client = TestClient(airflow_app, cookies={"_token": token_of(user)} if user else {})
        return client.get(f"{PATH}{path}", params=query or None)

    return get
