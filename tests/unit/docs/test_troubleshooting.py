"""Whether the page for users who see a message has them all, and no other."""

from __future__ import annotations

import re

import pytest
from support import DOCS, messages

PAGE = DOCS / "troubleshooting.md"
ALL = list(messages.messages())


def written(page=PAGE):
    """Give what the first column of each table quotes, but for those of what Airflow says."""
    own = page.read_text().partition("## What Airflow says")[0]
    rows = [line.split("|")[1] for line in own.splitlines() if line.startswith("| ")]
    return [quote for row in rows for quote in re.findall(r"`([^`]+)`", row)]


def test_there_are_messages():
    assert len(ALL) > 80


@pytest.mark.parametrize(("where", "parts"), ALL, ids=[where for where, _ in ALL])
def test_a_message_is_explained(where, parts):
    assert messages.distinctive(parts) in " ".join(written())


def strange(quotes):
    """Give the quotes that are none of this package's."""
    told = "\n".join(messages.everything())
    quoted = {(quote, part.strip(messages.EDGES)) for quote in quotes for part in quote.split("...")}
    return [quote for quote, part in sorted(quoted) if part not in told]


def test_every_explained_message_is_one_of_the_package():
    assert strange(written()) == []


def test_symptoms_quote_lines_as_they_are():
    lines = [quote for quote in written(DOCS / "symptoms.md") if " " in quote]
    assert len(lines) > 5
    assert strange(lines) == []
