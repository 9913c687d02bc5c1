from __future__ import annotations

import pytest
from support.logs import Log

from airflow_provider_datarecs.sensors.base import RunSensor


@pytest.fixture(autouse=True)
def impatient(polling_config):
    """Make the seconds to the next poll into moments where an end is confirmed or a last look has failed."""
    polling_config(confirm_after=0.01)
    polling_config(last_poll_again=0.01)
    polling_config(last_poll_within=0.1)


@pytest.fixture
def lines(monkeypatch):
    """What sensors log."""
    lines = Log()
    monkeypatch.setattr(RunSensor, "log", lines)
    return lines
