"""Turns what was measured with webhooks into figures, and figures into a page."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from airflow_provider_datarecs.simulator.app import SeenRequest

ENDS = {"COMPLETED": "success", "FAILED": "failed"}  # of runs, and of the tasks that wait for them
STEPS = ("polled", "event", "resumed")

INTRODUCTION = """# Webhooks, measured

Made by `make push`: a real Airflow with two API servers (3.x) or web servers (2.x), two triggerers, the
LocalExecutor and PostgreSQL, all on one machine with the simulated DataRecs. Each task waits for the run of a
job of its own, and all share one API key of 100 requests in any minute. The runs end at random over the
minutes that the table says, one in ten of them FAILED. The simulator posts an event for each end, to both
receivers in turn. Seconds from a run's end to

- *polled*: the request that shows that the run has ended, which is this provider's part;
- *event*: the trigger's event in Airflow's database, which the triggerer writes;
- *resumed*: the task going on in a worker, which the scheduler and its executor start: where there are few
  cores, that is what most of the time goes to.

A wait is *wrong* if its task did not end as its run did, *lost* if it has not ended. *Most in a minute* is
the largest number of requests in any 60 s. Airflow's own API was asked for its health each second, at both
servers.
"""


def figures_of(
    plans: dict[int, tuple[float, str]],
    states: dict[int, dict[str, float]],
    requests: list[SeenRequest],
    began: float,
) -> dict[str, Any]:
    """
    Give the figures of a case.

    :param plans: when and how the run of each wait ended
    :param states: when the task of each came to each of its states
    :param requests: what was asked with the case's API key
    :param began: when the first run could end
    """
    polled: dict[int, float] = {}
    for seen in requests:
        job = next((part for part in seen.path.split("/") if "_job_" in part), "")
        number = int(job.rpartition("_")[2] or -1)
        if number in plans and seen.status == 200 and seen.at >= plans[number][0]:
            polled.setdefault(number, seen.at)
    ended = {number: one.keys() & set(ENDS.values()) for number, one in states.items()}
    times = sorted(seen.at for seen in requests if seen.status != 429)
    delays = {
        "polled": [at - plans[number][0] for number, at in polled.items()],
        "event": _delays(plans, states, "scheduled"),
        "resumed": _delays(plans, states, "running"),
    }
    last = max((end for end, _ in plans.values()), default=began)
    return {
        "wrong": sum(ended.get(number, set()) - {ENDS[how]} != set() for number, (_, how) in plans.items()),
        "lost": sum(not ended.get(number) for number in plans),
        "refused": sum(seen.status == 429 for seen in requests),
        "requests": sum(began <= at <= last for at in times) / max(1.0, last - began) * 60.0,
        "most_in_a_minute": max((sum(at <= one < at + 60.0 for one in times) for at in times), default=0),
        **{f"{step}_{name}": value for step in STEPS for name, value in _spread(delays[step]).items()},
    }


def _delays(
    plans: dict[int, tuple[float, str]], states: dict[int, dict[str, float]], state: str
) -> list[float]:
    return [one[state] - plans[number][0] for number, one in states.items() if state in one]


def _spread(delays: list[float]) -> dict[str, float]:
    if len(delays) < 2:
        return {}
    return {
        "median": statistics.median(delays),
        "p95": statistics.quantiles(delays, n=20)[-1],
        "longest": max(delays),
    }


def _seconds(step: str) -> Callable[[dict[str, Any]], str]:
    def show(row: dict[str, Any]) -> str:
        names = [f"{step}_{name}" for name in ("median", "p95", "longest")]
        return " / ".join(f"{row[name]:.1f}" if name in row else "-" for name in names)

    return show


COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "events": lambda row: row["title"],
    "waits, ends in": lambda row: f"{row['waits']:,}, {row['minutes']:g} min",
    "left free": lambda row: f"{row['free']:g}",
    "polled, s: median / 95 % / longest": _seconds("polled"),
    "event": _seconds("event"),
    "resumed": _seconds("resumed"),
    "requests a minute": lambda row: f"{row['requests']:.0f}",
    "most in a minute": lambda row: str(row["most_in_a_minute"]),
    "refused (429)": lambda row: str(row["refused"]),
    "wrong": lambda row: str(row["wrong"]),
    "lost": lambda row: str(row["lost"]),
    "Airflow's API: asked, failed, longest s": lambda row: (
        f"{row['asked_airflow']}, {row['airflow_failed']}, {row['airflow_longest']:.1f}"
    ),
    "commit": lambda row: row["commit"],
}


def page(rows: list[dict[str, Any]]) -> str:
    """Give the page with all figures as Markdown."""
    parts = [INTRODUCTION]
    for version in sorted({row["airflow"] for row in rows}, reverse=True):
        some = [row for row in rows if row["airflow"] == version]
        lines = [" | ".join(COLUMNS), " | ".join("---" for _ in COLUMNS)]
        lines += [" | ".join(show(row) for show in COLUMNS.values()) for row in some]
        cores = some[0]["cores"]
        parts += [f"## Airflow {version}, {cores} cores\n", "\n".join(f"| {line} |" for line in lines), ""]
    return "\n".join(parts)
