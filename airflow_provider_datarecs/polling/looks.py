"""Reads what an answer shows of each run, and learns whether lists are worth asking for."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, List, Tuple, Union

from airflow_provider_datarecs.api.errors import (
    DataRecsError,
    Forbidden,
    NotFound,
    Redirected,
    Rejected,
    UnreadableAnswer,
)
from airflow_provider_datarecs.api.parsing import Page
from airflow_provider_datarecs.api.runs import Run
from airflow_provider_datarecs.api.times import epoch_seconds

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.contract import TargetKind
    from airflow_provider_datarecs.api.runs import Shape
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.jobs import RunsQuestion, TrackedRun

    Answer = Union[Page, Run, DataRecsError]
    Looks = List[Tuple[TrackedRun, "Run | DataRecsError"]]

log = logging.getLogger(__name__)

# What a list may meet although its runs can be asked for one by one. Everything else that goes wrong would go
# wrong with them, too.
LIST_IS_REFUSED = (NotFound, Forbidden, Rejected, Redirected, UnreadableAnswer)
DOUBT = 5.0  # seconds after which a list is asked for again, to take from it what was in doubt
MOST_PAGES = 20  # of a list; what is not on them is asked for by itself
UNHELPFUL = 3  # jobs whose lists did not help, and none in between whose list did: no more are asked for
MOST_SHAPES = 100  # with which lists have shown ends that are remembered
LISTS_AGAIN = 1800.0  # seconds after which lists that did not help are tried again


class Reader:
    """
    Read all answers that come through a connection.

    :param conn_id: the connection's id
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self._without_lists_until: dict[TargetKind, float] = {}
        self._unhelpful: dict[TargetKind, set[Target]] = {}
        self._whole_shapes: set[Shape] = set()
        self._partial_shapes: set[Shape] = set()
        self._examples: dict[Shape, TrackedRun] = {}

    def lists_help(self, kind: TargetKind, now: float) -> bool:
        """
        Say whether the service's lists tell how runs are, as far as is known.

        :param kind: whether those of jobs or of job groups
        :param now: the time, by the clock of the questions
        """
        return now >= self._without_lists_until.get(kind, now)

    def read(self, question: RunsQuestion, answer: Answer, now: float) -> Looks:
        """
        Give what the answer shows of each run; those that it leaves out are still to be asked for.

        :param question: what was asked
        :param answer: what came back
        :param now: the time, by the clock of the questions
        """
        if isinstance(answer, Page):
            return self._read_list(question, answer, now)
        job = question.job
        if question.as_list:
            if isinstance(answer, LIST_IS_REFUSED):
                self._list_refused(question, now)
                return []
            return [(run, answer) for run in question.runs]
        (run,) = question.runs
        if isinstance(answer, Run):
            if job.ask_singly:
                job.ask_singly, job.alone_worked = False, True
            elif job.list_was_useless:
                job.list_was_useless = False
                self._does_not_help(job.target, now)
            if run.listed_as is not None:
                self._learn(run.listed_as, is_whole=run.listed_as == answer.shape)
        elif isinstance(answer, LIST_IS_REFUSED):
            job.ask_singly = False  # asking for the run alone is no better
        return [(run, answer)]

    def _list_refused(self, question: RunsQuestion, now: float) -> None:
        job = question.job
        if question.runs[0].page is not None:
            for run in question.runs:  # what names a page may expire
                run.listed = False
        elif job.alone_worked:
            # Refused, while its runs are answered before and after: no passing trouble.
            job.alone_worked, job.singly_until = False, now + LISTS_AGAIN
            log.info(
                "Connection %s: the run history of %s is refused or cannot be read, so its runs are asked "
                "for one by one, which takes more requests; trying it again after %.0f minutes",
                self.conn_id,
                job.target,
                LISTS_AGAIN / 60.0,
            )
            self._does_not_help(job.target, now)
        else:
            job.ask_singly = True

    def _read_list(self, question: RunsQuestion, page: Page, now: float) -> Looks:
        polls: Looks = []
        shown, useful = question.job.read(page), False
        question.job.alone_worked = False
        for run in question.runs:
            seen = shown.get(run.id)
            if seen is None and page.next_url is not None and run.depth < MOST_PAGES:
                run.page, run.depth = page.next_url, run.depth + 1
                continue
            if seen is None or not seen.status:
                run.listed = False
                continue
            useful = True
            if seen.is_finished and not (seen.is_whole or seen.shape in self._whole_shapes):
                self._confirmation(run, seen, now)
                continue
            polls.append((run, seen))
        if useful:
            self._unhelpful.pop(question.job.target.kind, None)
        # If there are more pages, it may be honest.
        question.job.list_was_useless = not useful and page.next_url is None
        return polls

    def _confirmation(self, run: TrackedRun, seen: Run, now: float) -> None:
        """Have a run asked for alone whose list may not show all of its result."""
        run.ended = _on_clock(seen.result["completed_at"], now)
        example = self._examples.get(seen.shape)
        known = seen.shape in self._partial_shapes
        if known or run.urgent or example is None or not example.waits or example is run:
            if not known:
                self._make_room(self._examples)
                self._examples[seen.shape] = run
            run.listed, run.listed_as = False, seen.shape
        else:
            # Whether such runs have more to show than this is just being found out, by one of them for all.
            for wait in run.waits:
                wait.due = now + DOUBT

    def _learn(self, shape: Shape, *, is_whole: bool) -> None:
        """Note whether ends that lists show in a shape are whole."""
        self._examples.pop(shape, None)
        known = self._whole_shapes if is_whole else self._partial_shapes
        self._make_room(known)
        known.add(shape)

    def _make_room(self, shapes: set[Shape] | dict[Shape, TrackedRun]) -> None:
        # Where a service shows ever new ones, some runs are asked for once more.
        if len(shapes) >= MOST_SHAPES:
            shapes.clear()

    def _does_not_help(self, target: Target, now: float) -> None:
        """Note a list that told nothing although its runs can be had; after some jobs', ask for none."""
        unhelpful = self._unhelpful.setdefault(target.kind, set())
        unhelpful.add(target)
        if len(unhelpful) < UNHELPFUL or not self.lists_help(target.kind, now):
            return
        unhelpful.clear()
        self._without_lists_until[target.kind] = now + LISTS_AGAIN
        log.info(
            "Connection %s: run histories do not help here (those of %d %ss in a row do not show the runs, "
            "or cannot be read), so each run is asked for by itself, which takes more requests; trying them "
            "again after %.0f minutes",
            self.conn_id,
            UNHELPFUL,
            target.kind.noun,
            LISTS_AGAIN / 60.0,
        )


def _on_clock(moment: Any, now: float) -> float:
    then = epoch_seconds(moment)
    return now if then is None else now - max(0.0, time.time() - then)
