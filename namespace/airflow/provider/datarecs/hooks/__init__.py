"""The hook, where Airflow accepts it from."""

from __future__ import annotations
