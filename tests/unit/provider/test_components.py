"""Whether every component is where users look for it; what a new one lacks is said, and where to add it."""

from __future__ import annotations

import importlib
import re

import pytest
import yaml
from support import DOCS, ROOT
from support.components import COMPONENTS, IMPORTED, Component

from airflow_provider_datarecs.provider_info import get_provider_info

REGISTRY = yaml.safe_load((ROOT / ".airflow-registry.yaml").read_text())
LISTED = [
    f"{section}: {entry['module']}"
    for section, entries in REGISTRY.items()
    if isinstance(entries, list)
    for entry in entries
]
TABLES = {name: (ROOT / name).read_text() for name in ("README.md", "docs/components.md")}
REFERENCE = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
PUBLIC = [pytest.param(one, id=f"{one.short}.{one.name}") for one in COMPONENTS]

TASKS = [param for param in PUBLIC if param.values[0].folder in ("operators", "sensors")]


def lacking(one):
    """Give what is still to be added for a component."""
    path = f"{one.documented}.{one.name}"
    section = one.folder if one.folder in REGISTRY else "other"
    if f"{section}: {path}" not in LISTED:
        yield f".airflow-registry.yaml: under {section!r}, 'module: {path}' and a description"
    if not re.search(rf"auto(class|function):: {re.escape(path)}\n", REFERENCE):
        yield f"docs/reference, the page of its kind: '.. autoclass:: {path}', or '.. autofunction::'"
    if not one.is_imported:
        return
    row = f"`{one.short}` → `{one.name}("
    thin = f"namespace/{one.documented.replace('.', '/')}.py"
    code = f"from {one.implementation} import {one.name}"
    if not (ROOT / thin).is_file() or f"\n{code}\n" not in (ROOT / thin).read_text():
        yield f"{thin}: '{code}' and '__all__ = [\"{one.name}\"]'"
    if f"\n| {row}" not in TABLES["README.md"]:
        yield f"README.md, the table under 'The components': '| {row}...)` | ... | ... |'"
    if f"\n| [`{one.short}`](" not in TABLES["docs/components.md"]:
        yield f"docs/components.md, its first table: '| [`{one.short}`](#...) | ... | ... |', and a section"


@pytest.mark.parametrize("one", PUBLIC)
def test_a_component_is_where_users_look_for_it(one):
    missing = "\n".join(lacking(one))
    assert not missing, f"{one.implementation}.{one.name} is not whole; add to\n{missing}"


def test_a_component_that_is_nowhere_is_told_all_that_it_lacks():
    places = [place.partition(":")[0] for place in lacking(Component("operators", "new", "NewOperator"))]
    assert places == [
        ".airflow-registry.yaml",
        "docs/reference, the page of its kind",
        "namespace/airflow/providers/datarecs/operators/new.py",
        "README.md, the table under 'The components'",
        "docs/components.md, its first table",
    ]


@pytest.mark.parametrize("page", TABLES)
def test_a_table_has_nothing_but_components(page):
    rows = re.findall(r"^\| \[?`([a-z_]+\.[a-z_]+)`", TABLES[page], re.MULTILINE)
    assert rows
    assert [row for row in rows if row not in {one.short for one in IMPORTED}] == []


@pytest.mark.parametrize("listed", LISTED)
def test_what_the_registry_lists_can_be_imported(listed):
    module, _, name = listed.partition(": ")[2].rpartition(".")
    assert getattr(importlib.import_module(module), name).__name__ == name


def test_the_registry_lists_nothing_twice_and_for_this_distribution():
    assert len(LISTED) == len(set(LISTED))
    assert REGISTRY["package-name"] == get_provider_info()["package-name"]


@pytest.mark.parametrize("component", TASKS)
def test_a_mapped_task_has_lists_of_assets_which_airflow_adds_up(component):
    operator = getattr(importlib.import_module(component.documented), component.name)
    mapped = operator.partial(task_id="mapped").expand_kwargs([])
    assert mapped.inlets + mapped.outlets == []
