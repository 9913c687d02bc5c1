"""See ``airflow_provider_datarecs.sensors.job_next_run``."""

from __future__ import annotations

from airflow_provider_datarecs.sensors.job_next_run import JobNextRunSensor

__all__ = ["JobNextRunSensor"]
