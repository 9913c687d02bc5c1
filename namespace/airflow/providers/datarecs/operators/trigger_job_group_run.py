"""See ``airflow_provider_datarecs.operators.trigger_job_group_run``."""

from __future__ import annotations

from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator

__all__ = ["TriggerJobGroupRunOperator"]
