"""A trigger that only sleeps: what it takes is what Airflow itself takes for any."""

from __future__ import annotations

import asyncio
import time
from typing import Any, AsyncIterator

from airflow.triggers.base import BaseTrigger, TriggerEvent


class SleepingTrigger(BaseTrigger):
    """
    Fire at a time.

    :param end: the time in epoch seconds
    """

    def __init__(self, *, end: float) -> None:
        super().__init__()
        self.end = end

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class path and the arguments that make this trigger again."""
        return "sleeping.SleepingTrigger", {"end": self.end}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep until the time has come, and fire."""
        self.log.info("Asleep")  # by which it is seen to have begun; Airflow 2 writes no line of its own
        await asyncio.sleep(max(0.0, self.end - time.time()))
        yield TriggerEvent({})
