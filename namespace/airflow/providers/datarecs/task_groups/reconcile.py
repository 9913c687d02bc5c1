"""See ``airflow_provider_datarecs.task_groups.reconcile``."""

from __future__ import annotations

from airflow_provider_datarecs.task_groups.reconcile import reconcile

__all__ = ["reconcile"]
