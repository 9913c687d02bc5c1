"""Documented import paths; see ``airflow_provider_datarecs.operators``."""

from __future__ import annotations
