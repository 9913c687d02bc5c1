"""The README, which is the page on the package index, and the links of all pages."""

from __future__ import annotations

import ast
import re

import pytest
from support import DOCS, DOCUMENTED_DAG, EXAMPLES, ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("reference/*.md"))]


def test_the_first_dag_of_the_readme_is_the_example_that_runs():
    ((path, code),) = re.findall(
        r"<!-- (\S+) -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert code == (ROOT / path).read_text()


def statements(path, but=()):
    """Give the statements of a DAG file, but for imports from some modules and some arguments of its DAG."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DAG":
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in but]
    return [ast.dump(node) for node in tree.body if getattr(node, "module", "") not in but]


def test_the_first_dag_is_that_of_the_documentation_with_a_start_date():
    ours = EXAMPLES / "reconcile_daily_balances.py"
    assert statements(ours, but=("start_date", "datetime")) == statements(DOCUMENTED_DAG)
    assert "start_date=datetime(" in ours.read_text()


def prose(page):
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """Give what the headings of a page are linked by, as GitHub and MyST both make it."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_relative_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    for link in links:
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
    assert links or page.name != "README.md"


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_shown(example):
    shown = "\n".join(page.read_text() for page in PAGES)
    assert f"{{literalinclude}} ../examples/{example.name}\n" in shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_on_a_page_is_python(page):
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        ast.parse(code)
