"""See ``airflow_provider_datarecs.operators.list_workspaces``."""

from __future__ import annotations

from airflow_provider_datarecs.operators.list_workspaces import ListWorkspacesOperator

__all__ = ["ListWorkspacesOperator"]
