"""What is published: the same bytes from the same commit, whichever way they are built."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tarfile

import pytest
from support import ROOT

pytestmark = pytest.mark.wheel

BUILT_FROM = (
    "airflow_provider_datarecs",
    "namespace",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "pyproject.toml",
)
PAGE = ("bars.js", "basics.js", "history.js", "main.js", "page.html", "style.css")


@pytest.fixture(scope="module")
def sdist(build, tmp_path_factory):
    """Build the sdist from a copy of the sources with other times and permissions."""
    folder = tmp_path_factory.mktemp("sources")
    for name in BUILT_FROM:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, folder / name)
    for path in folder.rglob("*"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o700 if path.is_dir() else 0o600)
    return build("sdist", folder, tmp_path_factory.mktemp("sdist"))


def test_the_sdist_builds_the_same_wheel_byte_for_byte(build, wheel, sdist, tmp_path):
    (tmp_path / "out").mkdir()
    with tarfile.open(sdist) as packed:
        packed.extractall(tmp_path / "unpacked")
    (source,) = (tmp_path / "unpacked").iterdir()
    assert build("wheel", source, tmp_path / "out").read_bytes() == wheel.read_bytes()


def test_the_index_would_take_both(wheel, sdist):
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_is_small_and_holds_no_tests(wheel, content):
    assert wheel.stat().st_size < 309_000
    assert [name for name in content.namelist() if name.rpartition("/")[2].startswith("test_")] == []
    metadata = [name for name in content.namelist() if ".dist-info/" in name]
    others = {name for name in content.namelist() if not name.endswith(".py")}.difference(metadata)
    assert others == {
        "airflow_provider_datarecs/py.typed",
        *(f"airflow_provider_datarecs/reconciliations/parts/{name}" for name in PAGE),
        "airflow_provider_datarecs/simulator/default.json",
    }


def test_the_metadata_has_what_users_search_by(content):
    (name,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(content.read(name))
    assert "Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier")
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata.get_all("Project-URL")
