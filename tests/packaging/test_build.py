"""What is published: the same bytes from the same commit, whichever way they are built."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("twine", reason="in one environment only, since nothing here depends on Airflow")

ROOT = Path(__file__).parent.parent.parent
UV = ROOT / ".venv" / "bin" / "uv"
BUILT_FROM = (
    "airflow_provider_datarecs",
    "namespace",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "pyproject.toml",
)


@pytest.fixture(scope="module")
def wheel():
    (path,) = (ROOT / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """Build the sdist from a copy of the sources with other times and permissions."""
    folder = tmp_path_factory.mktemp("sources")
    for name in BUILT_FROM:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, folder / name)
    for path in folder.rglob("*"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o700 if path.is_dir() else 0o600)
    out = tmp_path_factory.mktemp("sdist")
    subprocess.run([UV, "build", "--quiet", "--sdist", "--out-dir", out, folder], check=True)
    (path,) = out.glob("*.tar.gz")
    return path


def test_the_sdist_builds_the_same_wheel_byte_for_byte(wheel, sdist, tmp_path):
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", tmp_path, sdist], check=True)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_index_would_take_both(wheel, sdist):
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_is_small_and_holds_no_tests(wheel):
    assert wheel.stat().st_size < 150_000
    with zipfile.ZipFile(wheel) as content:
        assert [name for name in content.namelist() if name.rpartition("/")[2].startswith("test_")] == []


def test_the_metadata_has_what_users_search_by(wheel):
    with zipfile.ZipFile(wheel) as content:
        (name,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(content.read(name))
    assert "Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier")
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata.get_all("Project-URL")
