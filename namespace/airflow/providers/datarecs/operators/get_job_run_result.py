"""See ``airflow_provider_datarecs.operators.get_job_run_result``."""

from __future__ import annotations

from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator

__all__ = ["GetJobRunResultOperator"]
