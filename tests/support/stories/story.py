"""What a story is: a job, what goes wrong on the way to its run, and how its task is made."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_datarecs.simulator import Fault, Plan

TIMEOUT = 0.4  # seconds for one request, in place of 30
GRACE = 2.0  # seconds in which a new run may not show, in place of 60

HTML = {"body": "<html>Something went wrong</html>", "headers": {"Content-Type": "text/html"}}
# What may meet any request, and whether the request is carried out all the same.
FAULTS: dict[str, dict[str, Any]] = {
    "reset before": {"drop": "before"},
    "reset after": {"drop": "after"},
    "half a body": {"drop": "half"},
    "headers that never come": {"slow": 60.0},
    "body without end": {"padding": -1, "slow": 0.02},
    "answer too large": {"padding": 17_000_000},
    "carried out too late to answer": {"delay": TIMEOUT + 0.1},
    "slow answer": {"delay": 0.05},
    "JSON called HTML": {"headers": {"Content-Type": "text/html"}},
    "500 before": {"status": 500, "body": {"message": "oops"}},
    "502 after": {"status": 502, "carry_out": True, **HTML},
    "503 before": {"status": 503, **HTML},
    "error page with 200, before": {"status": 200, **HTML},
    "error page with 200, after": {"status": 200, "carry_out": True, **HTML},
    "error object with 200, after": {"status": 200, "carry_out": True, "body": {"error": "try later"}},
    "nothing with 201, after": {"status": 201, "carry_out": True, "body": ""},
    "429": {"status": 429, "headers": {"Retry-After": "0"}},
    "redirect": {"status": 307, "headers": {"Location": "http://127.0.0.1:1/"}},
    "401": {"status": 401},
    "403": {"status": 403},
    "404": {"status": 404},
    "422": {"status": 422, "body": {"message": "not now"}},
}
RARE = {"answer too large": 0.2, "401": 0.3, "403": 0.3, "404": 0.3, "422": 0.5, "redirect": 0.3}
# At which point of a task's try its worker is gone.
DEATHS = ("before the request", "before it is stored", "before its XComs")


@dataclass
class Mishap:
    """
    A fault of a story.

    :param kind: its name in ``FAULTS``
    :param fault: as the simulator has it
    :param times: how many requests it was to meet
    """

    kind: str
    fault: Fault
    times: int

    @property
    def met(self) -> int:
        """How many requests it has met."""
        return self.times - (self.fault.times or 0)


@dataclass
class Story:
    """
    All that is drawn for a story; what its names do not say:

    :param service: the number of the service that it plays at
    :param start: ``ids``, ``names`` or ``group``
    :param deaths: for each try that starts a run, where its worker dies, or None
    :param strangers: runs of the same job that others have started, and how many seconds ago
    :param policy: the sensor's timeout
    :param is_cleared: whether somebody clears the task once it has started its run or failed
    """

    number: int
    service: int
    start: str
    unique_label: bool
    run_label: str | None
    on_uncertain: str
    retries: int
    retry_delay: float
    has_store: bool
    deaths: list[str | None]
    strangers: list[float]
    policy: float
    is_cleared: bool
    plan: Plan
    mishaps: list[Mishap] = field(default_factory=list)

    @property
    def owner_id(self) -> str:
        """The id of its job or job group."""
        return f"owner-{self.number}"

    @property
    def base(self) -> str:
        """The path of its job or job group."""
        return f"/{'job-groups' if self.start == 'group' else 'jobs'}/{self.owner_id}"


def draw(seed: int, number: int, services: int) -> Story:
    """
    Draw a story.

    :param seed: of all stories
    :param number: the story's own
    :param services: how many services there are
    """
    dice = random.Random(f"{seed}/{number}")
    unique = dice.random() < 0.5
    story = Story(
        number=number,
        service=dice.randrange(services),
        start=dice.choices(["ids", "names", "group"], [70, 5, 25])[0],
        unique_label=unique,
        run_label=f"label {number}" if dice.random() < 0.3 else None,
        on_uncertain=dice.choice(["fail", "fail", "retry"]),
        retries=dice.choice([0, 1, 1, 2]),
        retry_delay=dice.choice([0.0, 0.3]),
        has_store=dice.random() < 0.6,
        deaths=[dice.choice(DEATHS) if dice.random() < 0.12 else None for _ in range(6)],
        strangers=[dice.choice([0.0, 7200.0]) for _ in range(dice.choice([0, 0, 0, 1, 3]))],
        policy=dice.choices([0.3, 20.0], [10, 90])[0],
        is_cleared=dice.random() < 0.3,
        plan=_plan(dice),
    )
    story.mishaps = [
        *_mishaps(dice, "POST", f"{story.base}/run", dice.choice([0, 1, 1, 2, 3])),
        *_mishaps(dice, "GET", f"{story.base}/runs*", dice.choice([0, 0, 1, 2, 4])),
    ]
    return story


def _plan(dice: random.Random) -> Plan:
    processed = dice.randrange(10_000)
    matched = dice.randint(0, processed)
    status = dice.choices(["COMPLETED", "FAILED", "CANCELLED"], [70, 20, 10])[0]
    return Plan(
        status=status,
        queued=dice.choice([0.0, 0.05]),
        running=dice.choice([0.0, 0.2]),
        rows_processed=processed,
        rows_matched=matched,
        rows_unmatched=dice.choice([processed - matched, None]),
        error=dice.choice([None, "disk full", {"code": "E7", "message": "disk full"}]),
        # Late, but within what the service must keep to; or far too late.
        hidden=dice.choices([0.0, 0.3, 2.0 * GRACE], [70, 25, 5])[0],
    )


def _mishaps(dice: random.Random, method: str, path: str, count: int) -> list[Mishap]:
    kinds = list(FAULTS)
    weights = [RARE.get(kind, 1.0) for kind in kinds]
    drawn = []
    for kind in dice.choices(kinds, weights, k=count):
        times = dice.choice([1, 1, 2, 7])
        drawn.append(Mishap(kind, Fault(method=method, path=path, times=times, **FAULTS[kind]), times))
    return drawn
