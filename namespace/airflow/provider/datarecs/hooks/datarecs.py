"""See ``airflow_provider_datarecs.hooks.datarecs``."""

from __future__ import annotations

from airflow_provider_datarecs.hooks.datarecs import DataRecsHook

__all__ = ["DataRecsHook"]
