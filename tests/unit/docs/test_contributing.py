"""Whether the commands, markers and files that the pages name are there, and CONTRIBUTING.md has them all."""

from __future__ import annotations

import re

import pytest
from support import DOCS, ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PAGES = {page.name: page.read_text() for page in (*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md")))}
(TARGETS,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
DECLARED = (ROOT / "pyproject.toml").read_text().partition("\nmarkers = [\n")[2].partition("\n]")[0]
MARKERS = re.findall(r'^    "(\w+): ', DECLARED, re.MULTILINE)
ENVIRONMENTS = {path.stem for path in (ROOT / "dev" / "pins").glob("*.txt")} | set(
    re.findall(r'^\[env\."?([\w.-]+)', (ROOT / "tox.toml").read_text(), re.MULTILINE)
)
# What is to be added, in the page's examples of it.
NEXT, NEW = "airflow3.5", "airflow_provider_datarecs/operators/new.py"


@pytest.mark.parametrize("target", TARGETS.split())
def test_a_command_is_described(target):
    assert f"`make {target}`" in CONTRIBUTING or f"\nmake {target}\n" in CONTRIBUTING


@pytest.mark.parametrize("marker", MARKERS)
def test_a_marker_is_described(marker):
    assert f"`{marker}`" in CONTRIBUTING


@pytest.mark.parametrize("page", PAGES)
def test_a_command_that_a_page_names_is_there(page):
    commands = re.findall(r"(?:`|^)make ([a-z]+)", PAGES[page], re.MULTILINE)
    environments = re.findall(r"tox -e ([a-z0-9.]+)", PAGES[page])
    assert set(commands) <= set(TARGETS.split())
    assert set(environments) <= {*ENVIRONMENTS, NEXT}


@pytest.mark.parametrize("page", PAGES)
def test_a_file_that_a_page_names_is_there(page):
    folders = "airflow_provider_datarecs|benchmarks|dev|docs|examples|tests"
    named = re.findall(rf"[` ]((?:{folders})/[\w./-]+)", PAGES[page])
    assert [
        path for path in named if path != NEW and "_build" not in path and not (ROOT / path).exists()
    ] == []


def test_every_folder_is_described():
    tops = (ROOT / "airflow_provider_datarecs", ROOT / "tests")
    names = {path.relative_to(top).parts[0] for top in tops for path in top.glob("*/**/*.py")}
    assert [name for name in sorted(names) if not re.search(rf"[`/]{name}`", CONTRIBUTING)] == []


def test_the_way_of_a_sensor_names_few_modules_and_each_is_there():
    way = CONTRIBUTING.partition("One `JobRunSensor`, from")[2].partition("| folder |")[0]
    modules = set(re.findall(r"`([a-z_/]+\.py)`", way))
    there = {path for path in modules if (ROOT / "airflow_provider_datarecs" / path).exists()}
    assert modules == there
    assert 0 < len(modules) <= 14
