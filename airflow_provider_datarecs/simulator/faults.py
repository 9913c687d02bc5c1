"""What goes wrong at the simulated DataRecs, on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass
class Fault:
    """
    Spoil some answers.

    :param method: the requests it meets, such as ``GET``; default all
    :param path: a shell pattern for their path, such as ``/jobs/*/run``; default all
    :param times: how many requests it meets, None for all
    :param seconds: how long it lasts from the first request it meets, default for ever
    :param status: answer with this HTTP status
    :param body: the body of that answer: text as it is, anything else as JSON
    :param headers: further headers of that answer
    :param delay: seconds before anything else happens
    :param drop: cut the connection ``before`` or ``after`` the request was carried out
    """

    method: str = "*"
    path: str = "*"
    times: int | None = 1
    seconds: float | None = None
    status: int | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: str | None = None
    _met_first: float | None = field(default=None, init=False, repr=False)

    def meets(self, method: str, path: str, now: float) -> bool:
        """Say whether a request is spoilt, and count it if so."""
        if self.method not in ("*", method) or not fnmatchcase(path, self.path) or self.times == 0:
            return False
        if self._met_first is None:
            self._met_first = now
        if self.seconds is not None and now >= self._met_first + self.seconds:
            return False
        if self.times is not None:
            self.times -= 1
        return True
