"""Wait for a run of a job, on the triggerer."""

from __future__ import annotations

from typing import Any

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.triggers.base import RunTrigger


class JobRunTrigger(RunTrigger):
    """
    Wait for a run of a job.

    :param job_id: the job's id; the other arguments are those of :class:`.RunTrigger`
    """

    kind = TargetKind.JOB

    def __init__(self, *, job_id: str, **kwargs: Any) -> None:
        super().__init__(target_id=job_id, **kwargs)
