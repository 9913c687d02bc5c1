"""Documented import paths; see ``airflow_provider_datarecs.triggers``."""

from __future__ import annotations
