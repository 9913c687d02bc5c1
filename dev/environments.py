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
ENVS = ROOT / ".envs"
TOOLS = ("hypothesis", "psutil", "pytest", "pytest-asyncio", "statsd")
LINEAGE = ("apache-airflow-providers-openlineage",)
DATABASE = ("psycopg2-binary",)  # for the semantics, whose Airflows run on PostgreSQL
BROWSER = ("playwright",)  # which drives Debian's Chromium through Airflow's pages
PEERS = ("apache-airflow-providers-databricks", "apache-airflow-providers-dbt-cloud")
DISTRIBUTED = ("apache-airflow[celery,postgres]", "psutil")
DOCS = ("furo", "myst-parser", "sphinx")
LINTERS = ("mypy", "ruff", "twine", "types-PyYAML")


@dataclass(frozen=True)
class Environment:
    """
    An Airflow to test with.

    :param airflow: its version
    :param exclude_newer: the date as of which everything in it is resolved, since it was released
    :param python: the Python to run it on
    :param tools: what else is in it
    """

    airflow: str
    exclude_newer: str
    python: str = "3.11"
    tools: tuple[str, ...] = TOOLS


SUPPORTED = {
    "2.7": Environment("2.7.3", "2023-11-10", tools=(*TOOLS, *DATABASE)),
    "2.7-py3.8": Environment("2.7.3", "2023-11-10", "3.8"),
    "2.8": Environment("2.8.4", "2024-03-29"),
    "2.9": Environment("2.9.3", "2024-07-20"),
    "2.10": Environment("2.10.5", "2025-02-14"),
    "2.11": Environment("2.11.2", "2026-03-18", tools=(*TOOLS, *DATABASE, *LINEAGE, *BROWSER)),
    "3.0": Environment("3.0.6", "2025-09-02"),
    "3.1": Environment("3.1.8", "2026-03-16"),
    "3.2": Environment("3.2.2", "2026-06-02"),
    "3.3": Environment(
        "3.3.2", "2026-09-30", tools=(*TOOLS, *DATABASE, *LINEAGE, *BROWSER, "asyncpg", *LINTERS)
    ),
    "3.3-py3.13": Environment("3.3.2", "2026-09-30", "3.13"),
}
OTHERS = {
    "docs": Environment("3.3.2", "2026-09-30", tools=DOCS),
    "benchmark": Environment("3.3.2", "2026-09-30", tools=(*PEERS, "matplotlib", "psutil", "trustme")),
    # The Celery provider of that day (3.17.1) sends tasks on 2.x that its own workers do not know.
    "distributed-2.11": Environment(
        "2.11.2", "2026-03-18", tools=(*DISTRIBUTED, "apache-airflow-providers-celery<3.13")
    ),
    "distributed-3.3": Environment("3.3.2", "2026-09-30", tools=DISTRIBUTED),
}
ENVIRONMENTS = {**SUPPORTED, **OTHERS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["make", "lock"])
    parser.add_argument("names", nargs="*", choices=[[], *ENVIRONMENTS], default=[])
    options = parser.parse_args()
    names = options.names or list(ENVIRONMENTS)
    if options.command == "lock":
        for name in names:
            lock(name)
    else:
        wheel = build_wheel()
        for name in names:
            make(name, wheel)


def pins_of(name: str) -> Path:
    """Give the file with the pins of an environment."""
    return ROOT / "dev" / "pins" / f"{name}.txt"


def lock(name: str) -> None:
    environment = ENVIRONMENTS[name]
    wanted = "\n".join([f"apache-airflow=={environment.airflow}", "aiohttp", "tenacity", *environment.tools])
    run(
        UV, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--exclude-newer",
        environment.exclude_newer, "--python", find_python(environment.python) or sys.executable,
        "--python-version", environment.python, "--output-file", pins_of(name), "-", stdin=wanted,
    )  # fmt: skip


def build_wheel() -> Path:
    say("building the wheel")
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run(UV, "build", "--quiet", "--wheel", "--out-dir", dist, ROOT)
    (wheel,) = dist.glob("*.whl")
    return wheel


def make(name: str, wheel: Path) -> None:
    """Make an environment anew if its pins have changed, and put the wheel into it in any case."""
    environment, home, pins = ENVIRONMENTS[name], ENVS / name, pins_of(name)
    interpreter = find_python(environment.python)
    if interpreter is None:
        sys.exit(f"Python {environment.python} is not here, which the environment {name} needs")
    stamp, made_from = home / "made-from", hashlib.sha256(pins.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != made_from:
        say(f"installing Airflow {environment.airflow} on Python {environment.python}")
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
