"""Puts the page together of its parts in the folder ``parts``: markup, style and scripts."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import NamedTuple

PARTS = Path(__file__).with_name("parts")
SCRIPTS = ("basics.js", "bars.js", "history.js", "main.js")  # each knows those before it


class Page(NamedTuple):
    """
    The page as a browser gets it.

    :param html: all of it
    :param policy: the Content-Security-Policy that lets a browser run what is in the page itself, load its
        figures, and nothing else
    """

    html: str
    policy: str


def read_page() -> Page:
    """Read the parts and put them together."""
    style = _read("style.css")
    script = "\n".join(map(_read, SCRIPTS))
    html = _read("page.html").replace("<style></style>", f"<style>{style}</style>")
    return Page(
        html=html.replace("<script></script>", f"<script>{script}</script>"),
        policy=(
            f"default-src 'none'; script-src '{_hash_of(script)}'; style-src '{_hash_of(style)}'; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        ),
    )


def _read(name: str) -> str:
    return (PARTS / name).read_text("utf-8")


def _hash_of(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
