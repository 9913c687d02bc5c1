"""``airflow connections test``, as users run it."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.airflow, pytest.mark.compat]


@pytest.mark.parametrize(
    ("conn_id", "told"),
    [("datarecs_default", "Connection success"), ("revoked_key", "Invalid or expired API key")],
)
def test_the_command_says_whether_the_key_is_good(airflow, live_simulator, conn_id, told):
    connection = f'{{"conn_type": "datarecs", "host": "{live_simulator.url}", "password": "no-such-key"}}'
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "connections", "test", conn_id],
        env={
            **airflow.environ,
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW_CONN_REVOKED_KEY": connection,
            "COLUMNS": "500",
        },
        capture_output=True,
        text=True,
    )
    assert told in done.stdout, done.stdout + done.stderr
    assert "no-such-key" not in done.stdout + done.stderr
