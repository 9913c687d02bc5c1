from __future__ import annotations

import subprocess
import sys

import pytest
from support.events import SECRET

from airflow_provider_datarecs.webhooks.receiver import Receiver
from airflow_provider_datarecs.webhooks.secrets import SecretCache
from airflow_provider_datarecs.webhooks.settings import Allowed


class Written:
    """What was written, by connection, and what is read of connections."""

    def __init__(self):
        self.hints = []
        self.lookups = []
        self.secrets = {"datarecs_default": (SECRET,), "bare": ()}

    def write(self, conn_id, hints):
        self.hints += [(conn_id, hint) for hint in hints]

    def read(self, conn_id):
        self.lookups.append(conn_id)
        return self.secrets.get(conn_id, ())

    @property
    def run_ids(self):
        return [hint.run_id for _, hint in self.hints]


@pytest.fixture
def written():
    return Written()


@pytest.fixture
def receiver(written):
    receiver = Receiver(Allowed(None), SecretCache(written.read), written.write)
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def hints_db():
    """Make Airflow's database, in which hints are kept."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
