"""Wait for a run of a job group, on the triggerer."""

from __future__ import annotations

from typing import Any

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.triggers.base import RunTrigger


class JobGroupRunTrigger(RunTrigger):
    """
    Wait for a run of a job group.

    :param job_group_id: the job group's id; the other arguments are those of :class:`.RunTrigger`
    """

    kind = TargetKind.JOB_GROUP

    def __init__(self, *, job_group_id: str, **kwargs: Any) -> None:
        super().__init__(target_id=job_group_id, **kwargs)
