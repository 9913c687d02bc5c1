"""
The simulator for pytest, which loads this module wherever this provider is installed.

So it imports nothing that a session has not got anyway until a test asks for the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_datarecs.simulator import Simulator

MARKER = (
    "datarecs(scenario=None, conn_id='datarecs_default'): what the fixture datarecs_simulator simulates, a"
    " scenario or the path of its file from the test's folder, and the connection that leads to it"
)


def pytest_configure(config: pytest.Config) -> None:
    """
    Register the marker.

    :param config: pytest's configuration
    """
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def datarecs_simulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulator]:
    """
    Run a simulated DataRecs on a free port for one test, and let Airflow's connection lead to it.

    ``@pytest.mark.datarecs(scenario=..., conn_id=...)`` on the test, its class or its module says what is
    simulated (default: the world of ``python -m airflow_provider_datarecs.simulator``) and which connection
    leads there (default ``datarecs_default``).
    """
    marker = request.node.get_closest_marker("datarecs")
    given = (marker.args, marker.kwargs) if marker else ((), {})
    conn_id, simulator = _simulate(request.path.parent, *given[0], **given[1])
    with simulator:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", simulator.connection)
        yield simulator


def _simulate(
    folder: Path, scenario: str | Path | dict[str, Any] | None = None, *, conn_id: str | None = None
) -> tuple[str, Simulator]:
    from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID
    from airflow_provider_datarecs.simulator import Simulator, build_world, load_scenario

    conn_id = conn_id or DEFAULT_CONN_ID
    if scenario is None:
        return conn_id, Simulator()
    world, faults = build_world(scenario) if isinstance(scenario, dict) else load_scenario(folder / scenario)
    return conn_id, Simulator(world, faults)
