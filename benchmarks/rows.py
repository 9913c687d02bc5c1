"""Keeps what a benchmark has measured, a row for each case, and makes its page of all rows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable


class Rows:
    """
    Hold the rows of a page.

    :param file: where they are kept, as JSON; the page is beside it
    :param page: makes the page of them
    :param case: the names of what tells the cases apart
    """

    def __init__(
        self, file: Path, page: Callable[[list[dict[str, Any]]], str], case: tuple[str, ...]
    ) -> None:
        self._file, self._page, self._case = file, page, case
        self._commit = commit(file)

    def put(self, row: dict[str, Any]) -> None:
        """Put a row in place of an earlier one of the same case, and make the page anew."""
        rows = json.loads(self._file.read_text()) if self._file.exists() else []
        rows = [one for one in rows if any(one[part] != row[part] for part in self._case)]
        rows.append({**row, "commit": self._commit})
        self._file.parent.mkdir(exist_ok=True)
        self._file.write_text(json.dumps(rows, indent=1) + "\n")
        self._file.with_suffix(".md").write_text(self._page(rows))


def commit(file: Path) -> str:
    """
    Name the commit that is measured, and say whether anything but the figures differs from it.

    :param file: where the figures are
    """

    def git(*arguments: str) -> str:
        command, here = ["git", *arguments], Path(__file__).parent
        return subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    differs = git("status", "--porcelain", "--", ":/", f":(top,exclude)docs/{file.stem}.*")
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if differs else "")


def say(what: str) -> None:
    """Tell whoever watches what is being done."""
    print(time.strftime("%H:%M:%S"), what, file=sys.stderr, flush=True)
