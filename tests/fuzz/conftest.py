from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, so that a change that fails is to blame for it.
settings.register_profile(
    "same",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("same")


@pytest.fixture
def check_storable():
    """Check that Airflow can store a value and pass it on: as UTF-8, with integers of 64 bits at most."""

    def check(value):
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        check_numbers(value)

    def check_numbers(value):
        if isinstance(value, dict):
            assert all(type(key) is str for key in value)
            value = list(value.values())
        if isinstance(value, list):
            for entry in value:
                check_numbers(entry)
        elif isinstance(value, int):
            assert -(2**63) <= value < 2**63

    return check
