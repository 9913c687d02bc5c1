"""Gives tasks the hook on their connection, and the link to their run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.provider.datarecs.links.run import XCOM_KEY

from airflow_provider_datarecs.compat import AirflowTaskTimeout

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.compat import Context
    from airflow_provider_datarecs.hooks.datarecs import DataRecsHook


class HookMixin:
    """Give a task the hook on its connection, made when it is first used."""

    conn_id: str

    # What the link leads to, None where an earlier process of the task has kept it.
    run_url: str | None = ""
    _hook: DataRecsHook | None = None

    @property
    def hook(self) -> DataRecsHook:
        """The hook on this task's connection."""
        from airflow_provider_datarecs.hooks.datarecs import DataRecsHook

        # A DAG file may ask for it before templates are rendered.
        if self._hook is None or self._hook.conn_id != str(self.conn_id):
            self._hook = DataRecsHook(conn_id=self.conn_id)
        return self._hook

    def push_link(self, context: Context, target: Target, run_id: str) -> None:
        """
        Keep the URL of the task's run for the link on its page, where the connection has a ``console_url``.

        :param context: the task's context
        :param target: the job or job group
        :param run_id: the run's id
        """
        self.run_url = self.url_of(target, run_id)
        if self.run_url:
            context["ti"].xcom_push(key=XCOM_KEY, value=self.run_url)

    def url_of(self, target: Target, run_id: str) -> str:
        """
        Give the URL at which users look at a run, empty where there is none.

        :param target: the job or job group
        :param run_id: the run's id
        """
        try:
            return self.hook.run_url(target, run_id) or ""
        except AirflowTaskTimeout:
            raise
        except Exception:  # noqa: BLE001 - a connection that cannot be read; no link is worth a task's failure
            return ""
