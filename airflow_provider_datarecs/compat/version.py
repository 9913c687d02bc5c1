"""
Which Airflow this is, and what the provider info must know of it.

Airflow reads the provider info while it is being imported, so nothing here needs more of it than its version.
"""

from __future__ import annotations


def airflow_version() -> tuple[int, ...]:
    """Give the first two parts of Airflow's version."""
    from airflow import __version__

    return tuple(int(part) for part in __version__.split(".")[:2])


def pages_test_no_connection_without_a_port() -> bool:
    """Say whether Airflow's pages answer Bad Request to a test of a connection whose Port is empty."""
    # The list of connections of 3.0 to 3.3 has it tested with port 0. 3.3 alone takes that for another host,
    # to which it sends no stored password; 3.4 takes it for none.
    return airflow_version() == (3, 3)
