from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Make the seconds to the next look into moments where an end is confirmed or a last look has failed."""
    monkeypatch.setattr("airflow_provider_datarecs.polling.confirmation.CONFIRM_AFTER", 0.01)
    monkeypatch.setattr("airflow_provider_datarecs.polling.monitor.LAST_POLL_AGAIN", 0.01)
    monkeypatch.setattr("airflow_provider_datarecs.polling.monitor.LAST_POLL_WITHIN", 0.1)
