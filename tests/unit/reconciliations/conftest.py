from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_provider_datarecs.compat import PAGES_SHOW_VIEWS

collect_ignore = [] if PAGES_SHOW_VIEWS else ["test_app.py", "test_reading.py"]


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
