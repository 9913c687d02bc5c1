"""What stands in for Airflow's parts where there is no Airflow running."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from airflow_provider_datarecs.compat import TRIGGERS_ARE_TOLD_OF_KILLS


class FakeTaskInstance(SimpleNamespace):
    """What an operator asks of its task instance; outside a real Airflow there is no other."""

    def __init__(self, **more: Any) -> None:
        fields = {"dag_id": "dag", "run_id": "manual", "task_id": "task", "map_index": -1, "xcoms": {}}
        super().__init__(
            **{**fields, "max_tries": 0, "try_number": 1, "start_date": None, "earlier": {}, **more}
        )

    def xcom_push(self, key: str, value: Any) -> None:
        """Take an XCom as Airflow stores it."""
        self.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, key: str, include_prior_dates: bool, **whose: Any) -> Any:
        """Give what the task has pushed before, at this date or an earlier one."""
        assert include_prior_dates
        assert whose == {"task_ids": self.task_id, "map_indexes": self.map_index}
        return self.earlier.get(key)

    def get_first_reschedule_date(self, context: Any) -> None:
        """Know of no earlier poll."""


class FakeStore(dict):  # type: ignore[type-arg]
    """What a task instance keeps over its retries on Airflow 3.3, as far as an operator sees it."""

    set = dict.__setitem__

    def delete(self, key: str) -> None:
        """Forget what is kept under a key."""
        self.pop(key, None)


async def run_until_cancelled(trigger: Any) -> None:
    """Run a trigger as a triggerer does, until it is cancelled, and tell it of that where Airflow does."""
    try:
        async for _ in trigger.run():
            raise AssertionError("the wait has ended")
    except asyncio.CancelledError:
        if TRIGGERS_ARE_TOLD_OF_KILLS:
            await trigger.on_kill()
        raise


def rendered(cls: Any, **arguments: Any) -> Any:
    """Give a task whose arguments are what Airflow has made of templates."""
    task = cls(task_id="t", **dict.fromkeys(arguments, "{{ params.it }}"))
    for name, value in arguments.items():
        setattr(task, name, value)
    return task
