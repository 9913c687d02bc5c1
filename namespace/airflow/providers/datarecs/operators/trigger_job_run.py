"""See ``airflow_provider_datarecs.operators.trigger_job_run``."""

from __future__ import annotations

from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator

__all__ = ["TriggerJobRunOperator"]
