"""Plays a story: runs its tasks as Airflow would, against a simulated service and with the real trigger."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Callable

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import (
    AIRFLOW_VERSION,
    AirflowFailException,
    AirflowSensorTimeout,
)
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from support.fakes import FakeStore, FakeTaskInstance

if AIRFLOW_VERSION >= (3, 2):
    from airflow.sdk.exceptions import TaskDeferred
else:
    from airflow.exceptions import TaskDeferred

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from airflow_provider_datarecs.simulator import Simulator
    from support.stories.story import Story

WORKSPACE = "w1"
WORKSPACE_NAME = "Stories"
HAS_STORE = AIRFLOW_VERSION >= (3, 3)
NO_RETRY = (AirflowFailException, AirflowSensorTimeout)
STARTS = {
    "ids": TriggerJobRunOperator,
    "names": TriggerJobRunByNameOperator,
    "group": TriggerJobGroupRunOperator,
}


class WorkerDied(BaseException):
    """The worker is gone, in the middle of a task."""


@dataclass
class End:
    """
    How a task has ended.

    :param task: ``start`` or ``wait``
    :param tries: how many there were
    :param error: what it failed with, None if it has succeeded
    :param began: when its first try began, in epoch seconds
    :param last_began: when its last try did
    :param ended: when it was over
    :param xcoms: what it has pushed
    """

    task: str
    tries: int
    error: BaseException | None
    began: float
    last_began: float
    ended: float = 0.0
    xcoms: dict[str, Any] = field(default_factory=dict)


class Play:
    """
    A story as it goes on.

    :param story: what was drawn
    :param simulator: the service
    :param conn_id: the connection to it
    """

    def __init__(self, story: Story, simulator: Simulator, conn_id: str) -> None:
        self.story = story
        self.conn_id = conn_id
        self.simulator = simulator
        self.kind = TargetKind.JOB_GROUP if story.start == "group" else TargetKind.JOB
        self.ends: list[End] = []
        self._store = FakeStore()
        self._ti = FakeTaskInstance(dag_id=f"story-{story.number}", task_id="start")
        self._tries = 0
        self._began = datetime.now(timezone.utc)

    async def go(self, workers: Executor) -> None:
        """Start the run, once more if the task is cleared, and wait for the last one."""
        loop = asyncio.get_running_loop()
        self._set_up()
        for _ in range(2 if self.story.is_cleared else 1):
            await loop.run_in_executor(workers, self._start)
        if self.ends[-1].error is None:
            await self._wait(loop, workers)

    def _set_up(self) -> None:
        story, world = self.story, self.simulator.world
        if self.kind is TargetKind.JOB:
            world.add_job(story.owner_id, story.owner_id, WORKSPACE, story.plan)
        else:
            parts = [f"{story.owner_id}-{part}" for part in "ab"]
            for part in parts:
                world.add_job(part, part, WORKSPACE, story.plan)
            world.add_job_group(story.owner_id, story.owner_id, WORKSPACE, parts)
            world.owners[self.kind][story.owner_id].plan = story.plan
        for ago in sorted(story.strangers, reverse=True):
            run = world.start_run(self.kind, world.owners[self.kind][story.owner_id], label="a stranger's")
            for one in (run, *run.parts):
                one.created_at -= ago
        self.simulator.faults.extend(mishap.fault for mishap in story.mishaps)

    def _start(self) -> None:
        """Run the operator with its retries: one start."""
        first = self._tries + 1
        self._ti.max_tries = self._tries + self.story.retries

        def attempt(number: int) -> None:
            self._tries = self._ti.try_number = first + number
            self._ti.xcoms = {}
            self._operator().execute(self._context())

        end = self._with_retries(attempt)
        end.xcoms = dict(self._ti.xcoms)
        self.ends.append(end)

    def _operator(self) -> Any:
        story, label = self.story, self.story.run_label
        if label and story.unique_label:
            label += f" {self._ti.max_tries}"  # as docs/starting.md asks for
        ids = {
            "ids": {"job_id": story.owner_id, "workspace_id": WORKSPACE},
            "names": {"job_name": story.owner_id, "workspace_name": WORKSPACE_NAME},
            "group": {"job_group_id": story.owner_id, "workspace_id": WORKSPACE},
        }[story.start]
        return STARTS[story.start](
            task_id="start",
            conn_id=self.conn_id,
            run_label=label,
            unique_label=story.unique_label,
            on_uncertain=story.on_uncertain,
            retries=story.retries,
            retry_delay=timedelta(seconds=story.retry_delay),
            **ids,
        )

    def _context(self) -> dict[str, Any]:
        """Give the context of a try, whose worker dies where the story says."""
        number = self._tries - 1
        death = self.story.deaths[number] if number < len(self.story.deaths) else None
        ti, store = self._ti, FakeStore()
        context: dict[str, Any] = {"ti": ti, "dag_run": SimpleNamespace(start_date=self._began)}
        if HAS_STORE and self.story.has_store:
            context["task_state_store"] = store = self._store
        dying = {"before the request": "sent", "before it is stored": "ids"}.get(death or "")

        def keep(key: str, value: Any) -> None:
            if dying == "ids" and "ids" in value:
                raise WorkerDied(death)
            dict.__setitem__(store, key, value)
            if dying == "sent" and "sent" in value:
                raise WorkerDied(death)

        def push(key: str, value: Any) -> None:
            if death is not None:  # at the latest
                raise WorkerDied(death)
            FakeTaskInstance.xcom_push(ti, key, value)

        store.set, ti.xcom_push = keep, push  # type: ignore[method-assign]
        return context

    async def _wait(self, loop: asyncio.AbstractEventLoop, workers: Executor) -> None:
        """Run the sensor once: its trigger on this event loop, together with those of all other stories."""
        story, started = self.story, self.ends[-1].xcoms
        sensor_class = JobGroupRunSensor if self.kind is TargetKind.JOB_GROUP else JobRunSensor
        ti = FakeTaskInstance(
            dag_id=f"story-{story.number}", task_id="wait", start_date=datetime.now(timezone.utc)
        )
        sensor = sensor_class(
            task_id="wait",
            conn_id=self.conn_id,
            poke_interval=0.1,
            timeout=story.policy,
            workspace_id=started["workspace_id"],
            run_id=started["run_id"],
            **{self.kind.id_field: started[self.kind.id_field]},
        )
        context: Any = {"ti": ti}
        end = End("wait", 1, None, time.time(), time.time(), xcoms=ti.xcoms)
        try:
            deferred = await loop.run_in_executor(workers, _deferred, sensor, context)
            payload = await _event_of(deferred.trigger)
            await loop.run_in_executor(
                workers, sensor.resume_execution, deferred.method_name, {"event": payload}, context
            )
        except Exception as error:  # noqa: BLE001 - it is how the task ends
            end.error = error
        self.ends.append(end)

    def _with_retries(self, attempt: Callable[[int], None]) -> End:
        end = End("start", 0, None, time.time(), time.time())
        for number in range(self.story.retries + 1):
            if number:
                time.sleep(self.story.retry_delay)
            end.tries, end.error, end.last_began = number + 1, None, time.time()
            try:
                attempt(number)
            except NO_RETRY as error:
                end.error = error
                break
            except (Exception, WorkerDied) as error:  # noqa: BLE001 - as Airflow does
                end.error = error
            else:
                break
        end.ended = time.time()
        return end


def load_airflow(conn_id: str) -> None:
    """Load what Airflow 2 loads when it is first used, which deadlocks where many threads do so at once."""
    import_module("airflow.decorators.base" if AIRFLOW_VERSION < (3, 0) else "airflow.sdk")
    DataRecsHook(conn_id).get_settings()


def ready_thread() -> None:
    """Make a thread one that operators can be run in."""
    # Airflow 2.9 to 2.11 look there whether it is a task that runs them, and only the main thread has it.
    base: Any = import_module("airflow.models.baseoperator") if AIRFLOW_VERSION < (3, 0) else None
    sentinel = getattr(getattr(base, "ExecutorSafeguard", None), "_sentinel", None)
    if sentinel is not None:
        sentinel.callers = {}


def _deferred(sensor: Any, context: Any) -> Any:
    try:
        sensor.execute(context)
    except TaskDeferred as deferred:
        return deferred
    raise AssertionError("the sensor did not defer")


async def _event_of(trigger: Any) -> Any:
    """Run a trigger that was stored and made again, as a triggerer does."""
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    (event,) = [event async for event in getattr(import_module(module), name)(**arguments).run()]
    return event.payload
