"""
Make the environments that the demo and the tests run in: one for each Airflow, with the built wheel in it.

``python dev/environments.py make 2.7 3.3`` makes them under ``.envs/`` from their pins in ``dev/pins/``;
``python dev/environments.py lock`` makes the pins anew. Needs nothing but Python 3.11 and uv.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".venv" / "bin" / "uv"
TOOLS = ("psutil", "pytest", "pytest-asyncio", "statsd")
PEERS = ("apache-airflow-providers-databricks", "apache-airflow-providers-dbt-cloud")
LINTERS = ("mypy", "ruff", "types-PyYAML")


@dataclass(frozen=True)
class Environment:
    """
    An Airflow to test with.

    :param airflow: its version
    :param exclude_newer: the date as of which everything in it is resolved, since it was released
    :param pythons: the Python versions to use, the first that is on this machine
    :param tools: what else is in it
    :param pinned_as: how the file of its pins begins, default by its Airflow
    """

    airflow: str
    exclude_newer: str
    pythons: tuple[str, ...]
    tools: tuple[str, ...] = TOOLS
    pinned_as: str = ""

    def pins(self, python: str) -> Path:
        """Give the file of its pins for a Python."""
        return ROOT / "dev" / "pins" / f"{self.pinned_as or f'airflow-{self.airflow}'}-py{python}.txt"


ENVIRONMENTS = {
    "2.7": Environment("2.7.3", "2023-11-10", ("3.8", "3.11")),
    "3.3": Environment("3.3.2", "2026-09-30", ("3.11",), (*TOOLS, *LINTERS)),
    "benchmark": Environment(
        "3.3.2", "2026-09-30", ("3.11",), (*PEERS, "matplotlib", "psutil", "trustme"), pinned_as="benchmark"
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["make", "lock"])
    parser.add_argument("names", nargs="*", choices=[[], *ENVIRONMENTS], default=[])
    options = parser.parse_args()
    names = options.names or list(ENVIRONMENTS)
    if options.command == "lock":
        for name in names:
            lock(ENVIRONMENTS[name])
    else:
        wheel = build_wheel()
        for name in names:
            make(name, ENVIRONMENTS[name], wheel)


def lock(environment: Environment) -> None:
    wanted = "\n".join([f"apache-airflow=={environment.airflow}", "aiohttp", "tenacity", *environment.tools])
    for python in environment.pythons:
        run(
            UV, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--exclude-newer",
            environment.exclude_newer, "--python", find_python(python) or sys.executable, "--python-version",
            python, "--output-file", environment.pins(python), "-", stdin=wanted,
        )  # fmt: skip


def build_wheel() -> Path:
    say("building the wheel")
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run(UV, "build", "--quiet", "--wheel", "--out-dir", dist, ROOT)
    (wheel,) = dist.glob("*.whl")
    return wheel


def make(name: str, environment: Environment, wheel: Path) -> None:
    found = [(python, find_python(python)) for python in environment.pythons]
    python, interpreter = next(((one, path) for one, path in found if path), (None, None))
    if python is None or interpreter is None:
        sys.exit(
            f"Airflow {environment.airflow} needs one of Python {', '.join(environment.pythons)}; none is "
            "here"
        )
    if python != environment.pythons[0]:
        say(f"Python {environment.pythons[0]} is not here, so Airflow {environment.airflow} runs on {python}")
    home, pins = ROOT / ".envs" / name, environment.pins(python)
    stamp, made_from = home / "made-from", hashlib.sha256(pins.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != made_from:
        say(f"installing Airflow {environment.airflow} on Python {python}")
        run(UV, "venv", "--quiet", "--clear", "--python", interpreter, home)
        run(UV, "pip", "sync", "--quiet", "--python", home / "bin" / "python", pins)
        stamp.write_text(made_from)
    python_of = home / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", python_of, "--no-deps", "--reinstall", wheel)


def find_python(version: str) -> str | None:
    """Find a Python on the path, or installed beside the one that runs this."""
    siblings = Path(sys.base_prefix).parent.glob(f"{version}.*/bin/python")
    candidates = (shutil.which(f"python{version}"), *map(str, sorted(siblings)), sys.executable)
    for candidate in candidates:
        if candidate and _version_of(candidate) == version:
            return candidate
    return None


def _version_of(interpreter: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run(
        [interpreter, "-c", code], capture_output=True, text=True, check=False
    ).stdout.strip()


def run(*command: str | Path, stdin: str | None = None) -> None:
    subprocess.run([str(part) for part in command], input=stdin, text=True, check=True)


def say(message: str) -> None:
    print(f"--- {message}", flush=True)


if __name__ == "__main__":
    main()
