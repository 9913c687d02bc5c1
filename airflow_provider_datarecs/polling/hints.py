"""Takes in what webhooks say: which runs to poll now, and how seldom the others may be polled."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Iterable, List, Optional, Tuple

from asgiref.sync import sync_to_async

from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.reliability import EventReliability

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.contract import TargetKind
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.metrics import PollerMetrics
    from airflow_provider_datarecs.polling.registry import WaitRegistry
    from airflow_provider_datarecs.webhooks.events import Hint

    # From where the last reading ended to the hints since then, and where this one ended.
    ReadHints = Callable[[Any], Tuple[List[Hint], Any]]

log = logging.getLogger(__name__)


def load_reader(conn_id: str) -> Optional[ReadHints]:
    """
    Give what reads the hints of a connection, None where webhooks are off. Imports it, and blocks.

    :param conn_id: the connection's id
    """
    from airflow_provider_datarecs.webhooks.hints import are_on, read_hints

    return partial(read_hints, conn_id) if are_on(conn_id) else None


class HintListener:
    """
    Read the hints that a connection's webhooks have left, and have the runs polled that they are about.

    A hint never ends a wait: it only says when to look.

    :param conn_id: the connection's id
    :param waits: the waits on it
    :param metrics: counts the hints
    """

    def __init__(self, conn_id: str, waits: WaitRegistry, metrics: PollerMetrics) -> None:
        self._conn_id = conn_id
        self._waits = waits
        self._metrics = metrics
        self._reliability = EventReliability()
        self._known: OrderedDict[str, None] = OrderedDict()  # the ids of events, which come more than once
        self._is_on = False
        self._failures = 0

    async def listen(self) -> None:
        """Read what comes, for ever; return only where webhooks are off."""
        read = await sync_to_async(load_reader)(self._conn_id)
        if read is None:
            return
        self._is_on = True
        place: Any = None
        while True:
            try:
                hints, place = await sync_to_async(read)(place)
                self._failures = 0
            except Exception as error:  # noqa: BLE001 - hints only make waits quicker
                self._note_failure(error)
            else:
                await self._take(hints)
            self._check_reliability()
            numbers = config.current()
            again = numbers.read_hints_every * 2.0 ** min(self._failures, 32)
            await asyncio.sleep(min(again, numbers.read_hints_again_within))

    def note_wait(self, target: Target, run_id: str) -> None:
        """
        Have a run polled at once that somebody has begun to wait for, if its end has been heard of already.

        :param target: its job
        :param run_id: the run's id
        """
        if self._reliability.has_heard(run_id, time.monotonic()):
            self._waits.hint(run_id, target.id)

    def note_end(self, target: Target, run_id: str, *, was_going: bool) -> bool:
        """
        Take into account that a poll has found a run ended, and say whether a hint had said so before.

        :param target: the job or job group
        :param run_id: the run's id
        :param was_going: whether it was seen to go on before; else it may have ended before anybody listened
        """
        if not self._is_on or not target.kind.has_events or not was_going:
            return False
        return self._reliability.note_end(run_id, time.monotonic())

    def interval_factor(self, kind: TargetKind) -> float:
        """
        Give by how much longer the time between two polls of a run may be, since its end will be heard of.

        :param kind: whether it is a job's or a job group's
        """
        has_events = self._is_on and kind.has_events
        return self._reliability.interval_factor(time.monotonic()) if has_events else 1.0

    async def _take(self, hints: Iterable[Hint]) -> None:
        now = time.monotonic()
        for count, hint in enumerate(hints, start=1):
            if self._was_known(hint):
                continue
            self._reliability.heard(hint.run_id, now)
            self._metrics.hinted(was_useful=self._waits.hint(hint.run_id, hint.job_id))
            if count % config.current().told_at_once == 0:
                await asyncio.sleep(0)

    def _was_known(self, hint: Hint) -> bool:
        if hint.event_id is None:
            return False
        was_known = hint.event_id in self._known
        self._known[hint.event_id] = None
        if len(self._known) > config.current().events_kept:
            self._known.popitem(last=False)
        return was_known

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failures < config.current().hint_failures:
            return
        if self._reliability.doubt(time.monotonic()):
            log.warning(
                "Connection %s: what its webhooks have left cannot be read (%s: %s), so its runs are polled "
                "as without webhooks",
                self._conn_id,
                type(error).__name__,
                error,
            )
        self._waits.poll_in_interval()

    def _check_reliability(self) -> None:
        run_id = self._reliability.lost_trust(time.monotonic())
        if run_id is None:
            return
        numbers = config.current()
        log.warning(
            "Connection %s: run %r has ended, and no webhook event has said so within %.0f s, so its runs "
            "are polled as without webhooks for %.0f minutes. Look at the endpoint's deliveries at DataRecs, "
            "and whether its receiver runs",
            self._conn_id,
            run_id,
            numbers.event_within,
            numbers.events_doubted_for / 60.0,
        )
        self._waits.poll_in_interval()
