"""The demo, as users run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest
from support import ROOT

DEMO = ROOT / "dev" / "demo.py"


def start_demo(folder):
    return subprocess.Popen(
        [sys.executable, DEMO, folder],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.smoke
def test_the_demo_ends_well(tmp_path):
    demo = start_demo(tmp_path)
    output, _ = demo.communicate(timeout=240)
    assert demo.returncode == 0, output
    for line in ("wait: deferred", "rows_unmatched | 12", "the API key stands in no log", "done: everything"):
        assert line in output


@pytest.mark.airflow
def test_an_interrupted_demo_leaves_nothing_running(tmp_path):
    demo = start_demo(tmp_path)
    for line in demo.stdout:
        if "waiting for Airflow to run the DAG" in line:
            break
    started = psutil.Process(demo.pid).children(recursive=True)
    assert len(started) >= 3
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, output
    _, alive = psutil.wait_procs(started, timeout=5)
    assert alive == []
