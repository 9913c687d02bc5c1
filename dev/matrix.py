"""
Test the built wheel on every supported Airflow, two of them at once.

``python dev/matrix.py`` runs every test on each; ``--quick`` does so on the oldest, the last 2.x and the
newest, and a shorter form on the rest; ``--airflow 2.9`` takes one Airflow, on each of its Pythons. What a
machine lacks a Python for is left out, and the last lines say so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from environments import ENVS, ROOT, SUPPORTED, build_wheel, find_python, make, say

WHOLE = ("2.7", "2.11", "3.3")  # even in the quick form: the oldest, the last 2.x and the newest
# What Airflow has a part in, each with as little as shows that it works.
SHORT = (
    "tests/hooks",
    "tests/operators/test_start_runs.py",
    "tests/packaging",
    "tests/sensors",
    "tests/triggers/test_triggers.py",
    "tests/live/test_connections.py",
    "tests/live/test_deferral.py",
    "tests/live/test_examples.py",
    "tests/test_compat.py",
    "tests/test_exceptions.py",
)
AT_ONCE = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--airflow", choices=sorted({name.partition("-")[0] for name in SUPPORTED}))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    wanted = [name for name in SUPPORTED if options.airflow in (None, name.partition("-")[0])]
    wheel = build_wheel()
    ready = [name for name in wanted if find_python(SUPPORTED[name].python)]
    for name in ready:
        make(name, wheel)
    ready.sort(key=lambda name: name not in WHOLE)  # the long ones first
    with ThreadPoolExecutor(AT_ONCE) as lanes:
        results = dict(zip(ready, lanes.map(lambda name: test(name, quick=options.quick), ready)))
    for name, (passed, closing) in results.items():
        say(f"{name:10} {'passed' if passed else 'FAILED'}: {closing}")
    for name in set(wanted).difference(ready):
        say(f"{name:10} LEFT OUT: Python {SUPPORTED[name].python} is not here")
    if not ready or not all(passed for passed, _ in results.values()):
        sys.exit(1)


def test(name: str, *, quick: bool) -> tuple[bool, str]:
    """Run the tests in an environment, print all that they say at once, and give their closing line."""
    # Not python -m, which would put the source tree before the installed wheel.
    pytest, log = ENVS / name / "bin" / "pytest", ENVS / name / "pytest.log"
    began = time.monotonic()
    chosen = SHORT if quick and name not in WHOLE else ()
    with log.open("w") as output:
        done = subprocess.run(
            [pytest, "--airflow", SUPPORTED[name].airflow, *chosen],
            cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    text = log.read_text(errors="replace")
    minutes = (time.monotonic() - began) / 60.0
    say(f"{name}, {'in short' if chosen else 'in full'}, {minutes:.1f} minutes\n{text}")
    lines = text.strip().splitlines()
    return done.returncode == 0, lines[-1].strip("= ") if lines else "nothing was printed"


if __name__ == "__main__":
    main()
