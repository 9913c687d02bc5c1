"""Documented import paths; see ``airflow_provider_datarecs.sensors``."""

from __future__ import annotations
