"""A pytest fixture that runs the simulator; name this module in ``pytest_plugins`` of a conftest."""

from __future__ import annotations

from typing import Iterator

import pytest

from airflow_provider_datarecs.simulator.server import Simulator


@pytest.fixture
def datarecs_simulator() -> Iterator[Simulator]:
    """Run a simulated DataRecs on a free port for one test."""
    with Simulator() as simulator:
        yield simulator
