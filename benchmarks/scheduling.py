"""
A study of the schedule on a simulated clock: how soon is the end of a run noticed?

1,000 jobs start together, with 80 requests a minute to poll them. Their run times lie between 5
minutes and 4 hours, spread log-evenly. Taking turns is what every other provider's waits come to under a
limit.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import deque
from dataclasses import dataclass, field

from airflow_provider_datarecs.polling.config import PollingConfig
from airflow_provider_datarecs.polling.durations import RunDurations
from airflow_provider_datarecs.polling.losses import LossCurve
from airflow_provider_datarecs.polling.schedule import Schedule, draw_max_rounds

JOBS = 1000
PAUSE = 60.0 / 80.0  # seconds between two polls
SHORTEST, LONGEST = 300.0, 4 * 3600.0
SPREAD = 0.1  # how far a run may be from its job's usual time
SEEDS = (1, 2, 3)
HISTORY = 20  # earlier runs of each job

Job = tuple[float, list[float]]  # what the run takes, and what those before it took


def jobs(seed: int, *, usual: bool) -> list[Job]:
    """Draw run times: around each job's usual time, or each one anew."""
    chance = random.Random(seed)

    def any_time() -> float:
        return math.exp(chance.uniform(math.log(SHORTEST), math.log(LONGEST)))

    made = []
    for _ in range(JOBS):
        middle = any_time()
        times = [
            middle * chance.uniform(1 - SPREAD, 1 + SPREAD) if usual else any_time()
            for _ in range(1 + HISTORY)
        ]
        made.append((times[0], times[1:]))
    return made


def taking_turns(todo: list[Job]) -> list[float]:
    """Give the seconds from each run's end to the poll that sees it, if jobs take turns."""
    turns, now, delays = deque(took for took, _ in todo), 0.0, []
    while turns:
        now += PAUSE
        took = turns.popleft()
        if now >= took:
            delays.append(now - took)
        else:
            turns.append(took)
    return delays


@dataclass(eq=False)
class Candidate:
    """A job whose run is polled, as the schedule sees it."""

    took: float
    before: list[float]
    durations: RunDurations
    curve: LossCurve
    asked_at: float
    due: float = 0.0
    interval: float = 1.0
    is_urgent: bool = False
    max_rounds: float = field(default_factory=draw_max_rounds)

    def learn(self, runs: int) -> None:
        """Learn how long so many of the runs before it took."""
        for number, seconds in enumerate(self.before[:runs]):
            self.durations.learn(str(number), ended=number, seconds=seconds)

    def again(self, now: float, runs: int = HISTORY) -> Candidate:
        """Give the one that comes after it, as the poller makes requests anew after each answer."""
        self.learn(runs)
        curve = LossCurve(self.durations.spans(0.0, now))
        return Candidate(self.took, self.before, self.durations, curve, now)


def by_schedule(todo: list[Job], *, known: int) -> list[float]:
    """Give the same for this provider's schedule, with so many earlier runs known before the first poll."""
    schedule: Schedule[Candidate] = Schedule()
    now, delays = 0.0, []
    for took, before in todo:
        new = Candidate(took, before, RunDurations(), LossCurve([(now, now, 0.5)]), now)
        schedule.add(new.again(now, known) if known else new)
    while len(schedule):
        now += PAUSE
        asked, _ = schedule.next(now, len(schedule) * PAUSE)
        assert asked is not None
        schedule.discard(asked)
        if now >= asked.took:
            delays.append(now - asked.took)
        else:
            schedule.add(asked.again(now))
    return delays


def study() -> list[dict[str, object]]:
    """Compare them, and give a row for each kind of run times."""
    rows: list[dict[str, object]] = []
    for times, usual in (("within 10 % of the job's usual time", True), ("random", False)):
        drawn = {seed: jobs(seed, usual=usual) for seed in SEEDS}
        for how, delays in (
            ("taking turns", [taking_turns(todo) for todo in drawn.values()]),
            ("schedule, histories known", [by_schedule(todo, known=HISTORY) for todo in drawn.values()]),
            ("schedule, the last run known", [by_schedule(todo, known=1) for todo in drawn.values()]),
            ("schedule, cold start", [by_schedule(todo, known=0) for todo in drawn.values()]),
        ):
            together = sorted(delay for one in delays for delay in one)
            rows.append(
                {
                    "times": times,
                    "how": how,
                    "median": statistics.median(together),
                    "p95": statistics.quantiles(together, n=20)[-1],
                    "longest": together[-1],
                    "bound": PollingConfig.max_rounds * JOBS * PAUSE,
                }
            )
    return rows


if __name__ == "__main__":
    for row in study():
        print(row)
