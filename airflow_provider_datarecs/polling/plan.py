"""Divides the runs of a job that somebody waits for into requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Iterable

from airflow_provider_datarecs.polling.list_state import ListState
from airflow_provider_datarecs.polling.request import FIRST_PAGE, ListPage, PollRequest, Subject, TrackedRun

if TYPE_CHECKING:
    from airflow_provider_datarecs.polling.lookup import RunLookup


class RequestPlan:
    """
    Hold the requests about one job, and look only at what has changed: it may have thousands of runs.

    :param lookup: has the runs, and the watches over their list
    """

    __slots__ = (
        "_asks_lists",
        "_asks_singly",
        "_by_subject",
        "_changed",
        "_ended",
        "_lookup",
        "_pages_asked",
    )

    def __init__(self, lookup: RunLookup) -> None:
        self._by_subject: Dict[Subject, PollRequest] = {}  # those that wait for their turn
        self._lookup = lookup
        self._asks_singly = False  # rather than for several runs at once
        self._asks_lists = True  # even for one run
        self._pages_asked: list[ListPage] = []  # few, and an empty set takes four times the memory
        self._changed: Dict[Subject, None] = {}
        self._ended: list[PollRequest] = []

    @property
    def requests(self) -> list[PollRequest]:
        """The requests that wait for their turn."""
        return [*self._by_subject.values()]

    def note_change(self, subject: Subject) -> None:
        """Note that a run is new or gone, that others wait for it, or that more is known of it."""
        self._changed[subject] = None

    def start_over(self) -> list[PollRequest]:
        """Let go of all requests that wait for their turn, and give them; all are planned anew."""
        gone = self.requests
        for request in gone:
            self._let_go(request)
        self._changed.update(dict.fromkeys(self._lookup.runs.values()))
        return gone

    def update(self, state: ListState) -> tuple[list[PollRequest], list[PollRequest]]:
        """
        Give the requests that take no turn any more, and those that take one from now on.

        :param state: what is known of the job's list
        """
        asks_singly = state in (ListState.PROBE, ListState.SINGLE)
        asks_lists = state in (ListState.NEW, ListState.RETRY)
        gone = self.start_over() if (asks_singly, asks_lists) != (self._asks_singly, self._asks_lists) else []
        self._asks_singly, self._asks_lists = asks_singly, asks_lists
        changed, self._changed = self._changed, {}
        gone += self._ended
        self._ended = []
        free: Dict[TrackedRun, None] = {}
        for subject in changed:
            request = subject.request if isinstance(subject, TrackedRun) else self._by_subject.get(subject)
            if request is not None and self._by_subject.get(request.subject) is request:
                gone.append(request)
                self._let_go(request)
                free.update(dict.fromkeys(request.runs))
            elif request is None and isinstance(subject, TrackedRun):
                free[subject] = None
        made = []
        for subject, runs in self._by_subject_of(free).items():
            if subject in self._pages_asked:
                # What comes up meanwhile joins the rest of the page after the answer.
                self._changed.update(dict.fromkeys(runs))
                continue
            joined = self._by_subject.get(subject)
            if joined is not None:
                gone.append(joined)
                self._let_go(joined)
            made.append(self._make(subject, [*(joined.runs if joined else ()), *runs]))
        return gone, made

    def begin(self, request: PollRequest) -> None:
        """Note that a request is sent."""
        del self._by_subject[request.subject]
        if request.page is not None:
            self._pages_asked.append(request.page)

    def end(self, request: PollRequest) -> None:
        """Note that a request has been answered, or will not be."""
        if request.page is not None:
            self._pages_asked.remove(request.page)
        self._ended.append(request)
        for run in request.runs:
            run.request = None
            self.note_change(run)

    def _let_go(self, request: PollRequest) -> None:
        del self._by_subject[request.subject]
        for run in request.runs:
            run.request = None

    def _by_subject_of(self, runs: Iterable[TrackedRun]) -> Dict[Subject, list[TrackedRun]]:
        groups: Dict[Subject, list[TrackedRun]] = {}
        if self._lookup.watches and FIRST_PAGE not in self._by_subject:
            groups[FIRST_PAGE] = []
        for run in runs:
            if self._lookup.runs.get(run.id) is run:  # else nobody waits for it any more
                subject = run if self._asks_singly or run.page is None else run.page
                groups.setdefault(subject, []).append(run)
        return groups

    def _make(self, subject: Subject, runs: list[TrackedRun]) -> PollRequest:
        is_watched = subject == FIRST_PAGE and bool(self._lookup.watches)
        as_list = is_watched or len(runs) > 1 or self._asks_lists
        page = subject if as_list and isinstance(subject, ListPage) else None
        request = self._by_subject[subject] = PollRequest(self._lookup, subject, runs, page)
        return request
