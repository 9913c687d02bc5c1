"""What goes wrong at the simulated DataRecs, on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass
class Fault:
    """
    Spoil some answers.

    Which answer: the right one, or with ``status`` another one in its place. What becomes of it: it comes
    with further headers, late, slowly, with much or endless padding, only half, or not at all. All of that
    goes together::

        Fault(method="POST", status=502, carry_out=True)  # started, and the gateway fails
        Fault(status=404, body="default backend - 404")  # a gateway's, which says nothing of any run
        Fault(headers={"Content-Type": "text/html"})  # the right answer with a wrong content type
        Fault(drop="half")  # started, and half of the answer
        Fault(padding=100_000_000)  # a hundred megabytes
        Fault(padding=-1, slow=0.5)  # a body that never ends

    :param method: the requests it meets, such as ``GET``; default all
    :param path: a shell pattern for their path, such as ``/jobs/*/run``; default all
    :param query: a shell pattern for their query string, such as ``*cursor=*``; default all
    :param times: how many requests it meets, None for all
    :param seconds: how long it lasts from the first request it meets, default for ever
    :param status: answer with this HTTP status, without carrying the request out
    :param body: the body of that answer: text as it is, anything else as JSON; default an error as DataRecs
        gives it, where the status is one
    :param carry_out: carry the request out before that answer takes the place of its own
    :param headers: further headers of the answer
    :param delay: seconds before anything else happens
    :param slow: seconds after the status line, the headers, the body and each blank that follows it
    :param padding: blanks after the body, so many or -1 for no end
    :param drop: cut the connection ``before`` or ``after`` the request was carried out, or in the middle of
        the body: ``half``
    """

    method: str = "*"
    path: str = "*"
    query: str = "*"
    times: int | None = 1
    seconds: float | None = None
    status: int | None = None
    body: Any = None
    carry_out: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    slow: float = 0.0
    padding: int = 0
    drop: str | None = None
    _met_first: float | None = field(default=None, init=False, repr=False)

    @property
    def carries_out(self) -> bool:
        """Whether the request is carried out in spite of the fault."""
        return self.drop != "before" and (self.status is None or self.carry_out)

    @property
    def spoils_the_way(self) -> bool:
        """Whether the answer does not simply leave as a whole."""
        return bool(self.slow or self.padding or self.drop == "half")

    def meets(self, method: str, path: str, query: str, now: float) -> bool:
        """Say whether a request is spoilt, and count it if so."""
        if self.times == 0 or self.method not in ("*", method):
            return False
        if not (fnmatchcase(path, self.path) and fnmatchcase(query, self.query)):
            return False
        if self._met_first is None:
            self._met_first = now
        if self.seconds is not None and now >= self._met_first + self.seconds:
            return False
        if self.times is not None:
            self.times -= 1
        return True
