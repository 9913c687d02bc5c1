"""
A study of the schedule on a simulated clock: how soon is the end of a run noticed?

1,000 jobs start together, with 80 requests a minute to look at them. Their run times lie between 5
minutes and 4 hours, spread log-evenly. Taking turns is what every other provider's waits come to under a
limit.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import deque

from airflow_provider_datarecs.polling.durations import History
from airflow_provider_datarecs.polling.schedule import ROUNDS, Question, Schedule

JOBS = 1000
PAUSE = 60.0 / 80.0  # seconds between two looks
SHORTEST, LONGEST = 300.0, 4 * 3600.0
SPREAD = 0.1  # how far a run may be from its job's usual time
SEEDS = (1, 2, 3)

Job = tuple[float, list[float]]  # what the run takes, and what those before it took


def jobs(seed: int, *, usual: bool) -> list[Job]:
    """Draw run times: around each job's usual time, or each one anew."""
    chance = random.Random(seed)

    def any_time() -> float:
        return math.exp(chance.uniform(math.log(SHORTEST), math.log(LONGEST)))

    made = []
    for _ in range(JOBS):
        middle = any_time()
        times = [middle * chance.uniform(1 - SPREAD, 1 + SPREAD) if usual else any_time() for _ in range(21)]
        made.append((times[0], times[1:]))
    return made


def taking_turns(todo: list[Job]) -> list[float]:
    """Give the seconds from each run's end to the look that sees it, if jobs take turns."""
    turns, now, delays = deque(took for took, _ in todo), 0.0, []
    while turns:
        now += PAUSE
        took = turns.popleft()
        if now >= took:
            delays.append(now - took)
        else:
            turns.append(took)
    return delays


def by_schedule(todo: list[Job], *, known: bool) -> list[float]:
    """Give the same for this provider's schedule, with histories known before or from the first look on."""
    schedule, now, delays = Schedule(), 0.0, []
    runs: dict[Question, tuple[float, History]] = {}

    def learn(history: History, times: list[float]) -> None:
        for number, seconds in enumerate(times):
            history.learn(str(number), ended=number, seconds=seconds)

    histories = {}
    for took, before in todo:
        question, history = Question(now), History()
        runs[question], histories[question] = (took, history), before
        if known:
            learn(history, before)
            question.new = False
            question.expect([history.spans(0.0, 0.0)])
        schedule.questions.add(question)
    while schedule.questions:
        now += PAUSE
        asked, _ = schedule.next(now, len(schedule.questions) * PAUSE)
        assert asked is not None
        took, history = runs[asked]
        schedule.questions.discard(asked)
        if now >= took:
            delays.append(now - took)
            continue
        learn(history, histories[asked])
        again = Question(now)  # as the poller makes questions anew after each answer
        again.new = False
        again.expect([history.spans(0.0, now)])
        runs[again], histories[again] = (took, history), histories[asked]
        schedule.questions.add(again)
    return delays


def study() -> list[dict[str, object]]:
    """Compare them, and give a row for each kind of run times."""
    rows: list[dict[str, object]] = []
    for times, usual in (("within 10 % of the job's usual time", True), ("random", False)):
        drawn = {seed: jobs(seed, usual=usual) for seed in SEEDS}
        for how, delays in (
            ("taking turns", [taking_turns(todo) for todo in drawn.values()]),
            ("schedule, histories known", [by_schedule(todo, known=True) for todo in drawn.values()]),
            ("schedule, cold start", [by_schedule(todo, known=False) for todo in drawn.values()]),
        ):
            together = sorted(delay for one in delays for delay in one)
            rows.append(
                {
                    "times": times,
                    "how": how,
                    "median": statistics.median(together),
                    "p95": statistics.quantiles(together, n=20)[-1],
                    "longest": together[-1],
                    "bound": ROUNDS * JOBS * PAUSE,
                }
            )
    return rows


if __name__ == "__main__":
    for row in study():
        print(row)
