"""Turns what was measured on Airflow's triggerer into a page."""

from __future__ import annotations

from typing import Any, Callable

Show = Callable[[dict[str, Any]], str]

INTRODUCTION = """# On Airflow's own triggerer

Made by `make triggerer`: one triggerer of a real Airflow with PostgreSQL, on one machine with the service
that it asks, over TLS. Each wait is for the run of a job of its own, and is polled each minute; the service
has no limit. The tasks were deferred by Airflow's own code, without a worker each, and no scheduler runs
meanwhile, which would start a worker for each wait that is over.

- *taken up*: the seconds from the triggerer's start until Airflow has assigned it all waits; *begun*: until
  each has written its first line, within 5 s;
- *MB*: of all its processes, two minutes after that; some of it is there once, such as the API that Airflow 3
  loads into a triggerer when the first trigger reads a connection, which one that sleeps never does;
- *CPU*: of a core, in the minute before, and in the minutes in which all runs end;
- *blocked*: how often Airflow itself found that its event loop had stood still for more than 0.2 s, until all
  had begun and then until the last run's end, each with the longest time in seconds;
- *noted after*: the seconds from a run's end until Airflow has noted that its task is to go on. With a poll
  each minute, half a minute is the least that a median can be. A trigger that sleeps knows the end
  beforehand, so what it takes is Airflow's own part;
- *lost*: the waits that were not over a quarter of an hour after the last end.
"""
KILLED = """## Killed

The triggerer is killed (`kill -9`) while another, which has room for all, is there: the seconds until Airflow
has given it all waits, and until each run was asked for again; the requests in each minute from the kill on,
and the most in a second.
"""


def _spread(row: dict[str, Any]) -> str:
    return " / ".join(f"{seconds:.1f}" for seconds in row["event"]) or "-"


def _blocked(seconds: list[float]) -> str:
    return f"{len(seconds)}, {max(seconds, default=0.0):.2f}"


COLUMNS: dict[str, Show] = {
    "waits": lambda row: f"{row['waits']:,}",
    "trigger": lambda row: row["title"],
    "Airflow's settings": lambda row: ", ".join(f"`{one}`" for one in row["settings"]) or "-",
    "taken up, s": lambda row: f"{row['taken_up']:.0f}",
    "begun, s": lambda row: f"{row['begun']:.0f}",
    "MB": lambda row: f"{row['memory']:.0f}",
    "CPU": lambda row: f"{row['cpu']:.0%}",
    "while runs end": lambda row: f"{row['cpu_ending']:.0%}, {row['ends_in']:g} min",
    "blocked at first": lambda row: _blocked(row["blocked"][: row["blocked_at_first"]]),
    "then": lambda row: _blocked(row["blocked"][row["blocked_at_first"] :]),
    "noted after, s: median / 95 % / longest": _spread,
    "lost": lambda row: str(row["lost"]),
    "commit": lambda row: row["commit"],
}
KILLED_COLUMNS: dict[str, Show] = {
    **{name: COLUMNS[name] for name in ("waits", "trigger", "Airflow's settings")},
    "the other has all, s": lambda row: f"{row['taken_over']:.0f}",
    "all asked for again, s": lambda row: f"{row['watched']:.0f}",
    "requests in each minute": lambda row: ", ".join(f"{count:,}" for count in row["minutes"]),
    "most in a second": lambda row: str(row["most_a_second"]),
    "lost": COLUMNS["lost"],
    "commit": COLUMNS["commit"],
}


def page(rows: list[dict[str, Any]]) -> str:
    """Give the page with all figures as Markdown."""
    parts = [INTRODUCTION]
    for is_killed, columns in ((False, COLUMNS), (True, KILLED_COLUMNS)):
        some = [row for row in rows if row["killed"] is is_killed]
        parts += [KILLED] if is_killed and some else []
        for version in sorted({row["airflow"] for row in some}, reverse=True):
            of_it = sorted(
                (row for row in some if row["airflow"] == version),
                key=lambda row: (row["waits"], row["kind"], row["settings"]),
            )
            lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
            lines += [" | ".join(show(row) for show in columns.values()) for row in of_it]
            parts += [
                f"Airflow {version}, {of_it[0]['cores']} cores:\n",
                *(f"| {line} |" for line in lines),
                "",
            ]
    return "\n".join(parts)
