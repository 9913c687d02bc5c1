"""Jobs and runs of the simulated DataRecs: how they go on, by the clock or by how often somebody asks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_datarecs.api import contract

DERIVED: Any = "derived"  # a count that follows from the others
USUAL_ROWS = 1000


@dataclass
class Plan:
    """
    How the runs of a job go: by the clock, or with ``polls`` by how often somebody asks::

        Plan(status="FAILED", polls=3)  # RUNNING, RUNNING, FAILED
        Plan(running=0.5, rows_unmatched=10)  # half a second, and ten of a thousand rows did not match

    :param status: how they end
    :param queued: seconds before they run
    :param running: seconds they run
    :param rows_processed: how many rows a run that ends COMPLETED has compared, None to leave the count out;
        default what the other two make, or 1000, or more if one of them is
    :param rows_matched: how many of them matched, None to leave the count out; default the rest
    :param rows_unmatched: how many did not, None to leave the count out; default the rest
    :param error: what a run that does not complete tells: a string, an object or None
    :param hidden: seconds for which a new run answers 404
    :param queued_status: what they are before they run
    :param polls: how many answers must show a run, by itself or in a list, for the last of them to show its
        end; ``queued`` and ``running`` do not count then; default None, by the clock
    """

    status: str = contract.COMPLETED
    queued: float = 0.5
    running: float = 2.0
    rows_processed: int | None = DERIVED
    rows_matched: int | None = DERIVED
    rows_unmatched: int | None = DERIVED
    error: Any = None
    hidden: float = 0.0
    queued_status: str = "QUEUED"
    polls: int | None = None

    def __post_init__(self) -> None:
        self.rows_processed, self.rows_matched, self.rows_unmatched = _add_up(
            self.rows_processed, self.rows_matched, self.rows_unmatched
        )


@dataclass
class Job:
    """A job or, with ``job_ids``, a job group."""

    id: str
    name: str
    workspace_id: str
    plan: Plan = field(default_factory=Plan)
    job_ids: list[str] = field(default_factory=list)


@dataclass
class Run:
    """A run of a job, or with ``parts`` one of a job group."""

    id: str
    owner: Job
    plan: Plan
    created_at: float
    label: str | None = None
    idempotency_key: str | None = None
    cancelled_at: float | None = None
    parts: list[Run] = field(default_factory=list)
    polled: int = 0
    ended_at: float | None = None

    def status(self, now: float) -> str:
        """Give the status at a time."""
        if self.parts:
            statuses = [part.status(now) for part in self.parts]
            ending = (contract.FAILED, contract.CANCELLED)
            if all(status in contract.TERMINAL for status in statuses):
                return next((status for status in ending if status in statuses), contract.COMPLETED)
            return "RUNNING"
        if self.cancelled_at is not None and self.cancelled_at < self.ends_at:
            return contract.CANCELLED
        if now < self.starts_at:
            return self.plan.queued_status
        return "RUNNING" if now < self.ends_at else self.plan.status

    @property
    def starts_at(self) -> float:
        """When the run starts to run, in epoch seconds."""
        return self.created_at + (self.plan.queued if self.plan.polls is None else 0.0)

    @property
    def ends_at(self) -> float:
        """When the run ends unless it is cancelled, in epoch seconds; infinite while nobody knows."""
        if self.parts:
            return max(part.ends_at for part in self.parts)
        if self.ended_at is not None:
            return self.ended_at
        return math.inf if self.plan.polls is not None else self.starts_at + self.plan.running

    @property
    def over_at(self) -> float:
        """When the run ends or is cancelled, in epoch seconds; infinite while nobody knows."""
        if self.parts:
            return max(part.over_at for part in self.parts)
        return min(self.ends_at, math.inf if self.cancelled_at is None else self.cancelled_at)

    def end(self, now: float) -> None:
        """End the run at a time as its plan says, unless it has ended."""
        if now < self.over_at:
            self.ended_at = max(now, self.starts_at)

    def count_poll(self, now: float) -> None:
        """Count that an answer shows the run, and end it if its plan says so."""
        for one in (self, *self.parts):
            one.polled += 1
            if one.plan.polls is not None and one.polled >= one.plan.polls:
                one.end(now)


def _add_up(
    processed: int | None, matched: int | None, unmatched: int | None
) -> tuple[int | None, int | None, int | None]:
    """Give the counts of a plan, with those that are to be derived made such that they add up."""
    total = processed
    if total in (None, DERIVED):
        parts = [count for count in (matched, unmatched) if count not in (None, DERIVED)]
        total = sum(parts) if len(parts) > 1 else max([USUAL_ROWS, *parts])
    if unmatched == DERIVED:
        unmatched = 0 if matched in (None, DERIVED) else max(0, total - matched)
    if matched == DERIVED:
        matched = max(0, total - (unmatched or 0))
    return total if processed == DERIVED else processed, matched, unmatched
