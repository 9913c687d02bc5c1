"""See ``airflow_provider_datarecs.sensors.job_run``."""

from __future__ import annotations

from airflow_provider_datarecs.sensors.job_run import JobRunSensor

__all__ = ["JobRunSensor"]
