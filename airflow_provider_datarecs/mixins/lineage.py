"""Tells OpenLineage which run a task is about, without importing any of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_datarecs.api import contract

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.results import RunResult
    from airflow_provider_datarecs.api.targets import Target

# What others learn of a result: OpenLineage, and those who wait for an asset.
REPORTED_FIELDS = ("status", *contract.COUNTS, "started_at", "completed_at")


class LineageMixin:
    """
    Keep which run at DataRecs a task is about, for Airflow's OpenLineage provider to ask for.

    Airflow calls these methods on workers, where that provider is installed and switched on; nobody else
    does.
    """

    conn_id: str
    _lineage: tuple[Target, str, RunResult | None] | None = None

    def note_run(self, target: Target, run_id: str, result: RunResult | None = None) -> None:
        """
        Keep the run.

        :param target: the job or job group
        :param run_id: the run's id
        :param result: its ``run_result``, if there is one
        """
        self._lineage = target, run_id, result if isinstance(result, dict) else None

    def get_openlineage_facets_on_start(self) -> Any:
        """Give what is known when the task starts, which is nothing: its templates may not be rendered."""
        from airflow_provider_datarecs.openlineage import nothing

        return nothing()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002
        """
        Give the facets of the run, also where the task has failed.

        :param task_instance: the task instance, as Airflow's OpenLineage provider gives it
        """
        from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
        from airflow_provider_datarecs.openlineage import lineage_of, nothing

        if self._lineage is None:
            return nothing()
        source = DataRecsHook(conn_id=self.conn_id).get_settings().base_url
        return lineage_of(*self._lineage, source=source)
