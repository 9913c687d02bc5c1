"""Finds what users import of this provider, in its source."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from support import ROOT

PACKAGE = ROOT / "airflow_provider_datarecs"
HELPERS = {
    "__init__",
    "base",
    "poke",
    "start_state",
    "outcome",
    "calls",
    "form",
}  # modules of what components share
WATCHED = {"run_ended"}  # the triggers that DAG files give to an AssetWatcher
# Folders of no components.
INNER = {"api", "compat", "mixins", "polling", "reconciliations", "simulator", "webhooks"}


@dataclass(frozen=True)
class Component:
    """
    A class or function that users import.

    :param folder: what kind it is, such as ``operators``
    :param module: the name of its module
    :param name: its own
    """

    folder: str
    module: str
    name: str

    @property
    def implementation(self) -> str:
        """The module that defines it."""
        return f"{PACKAGE.name}.{self.folder}.{self.module}"

    @property
    def documented(self) -> str:
        """The module that users import it from; most triggers, which only databases name, have no other."""
        if not self.is_imported:
            return self.implementation
        return f"airflow.providers.datarecs.{self.short}"

    @property
    def is_imported(self) -> bool:
        """Whether users import it."""
        return self.folder != "triggers" or self.module in WATCHED

    @property
    def short(self) -> str:
        """The module as the tables of components name it."""
        return f"{self.folder}.{self.module}"


def _find():
    for path in sorted(PACKAGE.glob("*/*.py")):
        if path.parent.name in INNER or path.stem in HELPERS:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
                yield Component(path.parent.name, path.stem, node.name)


COMPONENTS = list(_find())
IMPORTED = [one for one in COMPONENTS if one.is_imported]
