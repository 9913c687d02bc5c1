"""See ``airflow_provider_datarecs.task_groups``."""

from __future__ import annotations
