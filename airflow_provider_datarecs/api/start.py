"""Starts one run for one start request, whatever is lost: reads the run history before it sends again."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, FrozenSet, Mapping

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import (
    AnsweredWithError,
    DataRecsError,
    EndlessList,
    Forbidden,
    ForeignAnswer,
    NotFound,
    NothingStarted,
    Rejected,
    RunMayHaveStarted,
    Unauthorized,
)
from airflow_provider_datarecs.api.parsing import run_ids
from airflow_provider_datarecs.api.retry import starting
from airflow_provider_datarecs.api.runs import run_from
from airflow_provider_datarecs.api.times import epoch_seconds, iso_utc

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.targets import Target

log = logging.getLogger(__name__)

CLOCK_SKEW = 300.0  # seconds that DataRecs' clock may be behind this machine's
MAX_PAGES = 100  # of a run history that are read; at 100 requests a minute more would take too long
ANSWERS = (AnsweredWithError, ForeignAnswer)  # that have an HTTP status
NO_HISTORY = (Forbidden, NotFound, Rejected)  # that a later request would meet as well


@dataclass(frozen=True)
class StartRequest:
    """
    What a task instance wants started, once.

    :param key: the Idempotency-Key of every attempt
    :param label: the run's label, None for none
    :param is_label_unique: whether no other start request has this label, so that it proves whose a run is
    :param since: epoch seconds before which no run of this request can have begun, None where unknown
    :param not_these: ids of runs that are none of this request, whenever they began
    """

    key: str
    label: str | None = None
    is_label_unique: bool = False
    since: float | None = None
    not_these: FrozenSet[str] = frozenset()

    @property
    def not_before(self) -> float:
        """The earliest time, by DataRecs' clock, at which a run of this request can have begun."""
        return float("-inf") if self.since is None else self.since - CLOCK_SKEW


@dataclass(frozen=True)
class HistoryMatch:
    """
    What the run history tells of a start request: with neither of these, that nothing was started.

    :param run_id: the one run of this request
    :param doubt: why nobody can say whether there is one
    """

    run_id: str | None = None
    doubt: str | None = None


async def start_once(
    client: DataRecsClient,
    target: Target,
    request: StartRequest,
    *,
    sent_at: float | None,
    may_repeat: bool,
    before_send: Callable[[], None] = lambda: None,
) -> str:
    """
    Start a run unless this start request already has one, and give its id.

    :param client: an open client
    :param target: the job or job group
    :param request: what the task instance wants
    :param sent_at: epoch seconds until which an earlier try of the task may have sent the request, None if it
        cannot have
    :param may_repeat: whether to send again where the run history cannot tell whether there is a run
    :param before_send: called each time the request is about to be sent, default nothing
    :raises RunMayHaveStarted: where it cannot tell, unless ``may_repeat``
    :raises NothingStarted: when answers were lost, and the history proves that nothing was started
    """
    start = _Start(client, target, request, before_send)
    run_id = None if sent_at is None else await start.find(sent_at, may_repeat=may_repeat)
    if run_id is not None:
        return run_id
    started: str = await starting(may_repeat=may_repeat)(start.attempt)
    return started


class _Start:
    """
    The attempts at one start request.

    ``_doubt`` is why there may be a run of what was sent so far, None if not; ``_was_sent`` says whether
    there was a request at all whose answer nobody knows.
    """

    def __init__(
        self,
        client: DataRecsClient,
        target: Target,
        request: StartRequest,
        before_send: Callable[[], None],
    ) -> None:
        self._client = client
        self._target = target
        self._start_request = request
        self._before_send = before_send
        self._doubt: str | None = None
        self._was_sent = False

    async def find(self, sent_at: float, *, may_repeat: bool) -> str | None:
        self._was_sent = True
        found = await _find_before_start(self._client, self._target, self._start_request, sent_at)
        if found.doubt:
            self._doubt = f"an earlier try of this task may have sent the request, and {found.doubt}"
            if not may_repeat:
                raise self._uncertain()
        return found.run_id

    async def attempt(self) -> str:
        request = self._start_request
        try:
            run_id = await self._client.start_run(
                self._target,
                idempotency_key=request.key,
                run_label=request.label,
                before_send=self._before_send,
            )
        except RunMayHaveStarted as lost:
            return await self._find_lost(lost)
        except DataRecsError as error:
            if self._was_sent and isinstance(error, ANSWERS) and error.status == contract.CONFLICT:
                # In conflict with what was sent before, perhaps, which is still being carried out.
                return await self._find_lost(RunMayHaveStarted(self._target, error))
            if self._doubt is None:
                raise
            again = str(error).rstrip(".")
            raise self._uncertain(f". It was sent again, without success: {again}") from error
        label = f", label {request.label!r}" if request.label else ""
        log.info("Started %s%s", self._target.name_run(run_id), label)
        return run_id

    async def _find_lost(self, lost: RunMayHaveStarted) -> str:
        target, self._was_sent = self._target, True
        log.warning("The answer to a start of %s is lost (%s); looking in its runs", target, lost.why)
        try:
            # Until now it may have been on its way; it may have left late, having waited for the limit.
            found = await find_in_history(self._client, target, self._start_request, time.time())
        except DataRecsError as error:
            found = HistoryMatch(doubt=f"its run history cannot be read ({error})")
        if found.run_id is not None:
            return found.run_id
        self._doubt = f"{lost.why}, and {found.doubt}" if found.doubt else None
        if self._doubt is None:
            raise NothingStarted(target, lost.why) from lost
        raise self._uncertain() from lost

    def _uncertain(self, more: str = "") -> RunMayHaveStarted:
        return RunMayHaveStarted(self._target, f"{self._doubt}{more}. {_advice(self._start_request)}")


