"""Judges how a story has ended, by what there is at the simulated service."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_datarecs.api.contract import COMPLETED, COUNTS, TargetKind
from airflow_provider_datarecs.compat import AirflowException, AirflowSensorTimeout
from airflow_provider_datarecs.exceptions import DataRecsRunUncertain
from support.stories.play import WorkerDied
from support.stories.story import GRACE

if TYPE_CHECKING:
    from airflow_provider_datarecs.simulator.app import SeenRequest
    from airflow_provider_datarecs.simulator.runs import Run
    from support.stories.play import End, Play

SAYS_NOT_SEEN = "whether an earlier try of this task started a run"

STARTED = "succeeded: the answer had the run's id"
ADOPTED = "succeeded: the run was found by its label"
STORED = "succeeded: an earlier try had stored the run's id"
UNCERTAIN = "failed with `DataRecsRunUncertain`, and there is a run"
UNCERTAIN_FOR_NOTHING = "failed with `DataRecsRunUncertain`, and there is none"
NOT_SEEN = "failed in its last try, which could not see whether there is a run, and says so"
NOTHING = "failed, and said that nothing was started"
DIED = "lost its worker in its last try"
OUTCOMES = (STARTED, ADOPTED, STORED, UNCERTAIN, UNCERTAIN_FOR_NOTHING, NOT_SEEN, NOTHING, DIED)
STARTS = "tasks that start a run"
SENT = "their requests to start it"
RUNS = "runs that these have started"
SECOND_ON_DEMAND = 'second runs, with `on_uncertain="retry"`'
SECOND_TOO_LATE = "second runs, where the service showed the first one too late"
LAGGED = "runs that showed too late because this machine was slow"
WAITS = "waits that ended as their run did"
WAITS_FAILED = "waits that failed for another reason, and say which"
WAITS_TIMED_OUT = "waits that timed out"
SECONDS = (SECOND_ON_DEMAND, SECOND_TOO_LATE)
FIGURES = (STARTS, SENT, RUNS, *OUTCOMES, *SECONDS, LAGGED, WAITS, WAITS_FAILED, WAITS_TIMED_OUT)


@dataclass
class Start:
    """
    What became of one start of a run: a task that starts one, with its retries.

    :param end: how the task ended
    :param posts: its requests to start one
    :param asked: all requests of its last try, the first of them first
    :param runs: the runs that there are of it
    """

    end: End
    posts: list[SeenRequest]
    asked: list[SeenRequest]
    runs: list[Run]

    @property
    def is_shown_too_late(self) -> bool:
        """Whether a run of it could not be seen by the time at which a service must show it."""
        return any(
            run.created_at + run.plan.hidden
            > max(post.at for post in self.posts if post.at <= run.created_at) + GRACE
            for run in self.runs
        )

    @property
    def outcome(self) -> str:
        """How its task ended, one of ``OUTCOMES``."""
        error = self.end.error
        if error is None and not self.asked:
            return STORED
        if error is None:
            return STARTED if self.asked[-1].method == "POST" else ADOPTED
        if isinstance(error, WorkerDied):
            return DIED
        if isinstance(error, DataRecsRunUncertain):
            return UNCERTAIN if self.runs else UNCERTAIN_FOR_NOTHING
        return NOT_SEEN if SAYS_NOT_SEEN in str(error) else NOTHING


class Verdict:
    """
    What is to be said of a story: ``wrong`` lists what must not be, ``figures`` counts the rest.

    ``offers`` counts it by what the service offers and the task asks for.

    :param play: a story that is over
    """

    def __init__(self, play: Play) -> None:
        self.play = play
        self.story = play.story
        self.wrong: list[str] = []
        self.figures: Counter[str] = Counter()
        self.offers: Counter[Any] = Counter()
        self.behaviour = play.simulator.world.behaviour
        starts = [end for end in play.ends if end.task == "start"]
        untils = [end.began for end in starts[1:]] + [float("inf")]
        for end, until in zip(starts, untils):
            self._judge_start(self._start(end, until))
        for end in play.ends[len(starts) :]:
            self._judge_wait(end)

    def _start(self, end: End, until: float) -> Start:
        base, path = self.story.base + "/", self.story.base + "/run"
        seen = [one for one in self.play.simulator.requests if one.path.startswith(base)]
        seen = sorted((one for one in seen if end.began <= one.at < until), key=lambda one: one.at)
        posts = [one for one in seen if one.path == path]
        keys = {one.headers["Idempotency-Key"] for one in posts}
        runs = self.play.simulator.world.runs[self.play.kind]
        if len(keys) > 1:
            self.wrong.append(f"one start has several keys: {keys}")
        last = [one for one in seen if end.last_began <= one.at <= end.ended]
        return Start(end, posts, last, [run for run in runs if run.idempotency_key in keys])

    def _judge_start(self, start: Start) -> None:
        error, ids = start.end.error, [run.id for run in start.runs]
        self.figures.update({STARTS: 1, SENT: len(start.posts), RUNS: len(ids), start.outcome: 1})
        self.offers.update([(self._offer(), group_of(start.outcome)), (self._offer(), "tasks")])
        if start.is_shown_too_late and self.story.plan.hidden < GRACE:
            self.figures[LAGGED] += 1
        if len(ids) > 1:
            on_demand = self.story.on_uncertain == "retry"
            self.figures[SECOND_ON_DEMAND if on_demand else SECOND_TOO_LATE] += len(ids) - 1
            self.offers[self._offer(), "second runs"] += len(ids) - 1
            if self._must_be_one(start):
                self.wrong.append(f"{len(ids)} runs for one start: {ids}")
        self._check_kind(error)
        if error is None:
            if start.end.xcoms.get("run_id") not in ids:
                self.wrong.append(
                    f"the run that was pushed is not of this start: {start.end.xcoms}, not {ids}"
                )
            if start.end.xcoms.get(self.play.kind.id_field) != self.story.owner_id:
                self.wrong.append(f"wrong ids were pushed: {start.end.xcoms}")
        elif start.outcome == NOTHING and ids and not start.is_shown_too_late:
            self.wrong.append(f"there is {ids}, but the task says {error!r}")

    def _check_kind(self, error: BaseException | None) -> None:
        if not isinstance(error, (AirflowException, WorkerDied, type(None))):
            self.wrong.append(f"no exception that Airflow knows: {error!r}")

    @property
    def _is_undisturbed(self) -> bool:
        """Whether nothing went wrong with what was read."""
        return not any(mishap.met for mishap in self.story.mishaps if mishap.fault.method == "GET")

    def _offer(self) -> tuple[bool, bool, str]:
        by_label = self.behaviour.echoes_label and self.story.unique_label
        return self.behaviour.honours_idempotency_key, by_label, self.story.on_uncertain

    def _must_be_one(self, start: Start) -> bool:
        if self.behaviour.honours_idempotency_key:
            return True
        by_label = self.behaviour.echoes_label and self.story.unique_label
        return (
            (by_label and self._is_undisturbed) or self.story.on_uncertain == "fail"
        ) and not start.is_shown_too_late

    def _judge_wait(self, end: End) -> None:
        story, world = self.story, self.play.simulator.world
        run_id = self.play.ends[-2].xcoms["run_id"]
        run = next(run for run in world.runs[self.play.kind] if run.id == run_id)
        self._check_kind(end.error)
        if end.error is None:
            self.figures[WAITS] += 1
            if end.xcoms.get("run_result") is None or self._differs(end.xcoms["run_result"], run):
                self.wrong.append(f"a result that is not the run's: {end.xcoms}, {run}")
            return
        timed_out = isinstance(end.error, AirflowSensorTimeout)
        told = {"FAILED": "FAILED: run ", "CANCELLED": "CANCELLED: run "}.get(story.plan.status)
        is_told = told is not None and run_id in str(end.error) and told in str(end.error)
        self.figures[WAITS if is_told else WAITS_TIMED_OUT if timed_out else WAITS_FAILED] += 1
        in_time = run.plan.hidden < GRACE and story.policy > GRACE
        if self._is_undisturbed and in_time and not is_told:
            self.wrong.append(f"the run is {story.plan.status}, but the wait says {end.error!r}")

    def _differs(self, result: dict[str, Any], run: Run) -> bool:
        plan, parts = run.plan, len(run.parts) or 1
        counts = {name: getattr(plan, name) for name in COUNTS}
        truth = {name: None if count is None else count * parts for name, count in counts.items()}
        shown = {name: result.get(name) for name in COUNTS}
        is_end = result.get("status") == plan.status == COMPLETED and result.get("error") is None
        group = self.play.kind is TargetKind.JOB_GROUP
        return not is_end or shown != truth or group != ("runs" in result)


def group_of(outcome: str) -> str:
    """Give the coarse name of an outcome."""
    coarse = {UNCERTAIN: "uncertain", UNCERTAIN_FOR_NOTHING: "uncertain", NOT_SEEN: "uncertain"}
    return coarse.get(outcome, "succeeded" if outcome in (STARTED, ADOPTED, STORED) else "other")
