"""The tests that ``docs/testing.md`` shows, run as it says, in a project that has nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

pytestmark = [pytest.mark.airflow, pytest.mark.compat]

PAGE = (ROOT / "docs" / "testing.md").read_text()
DAG = ROOT / "examples" / "reconcile_daily_balances.py"


def test_they_pass(tmp_path):
    ((path, code),) = re.findall(r"<!-- (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    (commands,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert code == (ROOT / path).read_text()
    for folder, file in (("dags", DAG), ("tests", ROOT / path)):
        (tmp_path / folder).mkdir()
        shutil.copy(file, tmp_path / folder)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PYTEST_"))}
    own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own["TMPDIR"] = str(tmp_path)
    done = subprocess.run(
        ["bash", "-ec", commands], cwd=tmp_path, env=own, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
    assert f"{code.count('def test_')} passed" in done.stdout
