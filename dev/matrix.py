"""
Test the built wheel on every supported Airflow, two or three of them at once.

``python dev/matrix.py`` runs every test on each but those of the semantics; ``--semantics`` runs those, on
the oldest Airflow, the last 2.x and the newest; ``--quick`` runs every test on these three, a shorter form
on the rest, and a shorter form of the semantics. Both forms look at the pages of the last 2.x and the newest
with a browser. ``--airflow 2.9`` takes one Airflow, on each of its Pythons. What a machine lacks a Python,
PostgreSQL or Chromium for is left out, and the last lines say so.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from environments import ENVS, ROOT, SUPPORTED, build_wheel, find_python, make, say

WHOLE = ("2.7", "2.11", "3.3")  # even in the quick form: the oldest, the last 2.x and the newest
# What Airflow has a part in, each with as little as shows that it works.
SHORT = (
    "tests/hooks",
    "tests/operators/test_start_runs.py",
    "tests/packaging",
    "tests/sensors",
    "tests/task_groups",
    "tests/triggers/test_triggers.py",
    "tests/live/test_assets.py",
    "tests/live/test_connections.py",
    "tests/live/test_deferral.py",
    "tests/live/test_examples.py",
    "tests/live/test_own_tests.py",
    "tests/simulator/test_pytest_plugin.py",
    "tests/test_compat.py",
    "tests/test_exceptions.py",
    "tests/test_results.py",
)
SEMANTICS = ("--semantics",)
SEMANTICS_IN_SHORT = ("--semantics", "-m", "short")
BROWSER = ("--browser",)
AT_ONCE, AT_ONCE_IN_SHORT = 2, 3  # the latter wait more than they compute


@dataclass(frozen=True)
class Job:
    """
    Tests to run in an environment.

    :param name: the environment
    :param form: which tests, in words
    :param chosen: what pytest is told of that
    """

    name: str
    form: str = "in full"
    chosen: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}, {self.form}"

    @property
    def lacks(self) -> str | None:
        """What this machine has not got for it, None if nothing."""
        if not find_python(SUPPORTED[self.name].python):
            return f"Python {SUPPORTED[self.name].python}"
        if "--semantics" in self.chosen and not has_postgres():
            return "PostgreSQL, which 'make services' installs as root on Debian,"
        if "--browser" in self.chosen and not shutil.which("chromium"):
            return "Chromium, which 'make services' installs as root on Debian,"
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--airflow", choices=sorted({name.partition("-")[0] for name in SUPPORTED}))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--semantics", action="store_true")
    options = parser.parse_args()
    jobs = jobs_of(quick=options.quick, semantics=options.semantics)
    jobs = [job for job in jobs if options.airflow in (None, job.name.partition("-")[0])]
    wheel = build_wheel()
    lacking = {job: job.lacks for job in jobs}
    ready = [job for job in jobs if not lacking[job]]
    for name in dict.fromkeys(job.name for job in ready):
        make(name, wheel)
    in_short = [job for job in ready if job.chosen == SHORT]
    # One form of the semantics has dozens of processes.
    results = test_all([job for job in ready if job not in in_short], 1 if options.semantics else AT_ONCE)
    results.update(test_all(in_short, AT_ONCE_IN_SHORT))
    for job, (passed, closing) in results.items():
        say(f"{job!s:32} {'passed' if passed else 'FAILED'}: {closing}")
    for job, what in lacking.items():
        if what:
            say(f"{job!s:32} LEFT OUT: {what} is not here")
    if not ready or not all(passed for passed, _ in results.values()):
        sys.exit(1)


def jobs_of(*, quick: bool, semantics: bool) -> list[Job]:
    """Give what is to be run, the long ones first."""
    if semantics:
        return [Job(name, "semantics", SEMANTICS) for name in WHOLE]
    pages = [Job(name, "in a browser", BROWSER) for name in WHOLE[1:]]
    if not quick:
        return [*pages, *(Job(name) for name in SUPPORTED)]
    return [
        *(Job(name) for name in WHOLE),
        *pages,
        *(Job(name, "semantics in short", SEMANTICS_IN_SHORT) for name in (WHOLE[0], WHOLE[-1])),
        *(Job(name, "in short", SHORT) for name in SUPPORTED if name not in WHOLE),
    ]


def test_all(jobs: list[Job], at_once: int) -> dict[Job, tuple[bool, str]]:
    """Run the tests of jobs, so many at once, and say of each whether it passed and its closing line."""
    with ThreadPoolExecutor(at_once) as lanes:
        return dict(zip(jobs, lanes.map(test, jobs)))


def test(job: Job) -> tuple[bool, str]:
    """Run the tests in an environment, print all that they say at once, and give their closing line."""
    # Not python -m, which would put the source tree before the installed wheel.
    pytest, log = ENVS / job.name / "bin" / "pytest", ENVS / job.name / f"pytest {job.form}.log"
    began = time.monotonic()
    with log.open("w") as output:
        done = subprocess.run(
            [pytest, "--airflow", SUPPORTED[job.name].airflow, *job.chosen],
            cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    text = log.read_text(errors="replace")
    minutes = (time.monotonic() - began) / 60.0
    say(f"{job}, {minutes:.1f} minutes\n{text}")
    lines = text.strip().splitlines()
    return done.returncode == 0, lines[-1].strip("= ") if lines else "nothing was printed"


def has_postgres() -> bool:
    """Say whether PostgreSQL is installed, where Debian puts it or on the path."""
    return any(Path("/usr/lib/postgresql").glob("*/bin/postgres")) or bool(shutil.which("postgres"))


if __name__ == "__main__":
    main()
