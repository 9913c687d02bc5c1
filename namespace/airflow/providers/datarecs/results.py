"""See ``airflow_provider_datarecs.api.results``."""

from __future__ import annotations

from airflow_provider_datarecs.api.results import RunResult, RunStatus

__all__ = ["RunResult", "RunStatus"]
