"""Tell of each run of a job that has ended, whoever has started it: for DAGs that start by it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, AsyncContextManager, AsyncIterator, Callable, Dict, List, Sequence

from airflow.triggers.base import TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_datarecs.agreement import UnmatchedLimits
from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import DataRecsError
from airflow_provider_datarecs.api.targets import Target, check_choice
from airflow_provider_datarecs.compat.event_triggers import BaseEventTrigger, asset_state
from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.trigger_log import LogMixin
from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.runs import Run
    from airflow_provider_datarecs.polling.ended_runs import EndedRuns
    from airflow_provider_datarecs.polling.lookup import Answer
    from airflow_provider_datarecs.polling.poller import Poller

    Known = Dict[str, List[str]]
    PollerOf = Callable[[str], AsyncContextManager[Poller]]

STATE_KEY = "datarecs_runs"


class DataRecsRunTrigger(LogMixin, BaseEventTrigger):
    """
    Fire each time that a run of a job or job group has ended: the trigger of an ``AssetWatcher``, from
    Airflow 3.0 on. On 2.x, :class:`.JobNextRunSensor` waits for the next run.

    Each event has ``run_id``, ``job_id`` or ``job_group_id``, ``workspace_id``, ``status``, ``agreed`` (None
    without limits) and ``result``, the run's ``run_result``. What had ended before the asset was first
    watched is not told.

    From Airflow 3.3 on, what was told is kept with the asset: a restart of the triggerer loses no run, and
    tells of one twice only where it was killed within seconds of telling. Before, there is no place for that:
    what ends while no triggerer runs is not told.

    :param workspace_id: the id of the workspace
    :param job_id: the job's id; default None, and then ``job_group_id`` is given
    :param job_group_id: the job group's id, default None
    :param statuses: how runs must have ended, of COMPLETED, FAILED and CANCELLED, default COMPLETED alone
    :param max_unmatched_rows: tell only of runs in which no more rows are unmatched, default any number
    :param max_unmatched_ratio: tell only of runs in which no greater part of the rows is unmatched, 0 to 1,
        default any
    :param conn_id: the DataRecs connection, default ``datarecs_default``
    :param poke_interval: seconds between two polls, default 60; where webhooks are on, an event has the job
        polled at once
    :raises ValueError: when an argument cannot be right
    """

    def __init__(
        self,
        *,
        workspace_id: str,
        job_id: str | None = None,
        job_group_id: str | None = None,
        statuses: Sequence[str] = (contract.COMPLETED,),
        max_unmatched_rows: int | None = None,
        max_unmatched_ratio: float | None = None,
        conn_id: str = DEFAULT_CONN_ID,
        poke_interval: float = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.workspace_id = workspace_id
        self.job_id = job_id
        self.job_group_id = job_group_id
        self.statuses = list(statuses)
        self.max_unmatched_rows = max_unmatched_rows
        self.max_unmatched_ratio = max_unmatched_ratio
        self.conn_id = conn_id
        self.poke_interval = poke_interval
        # No template reaches a trigger of this kind, so what cannot be right is seen as the DAG is parsed.
        if (job_id is None) == (job_group_id is None):
            raise ValueError("DataRecsRunTrigger takes either job_id or job_group_id")
        _ = self._target
        for status in self.statuses:
            check_choice("statuses", status, tuple(sorted(contract.TERMINAL)))
        self._limits = UnmatchedLimits.of(self)
        self._problem: type[DataRecsError] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class path and the arguments that make this trigger again; no secret is among them."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "workspace_id": self.workspace_id,
            "job_id": self.job_id,
            "job_group_id": self.job_group_id,
            "statuses": self.statuses,
            "max_unmatched_rows": self.max_unmatched_rows,
            "max_unmatched_ratio": self.max_unmatched_ratio,
            "conn_id": self.conn_id,
            "poke_interval": self.poke_interval,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire the event of each run that ends, for ever."""
        # Off the event loop, as in RunTrigger: the first trigger of a triggerer imports aiohttp here.
        poller_of = await sync_to_async(_load_poller_of)()
        from airflow_provider_datarecs.polling.ended_runs import EndedRuns

        state = asset_state(self)
        known = await self._kept(state)
        async with poller_of(self.conn_id) as poller:
            poller.refresh_soon()
            ended = EndedRuns(poller, self._target, known)
            watch = poller.waits.watch(self._target, self.poke_interval)
            try:
                while True:
                    for run in await self._read(ended, await watch.next()):
                        is_wanted = self._is_wanted(run)
                        if is_wanted:
                            yield TriggerEvent(self._event_of(run))  # type: ignore[no-untyped-call]
                            # What is lost with a triggerer before that is told again.
                            await asyncio.sleep(config.current().told_after)
                        ended.note_told(run)
                        if is_wanted:
                            known = await self._keep(state, ended, known)
                    known = await self._keep(state, ended, known)
            finally:
                poller.waits.end_watch(self._target, watch)

    async def _read(self, ended: EndedRuns, answer: Answer | None) -> list[Run]:
        """Give the runs that have ended since the last time; none where they cannot be seen just now."""
        from airflow_provider_datarecs.api.parsing import Page

        problem = answer if isinstance(answer, DataRecsError) else None
        runs: list[Run] = []
        try:
            runs = await ended.read(answer) if isinstance(answer, Page) else []
        except DataRecsError as error:
            problem = error
        if problem is None and self._problem:
            self.log.info("The runs of %s can be seen again", self._target)
        elif problem is not None and type(problem) is not self._problem:
            self.log.warning(
                "The runs of %s cannot be seen: %s. What ends meanwhile is told later", self._target, problem
            )
        self._problem = None if problem is None else type(problem)
        return runs

    def _is_wanted(self, run: Run) -> bool:
        return run.status in self.statuses and (not self._limits.are_set or self._agree(run))

    def _agree(self, run: Run) -> bool:
        over, missing = self._limits.judge(run.result)
        return not over and not missing

    def _event_of(self, run: Run) -> dict[str, Any]:
        return {
            self._target.kind.id_field: self._target.id,
            "workspace_id": self.workspace_id,
            "run_id": run.id,
            "status": run.status,
            "agreed": self._agree(run) if self._limits.are_set else None,
            "result": run.result,
        }

    async def _kept(self, state: Any) -> Known | None:
        """Give what an earlier process of this trigger has kept."""
        while state is not None:
            try:
                known = await state.aget(STATE_KEY)
            except Exception:  # noqa: PERF203 - going on without would lose what has ended meanwhile
                self.log.exception("What was told of the runs of %s cannot be read yet", self._target)
                await asyncio.sleep(config.current().max_sleep)
            else:
                return known if isinstance(known, dict) else None
        return None

    async def _keep(self, state: Any, ended: EndedRuns, kept: Known | None) -> Known | None:
        """Keep what is known by now, unless it is kept, and give what is kept then."""
        known = ended.known
        if state is None or known == kept:
            return kept
        try:
            await state.aset(STATE_KEY, known)
        except Exception:
            self.log.exception("Airflow cannot keep which runs of %s were told; trying again", self._target)
            return kept
        return known

    @property
    def _target(self) -> Target:
        if self.job_id is not None:
            return Target(TargetKind.JOB, self.job_id, self.workspace_id)
        return Target(TargetKind.JOB_GROUP, str(self.job_group_id), self.workspace_id)


def _load_poller_of() -> PollerOf:
    import airflow_provider_datarecs.polling.ended_runs  # noqa: F401 - so that it is there
    from airflow_provider_datarecs.polling.poller import poller_of

    return poller_of
