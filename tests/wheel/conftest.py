"""The wheel and the sdist, built from the source tree."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest
from support import ROOT


@pytest.fixture(scope="session")
def build():
    """Build a distribution of a source tree into a folder, with what is installed here, and give its path."""

    pytest.importorskip("hatchling", reason="in one environment only, since nothing here depends on Airflow")

    def build(kind, source, out):
        command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(out)]
        done = subprocess.run(command, cwd=source, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        (path,) = out.iterdir()
        return path

    return build


@pytest.fixture(scope="session")
def wheel(build, tmp_path_factory):
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def content(wheel):
    """The wheel, opened."""
    with zipfile.ZipFile(wheel) as content:
        yield content
