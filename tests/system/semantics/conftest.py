"""
How waits end on a real Airflow, on PostgreSQL with the LocalExecutor.

Many cells run at once, as tasks of a few DAGs, so a test starts nothing but waits for its own.
"""

from __future__ import annotations

import secrets

import pytest
from support.airflow import IS_AIRFLOW_3, Airflow
from support.debian import Services

from airflow_provider_datarecs.simulator import ApiKey, Simulator, World
from airflow_provider_datarecs.simulator.rate_limit import RateLimit

CONNECTIONS = ("semantics", "away", "outage", "rate_limited", "revoked", "rotated")
# Only what notices soon what would be noticed anyway.
SETTINGS = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": "100",
    "SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "5",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    **(
        {
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
        }
        if IS_AIRFLOW_3
        else {"SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "5"}
    ),
}


@pytest.fixture(scope="session")
def services():
    """A simulator behind each connection, so that what happens to one happens to no other."""
    running = {}
    for name in CONNECTIONS:
        key = ApiKey(secrets.token_hex(16))
        world = World(api_keys=[key], rate_limit=RateLimit(requests=10**6))
        world.add_workspace("ws_production", "Production")
        running[name] = Simulator(world)
    for simulator in running.values():
        simulator.start()
    yield running
    for simulator in running.values():
        simulator.stop()


@pytest.fixture(scope="session")
def airflow(services, tmp_path_factory):
    """Run an Airflow with the connections to all simulators."""
    folder = tmp_path_factory.mktemp("semantics")
    dags = folder / "dags"
    dags.mkdir()
    first = services["semantics"]
    with Services() as debian:
        settings = {**SETTINGS, "DATABASE__SQL_ALCHEMY_CONN": debian.database}
        with Airflow(
            folder / "airflow",
            dags,
            host=first.url,
            api_key=first.world.api_keys[0].key,
            environ={f"AIRFLOW__{name}": value for name, value in settings.items()},
        ) as airflow:
            for name, simulator in services.items():
                key = simulator.world.api_keys[0].key
                airflow.set_connection(name, simulator.url, key, requests_per_minute=10**6)
            yield airflow
