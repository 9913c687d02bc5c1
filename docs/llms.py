"""Writes ``llms.txt`` beside the pages: what each of them is about, for programs that read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator

from docutils import nodes
from sphinx import addnodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def lines(app: Sphinx) -> Iterator[str]:
    """Give the lines: the whole, then the pages in the order and under the headings of the menu."""
    start = app.env.get_doctree(app.config.root_doc)
    yield f"# {app.config.project} {app.config.release}\n"
    yield f"> {about(start)}"
    for menu in start.findall(addnodes.toctree):
        yield f"\n## {menu['caption']}\n"
        for _, page in menu["entries"]:
            for name in (page, *app.env.toctree_includes.get(page, ())):
                title = app.env.titles[name].astext()
                yield f"- [{title}]({app.builder.get_target_uri(name)}): {about(app.env.get_doctree(name))}"


def about(page: nodes.document) -> str:
    """Give the first paragraph of a page."""
    return " ".join(next(page.findall(nodes.paragraph)).astext().split())


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the file once the pages are there."""
    if error is None and app.builder.name == "html":
        (Path(app.outdir) / "llms.txt").write_text("\n".join([*lines(app), ""]), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Have it written at the end of a build."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}
