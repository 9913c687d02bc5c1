"""What exists at the simulated DataRecs: who is let in, and which workspaces, jobs and runs there are."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator.rate_limit import RateLimit
from airflow_provider_datarecs.simulator.runs import Job, Plan, Run

if TYPE_CHECKING:
    from airflow_provider_datarecs.simulator.webhooks import Webhook


@dataclass
class ApiKey:
    """
    An API key that is let in.

    :param key: the key
    :param read_only: answer 403 to everything that starts or cancels a run
    """

    key: str
    read_only: bool = False


@dataclass
class Behaviour:
    """
    Where the contract leaves the service a choice, the one it takes.

    :param key_style: ``snake`` or ``camel``
    :param list_style: ``items``, ``data`` or ``bare``
    :param paging: ``cursor`` or ``url``
    :param page_size: items on a page
    :param run_id_in: where a trigger's answer has the run's id: ``run_id``, ``id``, ``run``, ``data`` or
        ``nowhere``
    :param filters_jobs: whether the list of jobs knows ``workspace_id``
    :param honours_idempotency_key: whether a repeated key gives the run of the first request
    :param echoes_label: whether runs show their ``run_label``
    :param offers_cancel: whether a run can be cancelled
    :param group_totals: whether a group run has counts, times and a status of its own
    """

    key_style: str = "snake"
    list_style: str = "items"
    paging: str = "cursor"
    page_size: int = 50
    run_id_in: str = "run_id"
    filters_jobs: bool = True
    honours_idempotency_key: bool = True
    echoes_label: bool = True
    offers_cancel: bool = True
    group_totals: bool = False


class World:
    """
    Hold all that exists, and start, show and cancel runs.

    :param api_keys: the keys that are let in, default one: ``demo-key``
    :param rate_limit: default 100 requests in a fixed minute
    :param behaviour: the choices that the contract leaves
    :param webhooks: to which events about the ends of runs are posted; may be changed at any time
    :param clock: gives epoch seconds
    """

    def __init__(
        self,
        *,
        api_keys: list[ApiKey] | None = None,
        rate_limit: RateLimit | None = None,
        behaviour: Behaviour | None = None,
        webhooks: list[Webhook] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.api_keys = api_keys if api_keys is not None else [ApiKey("demo-key")]
        self.rate_limit = rate_limit or RateLimit()
        self.behaviour = behaviour or Behaviour()
        self.webhooks = webhooks if webhooks is not None else []
        self.clock = clock
        self.workspaces: dict[str, dict[str, Any]] = {}
        self.owners: dict[TargetKind, dict[str, Job]] = {TargetKind.JOB: {}, TargetKind.JOB_GROUP: {}}
        self.runs: dict[TargetKind, list[Run]] = {TargetKind.JOB: [], TargetKind.JOB_GROUP: []}
        self._by_idempotency_key: dict[str, Run] = {}
        self._numbers = itertools.count(1)

    def add_workspace(self, workspace_id: str, name: str, **more: Any) -> None:
        """Add a workspace, with any further fields."""
        self.workspaces[workspace_id] = {"id": workspace_id, "name": name, **more}

    def add_job(self, job_id: str, name: str, workspace_id: str, plan: Plan | None = None) -> None:
        """Add a job whose runs go by a plan."""
        self.owners[TargetKind.JOB][job_id] = Job(job_id, name, workspace_id, plan or Plan())

    def add_job_group(self, job_group_id: str, name: str, workspace_id: str, job_ids: list[str]) -> None:
        """Add a group of jobs that exist."""
        group = Job(job_group_id, name, workspace_id, job_ids=job_ids)
        self.owners[TargetKind.JOB_GROUP][job_group_id] = group

    def plan_runs(self, job_id: str, plan: Plan) -> None:
        """
        Let the runs of a job that start from now on go by another plan.

        :param job_id: the job's id
        :param plan: how they go
        :raises LookupError: when there is no such job
        """
        job = self.owners[TargetKind.JOB].get(job_id)
        if job is None:
            raise LookupError(f"there is no job {job_id!r}, only {', '.join(self.owners[TargetKind.JOB])}")
        job.plan = plan

    def owner(self, kind: TargetKind, owner_id: str, workspace_id: str | None) -> Job | None:
        """Give a job or job group of a workspace, None if there is none."""
        found = self.owners[kind].get(owner_id)
        return found if found and workspace_id in (None, found.workspace_id) else None

    def start_run(
        self, kind: TargetKind, owner: Job, *, label: str | None = None, idempotency_key: str | None = None
    ) -> Run:
        """Start a run, or give the one that an idempotency key has started before."""
        if idempotency_key and self.behaviour.honours_idempotency_key:
            known = self._by_idempotency_key.get(idempotency_key)
            if known:
                return known
        parts = [
            self.start_run(TargetKind.JOB, self.owners[TargetKind.JOB][job_id], label=label)
            for job_id in owner.job_ids
        ]
        run = Run(
            f"run_{next(self._numbers):06d}",
            owner,
            owner.plan,
            self.clock(),
            label,
            idempotency_key,
            parts=parts,
        )
        self.runs[kind].append(run)
        if idempotency_key:
            self._by_idempotency_key[idempotency_key] = run
        return run

    def history(self, kind: TargetKind, owner: Job) -> list[Run]:
        """Give the runs of a job or job group that can be seen, newest first."""
        now = self.clock()
        return [
            run
            for run in reversed(self.runs[kind])
            if run.owner is owner and now >= run.created_at + run.plan.hidden
        ]

    def finish_runs(self, job_id: str) -> None:
        """End all runs of a job now, as their plan says."""
        for run in self.runs[TargetKind.JOB]:
            if run.owner.id == job_id:
                run.end(self.clock())

    def cancel(self, run: Run) -> None:
        """Cancel a run and all its parts, unless they have ended."""
        for part in (run, *run.parts):
            part.cancelled_at = part.cancelled_at or self.clock()

    def show(self, kind: TargetKind, run: Run) -> dict[str, Any]:
        """Give a run as an answer shows it, with keys in snake_case; this counts as no poll."""
        now = self.clock()
        status, plan = run.status(now), run.plan
        ended = status not in (plan.queued_status, "RUNNING")
        started = run.starts_at <= min(now, run.cancelled_at or now)
        shown: dict[str, Any] = {
            "id": run.id,
            kind.id_field: run.owner.id,
            "workspace_id": run.owner.workspace_id,
        }
        if self.behaviour.echoes_label:
            shown["run_label"] = run.label
        if run.parts:
            shown["runs"] = [self.show(TargetKind.JOB, part) for part in run.parts]
            if not self.behaviour.group_totals:
                return shown
        shown["status"] = status
        shown["started_at"] = _iso(run.starts_at) if started else None
        shown["completed_at"] = _iso(run.over_at) if ended else None
        shown["error"] = plan.error if ended and status != contract.COMPLETED else None
        if status == contract.COMPLETED:
            shown.update(self._counts(run))
        return shown

    def _counts(self, run: Run) -> dict[str, int]:
        plans = [part.plan for part in run.parts] or [run.plan]
        counts = {name: [getattr(plan, name) for plan in plans] for name in contract.COUNTS}
        return {name: sum(values) for name, values in counts.items() if None not in values}


def _iso(moment: float) -> str:
    return (
        datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
