"""The commands, at the only path that Airflow takes them from."""

from __future__ import annotations

from airflow_provider_datarecs.webhooks.cli import get_commands

__all__ = ["get_commands"]
