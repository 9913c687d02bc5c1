"""The result of a run, in the form that users get it: as the XCom ``run_result`` and from the hook."""

from __future__ import annotations

from enum import Enum
from typing import Any, Dict, Final, List, Optional, TypedDict

RESULT_KEY: Final = "run_result"  # of the XCom
UNREADABLE: Final = "unreadable"  # in a result: the counts that are no whole numbers, and what they came as


class RunStatus(str, Enum):
    """
    The statuses of a run that this provider knows; equal to the plain text, as ``"COMPLETED"``.

    Where DataRecs sends another one, it means that the run goes on.
    """

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    PENDING = "PENDING"
    QUEUED = "QUEUED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"

    __str__ = str.__str__


class _ResultFields(TypedDict):
    status: str
    rows_processed: Optional[int]
    rows_matched: Optional[int]
    rows_unmatched: Optional[int]
    started_at: Any
    completed_at: Any
    error: Any


class JobRunResult(_ResultFields, total=False):
    """
    How a run of a job stands.

    ``status`` is in capitals and empty where DataRecs gives none; counts are None where it gives none;
    ``started_at`` and ``completed_at`` are as DataRecs gives them (ISO 8601), and so is ``error``.
    ``unreadable`` names the counts that came as no whole number, and what they came as; it is there for such
    counts alone.
    """

    unreadable: Dict[str, str]


class RunOfGroup(JobRunResult):
    """How a job's run inside a run of its group stands."""

    job_id: Optional[str]
    run_id: Optional[str]


class RunResult(JobRunResult, total=False):
    """
    How a run of a job or of a job group stands: what ``run_result`` holds.

    The fields are those of :class:`.JobRunResult`, and whose result it is: ``run_id``, ``workspace_id`` and
    ``job_id`` or ``job_group_id``; ``job_name``, ``job_group_name`` and ``workspace_name`` only where
    DataRecs gives them. ``runs`` is there for a job group alone. ``agreed`` is there only where the task has
    a limit on unmatched rows: whether the data agree, None where nobody can say; so are the limits
    themselves, ``max_unmatched_rows`` and ``max_unmatched_ratio``, of which one may be None.
    """

    run_id: str
    workspace_id: str
    job_id: str
    job_group_id: str
    workspace_name: str
    job_name: str
    job_group_name: str
    runs: List[RunOfGroup]
    agreed: Optional[bool]
    max_unmatched_rows: Optional[int]
    max_unmatched_ratio: Optional[float]
