"""Collects what the package can tell its users, from its source."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import airflow_provider_datarecs

PACKAGE = Path(airflow_provider_datarecs.__file__).parent
# For tests of users' own, and the connection's form.
ELSEWHERE = {"simulator", "pytest_plugin.py", "provider_info.py"}
HARMLESS = {"debug", "info"}  # levels of log lines that ask nobody to do anything
SHOWN = 40  # characters of a message that are looked for
TELLING = 4  # words that tell a message from others
EDGES = " .,;:()'\""
GAP = "\0"  # in place of what differs


def messages():
    """Give each message as (where, its parts that never differ)."""
    for name, tree in _modules():
        errors, harmless = set(_in_errors(tree)), set(_in_harmless_lines(tree))
        for node, text in _texts(tree):
            parts = [part for part in _parts(text) if re.search(r"[A-Za-z]{3}", part)]
            is_message = node not in harmless and (node in errors or any(map(_is_prose, parts)))
            if is_message and parts and parts != ["GET"]:
                yield f"{name}:{node.lineno}", parts


def everything():
    """Give the parts of all text in the package but its docstrings."""
    return [part for _, tree in _modules() for _, text in _texts(tree) for part in _parts(text)]


def distinctive(parts):
    """Give the start of the first part that tells a message from others, to the end of a word."""
    part = next((part for part in parts if len(part.split()) >= TELLING), max(parts, key=len))
    cut = part if len(part) <= SHOWN else part[: SHOWN + 1].rpartition(" ")[0]
    return cut.strip(EDGES)


def _modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE)
        if name.parts[0] not in ELSEWHERE:
            yield name, ast.parse(path.read_text())


def _texts(tree):
    passed_over = set(_docstrings_and_pieces(tree))
    for node in ast.walk(tree):
        if node in passed_over:
            continue
        if isinstance(node, ast.JoinedStr):
            pieces = (part.value if isinstance(part, ast.Constant) else GAP for part in node.values)
            yield node, "".join(pieces)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node, re.sub(r"%[.\d]*[a-z]", GAP, node.value)  # of a log line


def _parts(text):
    return [" ".join(part.split()) for part in text.split(GAP)]


def _is_prose(part):
    return re.search(r"[a-z]{2,} [a-z]+ [a-z]+", part) is not None


def _docstrings_and_pieces(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and "Enum" in [getattr(base, "id", "") for base in node.bases]:
            yield from (part.value for part in node.body if isinstance(part, ast.Assign))
        elif isinstance(node, ast.Expr):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield from (part for part in node.values if isinstance(part, ast.Constant))


def _in_errors(tree):
    """Give what errors are made with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from node.exc.args
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) in ERRORS:
            yield from node.args


def _in_harmless_lines(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) in HARMLESS:
            yield from (inner for argument in node.args for inner in ast.walk(argument))


ERRORS = {
    node.name
    for name in ("api/errors.py", "exceptions.py")
    for node in ast.walk(ast.parse((PACKAGE / name).read_text()))
    if isinstance(node, ast.ClassDef)
}
