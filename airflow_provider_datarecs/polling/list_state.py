"""Decides whether a job's runs are asked for by its list or one by one: one state machine for each job."""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING

from airflow_provider_datarecs.polling import config

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.contract import TargetKind
    from airflow_provider_datarecs.api.targets import Target

log = logging.getLogger(__name__)


class ListState(Enum):
    """What is known of a job's list of runs, and with it what to ask for."""

    NEW = "nothing is known: ask for the list"
    LIST = "it tells how runs are: ask for it where it answers for more than one of them"
    DOUBTED = "it told of none of the runs, which may be gone: as LIST, until one of them is seen alone"
    PROBE = "it was refused, perhaps as all is just now: ask for the runs one by one"
    RETRY = "it was refused, and then one of its runs was seen: ask for it once more"
    SINGLE = "it was refused again: ask for the runs one by one for a while"


class Response(Enum):
    """What came of a request for a list, or for one run of it."""

    LIST_HELPED = "a page told how one of the runs is"
    LIST_GOES_ON = "a page told of none of them, and there are more pages"
    LIST_TOLD_NOTHING = "the last page told of none of them"
    LIST_REFUSED = "the first page cannot be had, though its runs may be"
    RUN_SEEN = "one run was asked for by itself, and is there"
    RUN_REFUSED = "one run was asked for by itself, and cannot be had either"


_S, _R = ListState, Response
_PAGE_READ = {
    _R.LIST_HELPED: _S.LIST,
    _R.LIST_GOES_ON: _S.LIST,
    _R.LIST_TOLD_NOTHING: _S.DOUBTED,
}
TRANSITIONS: dict[ListState, dict[Response, ListState]] = {
    _S.NEW: {**_PAGE_READ, _R.LIST_REFUSED: _S.PROBE, _R.RUN_SEEN: _S.NEW, _R.RUN_REFUSED: _S.NEW},
    _S.LIST: {**_PAGE_READ, _R.LIST_REFUSED: _S.PROBE, _R.RUN_SEEN: _S.LIST, _R.RUN_REFUSED: _S.LIST},
    _S.DOUBTED: {
        **_PAGE_READ,
        _R.LIST_REFUSED: _S.PROBE,
        _R.RUN_SEEN: _S.LIST,
        _R.RUN_REFUSED: _S.DOUBTED,
    },
    _S.PROBE: {**_PAGE_READ, _R.LIST_REFUSED: _S.PROBE, _R.RUN_SEEN: _S.RETRY, _R.RUN_REFUSED: _S.NEW},
    _S.RETRY: {**_PAGE_READ, _R.LIST_REFUSED: _S.SINGLE, _R.RUN_SEEN: _S.RETRY, _R.RUN_REFUSED: _S.RETRY},
    # Answers that were on their way change nothing; time does, see JobList.state_at.
    _S.SINGLE: dict.fromkeys(Response, _S.SINGLE),
}
# Here a list has told nothing although its runs can be had.
PROVES_USELESS = {(_S.DOUBTED, _R.RUN_SEEN), (_S.RETRY, _R.LIST_REFUSED)}


class JobList:
    """
    Hold the state of one job's list.

    :param target: the job or job group
    :param service: takes down what the lists of all jobs are worth
    """

    __slots__ = ("_service", "_single_until", "_state", "target")

    def __init__(self, target: Target, service: ServiceLists) -> None:
        self.target = target
        self._service = service
        self.forget()

    def forget(self) -> None:
        """Forget what is known, since it is another service's."""
        self._state = ListState.NEW
        self._single_until = 0.0

    def state_at(self, now: float) -> ListState:
        """
        Give the state that counts at a time.

        :param now: the time, by the clock of the polls
        """
        if self._state is ListState.SINGLE and now >= self._single_until:
            self._state = ListState.NEW
        return self._state if self._service.help(self.target.kind, now) else ListState.SINGLE

    def note(self, response: Response, now: float) -> None:
        """
        Take into account what came of a request.

        :param response: what it was
        :param now: the time, by the clock of the polls
        """
        before = self._state
        self._state = TRANSITIONS[before][response]
        if response is Response.LIST_HELPED:
            self._service.note_help(self.target.kind)
        if self._state is ListState.SINGLE and before is not ListState.SINGLE:
            seconds = config.current().lists_again_after
            self._single_until = now + seconds
            log.info(
                "Connection %s: the run history of %s is refused or cannot be read, so its runs are asked "
                "for one by one, which takes more requests; trying it again after %.0f minutes",
                self._service.conn_id,
                self.target,
                seconds / 60.0,
            )
        if (before, response) in PROVES_USELESS:
            self._service.note_useless(self.target, now)


class ServiceLists:
    """
    Take down whether lists are worth asking for at all on a connection: those of jobs, and of job groups.

    :param conn_id: the connection's id
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self.forget()

    def forget(self) -> None:
        """Forget what is known, since it is another service's."""
        self._useless_until: dict[TargetKind, float] = {}
        self._useless: dict[TargetKind, set[Target]] = {}

    def help(self, kind: TargetKind, now: float) -> bool:
        """
        Say whether lists tell how runs are, as far as is known.

        :param kind: whether those of jobs or of job groups
        :param now: the time, by the clock of the polls
        """
        return now >= self._useless_until.get(kind, now)

    def note_help(self, kind: TargetKind) -> None:
        """Note a list that told how a run is."""
        self._useless.pop(kind, None)

    def note_useless(self, target: Target, now: float) -> None:
        """Note a list that told nothing although its runs can be had; after some jobs', none is asked for."""
        numbers = config.current()
        useless = self._useless.setdefault(target.kind, set())
        useless.add(target)
        if len(useless) < numbers.useless_lists or not self.help(target.kind, now):
            return
        useless.clear()
        self._useless_until[target.kind] = now + numbers.lists_again_after
        log.info(
            "Connection %s: run histories do not help here (those of %d %ss in a row do not show the runs, "
            "or cannot be read), so each run is asked for by itself, which takes more requests; trying them "
            "again after %.0f minutes",
            self.conn_id,
            numbers.useless_lists,
            target.kind.noun,
            numbers.lists_again_after / 60.0,
        )
