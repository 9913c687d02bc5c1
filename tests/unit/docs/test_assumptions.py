"""Whether the page on assumptions has every one that the contract marks as such."""

from __future__ import annotations

import ast
import inspect
import re

import pytest
from support import DOCS

from airflow_provider_datarecs.api import contract

PAGE = (DOCS / "assumptions.md").read_text()


def marked():
    """Give the names that a comment marks as seen (S) or assumed (A)."""
    lines = inspect.getsource(contract).splitlines()
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, ast.Assign):
            written = "\n".join(lines[node.lineno - 1 : node.end_lineno])
            if re.search(r"#.*\b[AS]\b", written):
                yield node.targets[0].id


def values_of(value):
    if isinstance(value, dict):
        return [*value, *value.values()]
    return list(value) if isinstance(value, (tuple, frozenset)) else [value]


def test_there_are_assumptions():
    assert len(list(marked())) > 15


@pytest.mark.parametrize("name", list(marked()))
def test_an_assumption_is_on_the_page(name):
    for value in values_of(getattr(contract, name)):
        shown = value if isinstance(value, str) else f"{value:,.0f}"
        assert re.search(rf"\b{re.escape(shown)}\b", PAGE), shown
