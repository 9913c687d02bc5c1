"""See ``airflow_provider_datarecs.operators.trigger_job_run_by_name``."""

from __future__ import annotations

from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator

__all__ = ["TriggerJobRunByNameOperator"]
