"""Documented import paths; see ``airflow_provider_datarecs.hooks``."""

from __future__ import annotations
