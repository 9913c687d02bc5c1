"""Wait for the next run of a job, whoever starts it, on the triggerer."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Awaitable

from asgiref.sync import sync_to_async

from airflow_provider_datarecs.polling import events
from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

if TYPE_CHECKING:
    from airflow_provider_datarecs.polling.events import Event
    from airflow_provider_datarecs.polling.next_run import NextRunMonitor


class JobNextRunTrigger(JobRunTrigger):
    """
    Wait until a run of a job begins, and then until it has ended.

    :param after: epoch seconds: the run is the first of those that began then or later. The other arguments
        are those of :class:`.JobRunTrigger`; ``run_id`` is empty, since nobody knows it
    """

    def __init__(self, *, after: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.after = after

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class path and the arguments that make this trigger again; no secret is among them."""
        path, arguments = super().serialize()
        # Not the run that was found: whoever takes this up finds the same.
        return path, {**arguments, "run_id": "", "after": self.after}

    def _until_first_poll(self) -> float:
        # Once the run is found, the deferring that its end could race is long over.
        return 0.0 if self.run_id else super()._until_first_poll()

    async def _begin(self) -> Awaitable[Event]:
        return self._wait_for_both()

    async def _wait_for_both(self) -> Event:
        monitor_class = await sync_to_async(_load_next_run_monitor)()
        await asyncio.sleep(max(0.0, min(self._until_first_poll(), self.deadline - time.time())))
        event = await monitor_class(self._wait_spec(), self.after).find(self.poke_interval)
        if not events.has_begun(event):
            return event
        self.run_id = event["run_id"]
        self.log.info("Begun, and waited for: %s", self._target.name_run(self.run_id))
        return await (await super()._begin())


def _load_next_run_monitor() -> type[NextRunMonitor]:
    from airflow_provider_datarecs.polling.next_run import NextRunMonitor

    return NextRunMonitor
