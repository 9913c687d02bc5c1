"""See ``airflow_provider_datarecs.triggers.run_ended``."""

from __future__ import annotations

from airflow_provider_datarecs.triggers.run_ended import DataRecsRunTrigger

__all__ = ["DataRecsRunTrigger"]
