"""The rate limit of an API key."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class RateLimit:
    """
    Count the requests of each API key against a limit.

    :param requests: how many are let through in a window
    :param window: its length in seconds
    :param sliding: whether the window slides with each request, rather than starting anew when it is over
    :param epoch_reset: whether ``X-RateLimit-Reset`` is epoch seconds, rather than seconds left
    :param reset_step: what the seconds in headers are rounded up to
    """

    requests: int = 100
    window: float = 60.0
    sliding: bool = False
    epoch_reset: bool = False
    reset_step: float = 1.0
    _taken: dict[str, deque[float]] = field(default_factory=dict, init=False, repr=False)

    def take(self, key: str, now: float) -> bool:
        """Count a request at a time, and say whether it is let through; refused ones do not count."""
        taken = self._in_window(key, now)
        if len(taken) >= self.requests:
            return False
        taken.append(now)
        return True

    def remaining(self, key: str, now: float) -> int:
        """Give how many more requests are let through at a time."""
        return self.requests - len(self._in_window(key, now))

    def seconds_left(self, key: str, now: float) -> float:
        """Give the seconds until the window, or the oldest request in a sliding one, is over."""
        taken = self._in_window(key, now)
        return max(0.0, taken[0] + self.window - now) if taken else 0.0

    def shown(self, seconds: float) -> str:
        """Give seconds as a header shows them: rounded up."""
        steps = int(seconds / self.reset_step) + 1
        return f"{steps * self.reset_step:.14g}"  # enough digits for an epoch's milliseconds

    def _in_window(self, key: str, now: float) -> deque[float]:
        taken = self._taken.setdefault(key, deque())
        if self.sliding:
            while taken and taken[0] <= now - self.window:
                taken.popleft()
        elif taken and taken[0] <= now - self.window:
            taken.clear()
        return taken
