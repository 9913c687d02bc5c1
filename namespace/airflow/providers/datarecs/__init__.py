"""The documented import paths of the provider; the implementation is ``airflow_provider_datarecs``."""

from __future__ import annotations
