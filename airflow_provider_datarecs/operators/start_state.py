"""Tells one start of a run from another: the key that all tries of it share, and what a store holds of it."""

from __future__ import annotations

import logging
import time
import uuid
from typing import TYPE_CHECKING, Any

from airflow_provider_datarecs.compat import deployment, task_state_store

if TYPE_CHECKING:
    from airflow_provider_datarecs.compat import Context

log = logging.getLogger(__name__)

FORMULA = "datarecs:2"  # with another, tries before an upgrade and after it have different keys
STORE_KEY = "datarecs_start"

_tests: dict[tuple[str, ...], str] = {}  # of task instances that dag.test() runs: what tells its runs apart


class Try:
    """
    A try of a task instance to start a run, as Airflow shows it to a worker.

    A clear asks for another run: the try after it is the first of a new start. A clear sets ``max_tries`` to
    the number of the last try plus the task's ``retries``, and nothing else changes it: so the two tell the
    number of the first try, as long as ``retries`` stays what it was.

    :param context: the task's context
    :param retries: the task's
    """

    def __init__(self, context: Context, retries: int) -> None:
        ti: Any = context["ti"]
        dag_run: Any = context.get("dag_run")
        self.number: int = ti.try_number
        self.max_tries: int = ti.max_tries
        self.first: int = ti.max_tries - retries + 1
        self.clears: int | None = getattr(dag_run, "clear_number", None)
        self._ids = (ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index))
        self._run = _run_of(dag_run, self._ids, self.number)

    @property
    def is_retry(self) -> bool:
        """Say whether there was a try of the same start before this one."""
        return self.number > 1 and self.number != self.first

    @property
    def key(self) -> str:
        """The idempotency key of the start, the same for all of its tries."""
        first = max(1, min(self.first, self.number))  # beyond that, retries was changed between two tries
        parts = (deployment(), self._run, *self._ids, str(self.max_tries), str(first))
        return str(uuid.uuid5(uuid.NAMESPACE_URL, "\0".join((FORMULA, *parts))))


def _run_of(dag_run: Any, ids: tuple[str, ...], number: int) -> str:
    """Give what tells a DAG run from one with the same ids: of this deployment, deleted, or of another."""
    started: Any = getattr(dag_run, "start_date", None)
    # Clearing a DAG run that is over gives it another one; nothing else does while its tasks are tried.
    if started is not None and started not in (
        getattr(dag_run, "logical_date", None),
        getattr(dag_run, "run_after", None),
    ):
        return f"{started.timestamp():.6f}"
    # dag.test() says that its run started on its date, and replaces one of the same date; it runs all tries
    # of a task in one process.
    if number == 1 or ids not in _tests:
        _tests[ids] = str(uuid.uuid4())
    return _tests[ids]


class StartState:
    """
    Keep between the tries of a start what was sent and started, where Airflow has a store for that (3.3).

    :param context: the task's context
    :param this_try: the try that is running
    """

    def __init__(self, context: Context, this_try: Try) -> None:
        self._store = task_state_store(context)
        self._try = this_try
        kept: Any = self._store.get(STORE_KEY) if self._store is not None else None
        self._kept: dict[str, Any] = kept if isinstance(kept, dict) else {}
        is_ours = self._may_be_ours and not self._was_cleared
        self.key: str = self._kept["key"] if is_ours else this_try.key
        self.ids: dict[str, str] | None = self._kept.get("ids") if is_ours else None

    @property
    def _may_be_ours(self) -> bool:
        """Say whether what is kept can be of this start; a clear leaves the store as it is."""
        return self._kept.get("max_tries") == self._try.max_tries

    @property
    def _was_cleared(self) -> bool:
        # With retries lowered, a clear can set max_tries to what it was. Some task of the DAG run was cleared
        # then, and the first try is later than the one that has kept something.
        return self._kept.get("clears") != self._try.clears and self._try.first > self._kept["try"]

    @property
    def sent_at(self) -> float | None:
        """The epoch seconds until which an earlier try may have sent the request, None if none has."""
        if self._store is not None:
            # Also where it may have been cleared: another task may, and retries may have been lowered.
            return self._kept.get("sent") if self._may_be_ours else None
        # How long ago an earlier try has ended, nobody says: retry_delay is only one of the things that
        # Airflow goes by.
        return time.time() if self._try.is_retry else None

    def note_sent(self) -> None:
        """Note that the request is about to be sent. Where that cannot be noted, it is not sent."""
        if self._store is not None:
            self._write(sent=time.time())

    def forget(self) -> None:
        """Note that nothing was started."""
        self._write_if_possible("that nothing was started")

    def keep(self, ids: dict[str, str]) -> None:
        """
        Keep the run that was started.

        :param ids: its ids, as the task's XComs
        """
        self._write_if_possible(f"run {ids['run_id']!r}; its XComs hold it", ids=ids)

    def _write_if_possible(self, what: str, **more: Any) -> None:
        if self._store is None:
            return
        try:
            self._write(**more)
        except Exception:
            log.exception("The task state store does not take %s", what)

    def _write(self, **more: Any) -> None:
        start = {"key": self.key, "max_tries": self._try.max_tries, "clears": self._try.clears}
        self._store.set(STORE_KEY, {**start, "try": self._try.number, **more})
