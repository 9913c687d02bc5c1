"""The hook's methods that make one call of the API each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Awaitable, Callable, TypeVar

from airflow_provider_datarecs.api.contract import TargetKind

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.results import RunResult
    from airflow_provider_datarecs.api.targets import Target

T = TypeVar("T")

REASON = "Cancelled from Airflow"


class ApiCalls:
    """Give a hook one blocking method for each call of the API; every one raises what ``call`` raises."""

    if TYPE_CHECKING:

        def call(self, ask: Callable[[DataRecsClient], Awaitable[T]]) -> T: ...  # noqa: D102
        def target(self, kind: TargetKind, target_id: str, workspace_id: str) -> Target: ...  # noqa: D102

    def list_workspaces(self) -> list[dict[str, Any]]:
        """List all workspaces that the API key can see."""
        return self.call(lambda client: client.list_workspaces())

    def list_jobs(self, workspace_id: str | None = None) -> list[dict[str, Any]]:
        """
        List jobs.

        :param workspace_id: the workspace whose jobs to list, default all
        """
        return self.call(lambda client: client.list_jobs(workspace_id))

    def find_job(self, *, workspace_name: str, job_name: str) -> dict[str, str]:
        """
        Find a job by names, both exact and case-sensitive, and give its ``job_id`` and ``workspace_id``.

        :param workspace_name: the workspace's name
        :param job_name: the job's name
        :raises AirflowException: when a name is missing or not unique
        """
        from airflow_provider_datarecs.api.names import find_job

        job = self.call(lambda client: find_job(client, workspace_name=workspace_name, job_name=job_name))
        return {"job_id": job.id, "workspace_id": job.workspace_id}

    def start_job_run(
        self, job_id: str, workspace_id: str, *, idempotency_key: str, run_label: str | None = None
    ) -> str:
        """
        Start a run of a job and give the run's id.

        :param job_id: the job's id
        :param workspace_id: the id of its workspace
        :param idempotency_key: the same for every attempt at the same start
        :param run_label: a label for the run, default none
        :raises DataRecsRunUncertain: when the answer is lost, so that the run may or may not exist
        """
        return self._start_run(self.target(TargetKind.JOB, job_id, workspace_id), idempotency_key, run_label)

    def get_job_run(self, job_id: str, workspace_id: str, run_id: str) -> RunResult:
        """
        Get how a run of a job stands, in the form of ``run_result``, whether it is finished or not.

        :param job_id: the job's id
        :param workspace_id: the id of its workspace
        :param run_id: the run's id
        """
        return self._get_run(self.target(TargetKind.JOB, job_id, workspace_id), run_id)

    def cancel_job_run(self, job_id: str, workspace_id: str, run_id: str, *, reason: str = REASON) -> bool:
        """
        Ask DataRecs to cancel a run of a job, which it does in its own time.

        :param job_id: the job's id
        :param workspace_id: the id of its workspace
        :param run_id: the run's id
        :param reason: shown at DataRecs, default ``Cancelled from Airflow``
        :return: False if DataRecs does not offer to cancel this run
        """
        return self._cancel_run(self.target(TargetKind.JOB, job_id, workspace_id), run_id, reason)

    def start_job_group_run(
        self, job_group_id: str, workspace_id: str, *, idempotency_key: str, run_label: str | None = None
    ) -> str:
        """
        Start a run of a job group and give the run's id.

        :param job_group_id: the job group's id
        :param workspace_id: the id of its workspace
        :param idempotency_key: the same for every attempt at the same start
        :param run_label: a label for the run, default none
        :raises DataRecsRunUncertain: when the answer is lost, so that the run may or may not exist
        """
        target = self.target(TargetKind.JOB_GROUP, job_group_id, workspace_id)
        return self._start_run(target, idempotency_key, run_label)

    def get_job_group_run(self, job_group_id: str, workspace_id: str, run_id: str) -> RunResult:
        """
        Get how a run of a job group stands, in the form of ``run_result``, whether it is finished or not.

        :param job_group_id: the job group's id
        :param workspace_id: the id of its workspace
        :param run_id: the run's id
        """
        return self._get_run(self.target(TargetKind.JOB_GROUP, job_group_id, workspace_id), run_id)

    def cancel_job_group_run(
        self, job_group_id: str, workspace_id: str, run_id: str, *, reason: str = REASON
    ) -> bool:
        """
        Ask DataRecs to cancel a run of a job group, which it does in its own time.

        :param job_group_id: the job group's id
        :param workspace_id: the id of its workspace
        :param run_id: the run's id
        :param reason: shown at DataRecs, default ``Cancelled from Airflow``
        :return: False if DataRecs does not offer to cancel this run
        """
        return self._cancel_run(self.target(TargetKind.JOB_GROUP, job_group_id, workspace_id), run_id, reason)

    def _start_run(self, target: Target, idempotency_key: str, run_label: str | None) -> str:
        return self.call(
            lambda client: client.start_run(target, idempotency_key=idempotency_key, run_label=run_label)
        )

    def _get_run(self, target: Target, run_id: str) -> RunResult:
        return self.call(lambda client: client.get_run(target, run_id)).result

    def _cancel_run(self, target: Target, run_id: str, reason: str) -> bool:
        return self.call(lambda client: client.cancel_run(target, run_id, reason=reason))
