"""A logger that keeps what it is told."""

from __future__ import annotations

from typing import Any


class Log(list):  # type: ignore[type-arg]
    """Keep the lines of each level, in the order in which they come."""

    def note(self, message: str, *arguments: Any, **_: Any) -> None:
        """Keep a line as it would be written."""
        self.append(message % arguments)

    debug = info = warning = error = exception = note
