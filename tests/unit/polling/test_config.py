"""Whether all that tunes polling is in one place, with what it means."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import pytest

from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.config import PollingConfig

PACKAGE = Path(config.__file__).parent
MODULES = sorted(PACKAGE.glob("*.py"))
NO_TUNING = {"SUDDEN", "LOWEST", "ABOVE"}  # as good as no time, as no loss, and as the same
MOST_ATTRIBUTES = 10


def test_each_number_says_what_it_is():
    (cls,) = (
        node for node in ast.parse((PACKAGE / "config.py").read_text()).body if isinstance(node, ast.ClassDef)
    )
    told = {
        field.target.id
        for field, text in zip(cls.body, cls.body[1:])
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and len(text.value.value) > 20
    }
    assert told == {field.name for field in fields(PollingConfig)}


def test_each_number_is_used():
    source = "".join(path.read_text() for path in PACKAGE.parent.rglob("*.py"))
    unused = {field.name for field in fields(PollingConfig) if source.count(f".{field.name}") == 0}
    assert unused == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_has_numbers_of_its_own(path):
    numbers = {
        node.targets[0].id
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, (ast.Constant, ast.BinOp))
        and not isinstance(getattr(node.value, "value", None), str)
    }
    assert numbers <= NO_TUNING


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_class_holds_more_than_one_can_keep_in_mind(path):
    for cls in ast.walk(ast.parse(path.read_text())):
        if not isinstance(cls, ast.ClassDef) or cls.name == PollingConfig.__name__:
            continue
        held = {
            node.attr
            for node in ast.walk(cls)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        }
        held |= {node.target.id for node in cls.body if isinstance(node, ast.AnnAssign)}
        assert len(held) <= MOST_ATTRIBUTES, (cls.name, held)


def test_other_numbers_count_for_a_while():
    usual = config.current()
    with config.override(first_poll=(0.0, 1.0)):
        with config.override(max_pages=3):
            assert (config.current().first_poll, config.current().max_pages) == ((0.0, 1.0), 3)
        assert config.current().max_pages == usual.max_pages
    assert config.current() is usual


def test_a_number_that_is_none_is_refused():
    with pytest.raises(TypeError), config.override(max_page=3):
        pass
