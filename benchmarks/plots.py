"""Writes what the benchmark measured as a table, and draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "datarecs"  # the same figures give the same bytes

from matplotlib import pyplot as plt  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {"datarecs": "DataRecs", "databricks": "Databricks", "dbt": "dbt Cloud"}
COLOURS = {"datarecs": "#1b7837", "databricks": "#d6604d", "dbt": "#4393c3"}

Row = dict[str, Any]

INTRODUCTION = """# Benchmark

Made by `make benchmark` at commit {commit}, with
{releases}:
the triggers of this provider, of dbt Cloud's and of Databricks's, each in a process of its own on one
machine, against a simulated service over TLS, all with `poke_interval=30`. Whether the peers' runs belong
to 50 jobs or more makes no difference to them.
"""

UNLIMITED = """
## What waiting costs

Against a service without a limit, while no run ends. CPU is that of the process in a steady minute,
memory what the waits add to it. The longest hold of the event loop includes the start of all waits at
once, and passes of Python's garbage collector over what the waits have in memory, which make the most of
it where there are many.
"""

LIMITED = """
## What a limit of 100 requests a minute does

All runs end within ten minutes, one in ten of them FAILED; *noticed* is the time from a run's end to the
event. A wait is *wrong* if its event says something else than the run's status, *lost* if it has none
within three hours. Where a scale is given, all time passes so many times faster (at 10, the window has 6
s); the figures are in unscaled time.
"""

SCHEDULE = """
## The schedule, on a simulated clock

1,000 runs of 1,000 jobs start together, with 80 requests a minute to poll them; run times lie between
5 minutes and 4 hours, spread log-evenly. Seconds from a run's end to the poll that sees it, over three
drawings (`python benchmarks/scheduling.py`):
"""


def table(everything: dict[str, Any]) -> str:
    """Give all figures as Markdown."""
    cases = everything["cases"]
    unlimited = [case for case in cases if not case["limit"]]
    limited = [case for case in cases if case["limit"]]
    releases = ",\n".join(f"{name} {release}" for name, release in everything["releases"].items())
    introduction = INTRODUCTION.format(commit=everything["commit"], releases=releases)
    parts = [introduction, UNLIMITED, _markdown(unlimited, UNLIMITED_COLUMNS)]
    parts += [_ratios(unlimited), LIMITED, _markdown(limited, LIMITED_COLUMNS)]
    parts += ["\n![Requests a minute](requests.svg) ![Time to notice](notice.svg)\n"]
    parts += [SCHEDULE, _markdown(everything["schedule"], SCHEDULE_COLUMNS)]
    return "\n".join(parts)


def _figure(name: str, form: str = ".0f") -> Callable[[Row], str]:
    return lambda case: format(case["figures"][name], form) if name in case["figures"] else "-"


UNLIMITED_COLUMNS: dict[str, Callable[[Row], str]] = {
    "provider": lambda case: NAMES[case["provider"]],
    "waits": lambda case: f"{case['waits']:,}",
    "jobs": lambda case: f"{case['jobs']:,}",
    "requests a minute": _figure("asked", ",.0f"),
    "CPU ms for each wait and minute": _figure("cpu", ".3f"),
    "KB for each wait": _figure("memory", ".1f"),
    "longest hold of the loop, ms": _figure("hold"),
    "without the garbage collector, ms": _figure("own_hold"),
}
LIMITED_COLUMNS: dict[str, Callable[[Row], str]] = {
    "provider": lambda case: NAMES[case["provider"]],
    "waits": lambda case: f"{case['waits']:,}",
    "jobs": lambda case: f"{case['jobs']:,}",
    "processes": lambda case: str(case["processes"]),
    "window": lambda case: "sliding" if case["sliding"] else "fixed",
    "scale": lambda case: f"{case['scale']:g}",
    "requests a minute": _figure("asked", ",.0f"),
    "refused (429)": _figure("refused_share", ".1%"),
    "noticed after, s: median": _figure("median"),
    "95 %": _figure("p95"),
    "longest": _figure("longest"),
    "wrong": _figure("wrong"),
    "lost": _figure("lost"),
}
SCHEDULE_COLUMNS: dict[str, Callable[[Row], str]] = {
    "run times": lambda row: row["times"],
    "": lambda row: row["how"],
    "median": lambda row: f"{row['median']:.0f}",
    "95 %": lambda row: f"{row['p95']:.0f}",
    "longest": lambda row: f"{row['longest']:.0f}",
    "bound": lambda row: f"{row['bound']:.0f}" if row["how"].startswith("schedule") else "-",
}


def _markdown(rows: list[Row], columns: dict[str, Callable[[Row], str]]) -> str:
    columns = {title: show for title, show in columns.items() if any(show(row) != "-" for row in rows)}
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(show(row) for show in columns.values()) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _ratios(unlimited: list[Row]) -> str:
    """Say how the peers compare at each number of waits and jobs."""
    said = []
    peers = {(case["provider"], case["waits"]): case["figures"] for case in unlimited if case["jobs"] == 50}
    for case in unlimited:
        if case["provider"] != "datarecs":
            continue
        ours, where = case["figures"], f"{case['waits']:,} waits over {case['jobs']:,} jobs"
        for peer in ("databricks", "dbt"):
            theirs = peers[peer, case["waits"]]
            wins = " **It wins.**" if theirs["cpu"] < ours["cpu"] or theirs["memory"] < ours["memory"] else ""
            said.append(
                f"- {where}: {NAMES[peer]} takes {theirs['cpu'] / ours['cpu']:.1f} times the CPU and "
                f"{theirs['memory'] / ours['memory']:.1f} times the memory.{wins}"
            )
    return "\n" + "\n".join(said)


def draw(everything: dict[str, list[Row]], folder: Path) -> None:
    """Draw requests a minute and the time to notice, over the number of waits."""
    cases = everything["cases"]
    _, axes = plt.subplots(figsize=(6, 4))
    for provider, name in NAMES.items():
        points = sorted(
            (case["waits"], case["figures"]["asked"])
            for case in cases
            if case["provider"] == provider and case["jobs"] == 50 and not case["limit"]
        )
        axes.plot(*zip(*points), marker="o", color=COLOURS[provider], label=name)
    axes.axhline(100, linestyle="--", color="black", linewidth=1, label="limit of the API key")
    axes.set(
        xscale="log", yscale="log", xlabel="waits", ylabel="requests a minute", title="What is asked for"
    )
    axes.legend()
    _save(folder / "requests.svg")
    _, axes = plt.subplots(figsize=(6, 4))
    for jobs, style in (("50 jobs", "-"), ("as many jobs as waits", "--")):
        for figure, colour in (("median", "#1b7837"), ("p95", "#7fbf7b")):
            points = sorted(
                (case["waits"], case["figures"][figure])
                for case in cases
                if (case["provider"], case["processes"], case["sliding"]) == ("datarecs", 1, False)
                and case["limit"]
                and (case["jobs"] == 50) == (jobs == "50 jobs")
                and figure in case["figures"]
            )
            if points:
                axes.plot(*zip(*points), style, marker="o", color=colour, label=f"{figure}, {jobs}")
    title = "DataRecs, limit of 100 requests a minute"
    axes.set(xscale="log", yscale="log", xlabel="waits", ylabel="seconds to notice an end", title=title)
    axes.legend()
    _save(folder / "notice.svg")


def _save(path: Path) -> None:
    plt.tight_layout()
    plt.savefig(path, metadata={"Date": None})
    plt.close()