async def find_in_history(
    client: DataRecsClient, target: Target, request: StartRequest, sent_at: float
) -> HistoryMatch:
    """
    Find the run of a start request in the run history.

    A history without it proves nothing until the time is over in which a new run may not show.

    :param client: an open client
    :param target: the job or job group
    :param request: what the task instance wants
    :param sent_at: epoch seconds until which the request may have been on its way
    """
    shows_at, looked_at = sent_at + contract.NOT_VISIBLE_GRACE, time.time()
    found = await _read_history(client, target, request)
    # Its own label would tell this run from others that could be it.
    may_clear_up = found == HistoryMatch() or (request.is_label_unique and found.run_id is None)
    if may_clear_up and looked_at < shows_at:  # however long it took to read
        pause = max(0.0, shows_at - time.time())
        log.info("No run of %s shows yet that is this one; looking again in %.0f s", target, pause)
        await asyncio.sleep(pause)
        found = await _read_history(client, target, request)
    if found.run_id is not None:
        log.info("Adopted %s, which carries this task's label", target.name_run(found.run_id))
    return found


async def _find_before_start(
    client: DataRecsClient, target: Target, request: StartRequest, sent_at: float
) -> HistoryMatch:
    try:
        return await find_in_history(client, target, request, sent_at)
    except NO_HISTORY as error:
        return HistoryMatch(doubt=f"its run history is refused ({error})")
    except DataRecsError as error:
        unseen = f"whether an earlier try of this task started a run of {target} could not be seen"
        if isinstance(error, Unauthorized):
            raise Unauthorized(error.call, error.status, f"{error.problem}; {unseen}") from error
        # Not an end of the task: its next try looks again.
        raise DataRecsError(
            f"{error}. Nothing was started in this try; {unseen}, which the next try looks for before it "
            "starts one."
        ) from error


async def _read_history(client: DataRecsClient, target: Target, request: StartRequest) -> HistoryMatch:
    """Read the history as far back as this request's run can be, and say what it tells."""
    # By their ids: what moves while the history is read can be on two pages.
    mine: dict[str, None] = {}
    others: dict[str, None] = {}
    history = _History(client, target, request)
    async for item in history.runs():
        ids = run_ids(item)
        if not request.not_these.isdisjoint(ids):
            continue
        run_id = next(iter(ids), None)
        is_mine = request.is_label_unique and request.label and item.get(contract.RUN_LABEL) == request.label
        if is_mine and run_id:
            mine[run_id] = None
        else:
            others[repr(run_id) if run_id else "one without an id"] = None
    if len(mine) == 1:
        return HistoryMatch(run_id=next(iter(mine)))
    if mine:
        return HistoryMatch(doubt=f"several runs carry its label: {', '.join(map(repr, mine))}")
    if others:
        return HistoryMatch(doubt=f"of its runs since then each could be it: {', '.join(list(others)[:10])}")
    return (
        HistoryMatch()
        if history.is_complete
        else HistoryMatch(doubt="its run history cannot be read to the end")
    )


class _History:
    """
    Give the runs, newest first, that can be of a start request; ``is_complete`` says whether none is missing.

    The order is an assumption, so reading ends early only where all that was read is in that order.
    """

    def __init__(self, client: DataRecsClient, target: Target, request: StartRequest) -> None:
        self.is_complete = False
        self._client = client
        self._target = target
        self._start_request = request
        self._begun: list[float] = []

    async def runs(self) -> AsyncIterator[dict[str, Any]]:
        try:
            async for page in self._client.iter_run_pages(self._target, most=MAX_PAGES):
                for item in page.items:
                    begun = self._begin_of(item)
                    self._begun.append(begun)
                    if begun >= self._start_request.not_before:
                        yield item
                if self._rest_is_older():
                    break
        except EndlessList as error:
            log.warning("%s", error)
        else:
            self.is_complete = True

    def _begin_of(self, item: Mapping[str, Any]) -> float:
        run = run_from(item, self._target)
        shown = (run.result[contract.STARTED_AT], run.result[contract.COMPLETED_AT]) if run else ()
        times = (time for time in map(epoch_seconds, shown) if time is not None)
        return next(times, float("inf"))  # it has not begun

    def _rest_is_older(self) -> bool:
        begun = self._begun
        in_order = bool(begun) and begun[0] > begun[-1] and all(a >= b for a, b in zip(begun, begun[1:]))
        return in_order and begun[-1] < self._start_request.not_before


def _advice(request: StartRequest) -> str:
    since = "" if request.since is None else f" begun after {iso_utc(request.not_before)}"
    label = f" with the label {request.label!r}" if request.label else ""
    return (
        f"Look at DataRecs for a run{since}{label}. If there is none, clear the task, which starts one; if "
        "there is one, wait for it by its id, or cancel it first."
    )
