"""See ``airflow_provider_datarecs.operators.list_jobs``."""

from __future__ import annotations

from airflow_provider_datarecs.operators.list_jobs import ListJobsOperator

__all__ = ["ListJobsOperator"]
