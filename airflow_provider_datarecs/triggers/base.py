"""What all DataRecs triggers share."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, AsyncIterator, Awaitable, Callable, ClassVar, Sequence

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.compat import TRIGGERS_ARE_TOLD_OF_KILLS
from airflow_provider_datarecs.polling import config, reruns
from airflow_provider_datarecs.polling.events import TIMEOUT
from airflow_provider_datarecs.polling.monitor import RunMonitor, WaitSpec
from airflow_provider_datarecs.polling.settings import freeze_waits, heartbeat_interval
from airflow_provider_datarecs.polling.trigger_log import LogMixin, log_written
from airflow_provider_datarecs.triggers.ending import end_task

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.contract import TargetKind
    from airflow_provider_datarecs.polling.durations import KnownRun
    from airflow_provider_datarecs.polling.events import Event

    WaitFor = Callable[[RunMonitor, Callable[[int], float], float], Awaitable[Event]]
    CancelIfKilled = Callable[..., Awaitable[None]]

_at_work: set[asyncio.Task[None]] = set()  # the event loop alone keeps no task alive


class RunTrigger(LogMixin, BaseTrigger):
    """
    Wait for a run on the triggerer, and fire once: when it ends, when the time is over, or when DataRecs
    refuses.

    The arguments are stored with the deferred task and outlive upgrades: they are only ever added, with
    defaults.

    :param target_id: the id of the job or job group
    :param workspace_id: the id of its workspace
    :param run_id: the run's id
    :param conn_id: the connection's id
    :param poke_interval: seconds between two polls, at least 1
    :param since: epoch seconds at which the wait began
    :param deadline: epoch seconds at which it ends, after one last poll
    :param exponential_backoff: double the interval after each poll, default False
    :param max_wait: the longest interval that this leads to in seconds, default no limit
    :param limit: which of the task's limits the deadline comes from, default its ``timeout``
    :param cancel_run_on_kill: cancel the run when a user kills, clears or marks the task, default False
    :param earlier_run_ids: the runs that the task has waited for before this one, default none
    :param rerun_delay: seconds from the run's end until the task is told that it FAILED, since it then starts
        the next one; default None, where it starts none
    :param ending: how to end the task here if the run is COMPLETED; default None, where a worker ends it
    :param worker_took: seconds from the task's start to its deferral, default 0
    :param last_run: the last run of the same job that has ended, with its ``run_id``, when it ``ended``, in
        epoch seconds, and how many ``seconds`` it took; default None, where none is known
    """

    kind: ClassVar[TargetKind]
    was_deferred = True  # by a worker, whose executor has yet to report that
    _wait_for: ClassVar[WaitFor | None] = None  # the poller's, once it is loaded

    def __init__(
        self,
        *,
        target_id: str,
        workspace_id: str,
        run_id: str,
        conn_id: str,
        poke_interval: float,
        since: float,
        deadline: float,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
        limit: str = TIMEOUT,
        cancel_run_on_kill: bool = False,
        earlier_run_ids: Sequence[str] = (),
        rerun_delay: float | None = None,
        ending: dict[str, Any] | None = None,
        worker_took: float = 0.0,
        last_run: KnownRun | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.target_id = target_id
        self.workspace_id = workspace_id
        self.run_id = run_id
        self.conn_id = conn_id
        self.poke_interval = poke_interval
        self.since = since
        self.deadline = deadline
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self.limit = limit
        self.cancel_run_on_kill = cancel_run_on_kill
        self.earlier_run_ids = list(earlier_run_ids)
        self.rerun_delay = rerun_delay
        self.ending = ending
        self.worker_took = worker_took
        self.last_run = last_run
        self._has_fired = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class path and the arguments that make this trigger again; no secret is among them."""
        arguments = {
            self.kind.id_field: self.target_id,
            "workspace_id": self.workspace_id,
            "run_id": self.run_id,
            "conn_id": self.conn_id,
            "poke_interval": self.poke_interval,
            "since": self.since,
            "deadline": self.deadline,
            "exponential_backoff": self.exponential_backoff,
            "max_wait": self.max_wait,
            "limit": self.limit,
            "cancel_run_on_kill": self.cancel_run_on_kill,
        }
        # Not where there are none, so that triggerers of the release before take the rest.
        if self.earlier_run_ids or self.rerun_delay is not None:
            arguments.update(earlier_run_ids=self.earlier_run_ids, rerun_delay=self.rerun_delay)
        if self.ending is not None:
            arguments.update(ending=self.ending)
        if self.worker_took:
            arguments.update(worker_took=self.worker_took)
        if self.last_run is not None:
            arguments.update(last_run=self.last_run)
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Leave the arguments as they are: Airflow 3.3 asks the trigger of a task that may start from one."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire the one event that the wait ends with."""
        try:
            # Nothing of what begins the wait is kept while it lasts: there may be ten thousand.
            event = await (await self._begin())
        except asyncio.CancelledError:
            if not TRIGGERS_ARE_TOLD_OF_KILLS:
                await self._cancel_run_if_killed()
            raise
        self._has_fired = True
        await self._hold(event)
        event, ended = reruns.with_earlier(event, self.earlier_run_ids), None
        if self.ending is not None:
            ended = await end_task(
                event, self._target, self.run_id, self.ending, ti=self.task_instance, log=self.log
            )
        await log_written()
        yield ended or TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Cancel the run if a user has ended the task; Airflow 3.3 and later call it, and not only then."""
        await self._cancel_run_if_killed()

    async def _cancel_run_if_killed(self) -> None:
        # At the deadline it may be Airflow's own timeout that ends the deferral.
        is_over = self._has_fired or time.time() >= self.deadline
        if not self.cancel_run_on_kill or is_over or self.task_instance is None:
            return
        # Shielded, since Airflow cancels a trigger again a second later.
        work = asyncio.get_running_loop().create_task(self._ask_and_cancel())
        _at_work.add(work)
        work.add_done_callback(_at_work.discard)
        await asyncio.shield(work)

    async def _ask_and_cancel(self) -> None:
        cancel_if_killed = await sync_to_async(_load_cancel_if_killed)()
        await cancel_if_killed(
            self._target,
            self.run_id,
            conn_id=self.conn_id,
            ti=self.task_instance,
            trigger_id=self.trigger_id,
            log=self.log,
        )
        await log_written()

    async def _begin(self) -> Awaitable[Event]:
        """Give the wait, which goes on as it is awaited."""
        # Off the event loop: the first wait of a triggerer imports aiohttp and the hook here, which
        # takes tenths of a second and reads files. Not at the top, since a worker that defers needs none
        # of it. Not from sys.modules either, where it is before it is whole.
        if RunTrigger._wait_for is None:
            RunTrigger._wait_for = await sync_to_async(_load_wait_for)()
        pause = max(0.0, min(self._until_first_poll(), self.deadline - time.time()))
        self.log.info(
            "A triggerer has taken up the wait for %s, which began %s ago; first poll in %.0f s",
            self._target.name_run(self.run_id),
            timedelta(seconds=max(0, round(time.time() - self.since))),
            pause,
        )
        monitor = RunMonitor(self._wait_spec(), first_poll=time.time() + pause)
        return RunTrigger._wait_for(monitor, self._interval, pause)

    def _wait_spec(self) -> WaitSpec:
        return WaitSpec(
            self._target,
            self.run_id,
            conn_id=self.conn_id,
            log=self.log,
            since=self.since,
            deadline=self.deadline,
            limit=self.limit,
            last_run=self.last_run,
        )

    async def _hold(self, event: Event) -> None:
        """Keep the event of a run that FAILED until the next one is to be started."""
        if self.rerun_delay is None or not reruns.has_failed(event):
            return
        now = time.time()
        due = reruns.due_at(event, self.rerun_delay, now)
        if now < due < self.deadline:
            span, name = timedelta(seconds=round(due - now)), self._target.name_run(self.run_id)
            self.log.info("FAILED, started anew in %s: %s", span, name)
            await asyncio.sleep(due - now)

    @property
    def _target(self) -> Target:
        return Target(self.kind, self.target_id, self.workspace_id)

    def _until_first_poll(self) -> float:
        # Every triggerer tells a trigger of its task. Where nobody does, dag.test() runs it in the task's own
        # process, and no executor takes part that an event could race.
        is_alone, numbers = self.task_instance is None or not self.was_deferred, config.current()
        if is_alone:
            return 0.0
        # A worker that is slow to defer is slow to exit as well, and its executor to report that.
        settles_in = min(numbers.slow_exit * self.worker_took, numbers.slowest_exit)
        return max(random.uniform(*numbers.first_poll), self.since + settles_in - time.time())

    def _interval(self, polls: int) -> float:
        if not self.exponential_backoff:
            return self.poke_interval
        interval = self.poke_interval * 2.0 ** min(polls, 32)
        return min(interval, self.max_wait) if self.max_wait else interval


def _load_wait_for() -> WaitFor:
    heartbeat_interval(), freeze_waits()  # read from files, and kept
    from airflow_provider_datarecs.polling.poller import wait_for

    return wait_for


def _load_cancel_if_killed() -> CancelIfKilled:
    from airflow_provider_datarecs.polling.kill import cancel_if_killed

    return cancel_if_killed
