"""See ``airflow_provider_datarecs.sensors.job_group_run``."""

from __future__ import annotations

from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor

__all__ = ["JobGroupRunSensor"]
