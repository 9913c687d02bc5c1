"""See ``airflow_provider_datarecs.api.results`` and ``airflow_provider_datarecs.summary``."""

from __future__ import annotations

from airflow_provider_datarecs.api.results import RunResult, RunStatus
from airflow_provider_datarecs.summary import summarize

__all__ = ["RunResult", "RunStatus", "summarize"]
