"""The rate limit of an API key."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class RateLimit:
    """
    Count requests against a limit.

    :param requests: how many are let through in a window
    :param window: its length in seconds
    :param sliding: whether the window slides with each request, rather than starting anew when it is over
    :param epoch_reset: whether ``X-RateLimit-Reset`` is epoch seconds, rather than seconds left
    """

    requests: int = 100
    window: float = 60.0
    sliding: bool = False
    epoch_reset: bool = False
    _taken: deque[float] = field(default_factory=deque, init=False, repr=False)

    def take(self, now: float) -> bool:
        """Count a request at a time, and say whether it is let through; refused ones do not count."""
        self._forget(now)
        if len(self._taken) >= self.requests:
            return False
        self._taken.append(now)
        return True

    def remaining(self, now: float) -> int:
        """Give how many more requests are let through at a time."""
        self._forget(now)
        return self.requests - len(self._taken)

    def seconds_left(self, now: float) -> float:
        """Give the seconds until the window, or the oldest request in a sliding one, is over."""
        self._forget(now)
        return max(0.0, self._taken[0] + self.window - now) if self._taken else 0.0

    def _forget(self, now: float) -> None:
        if self.sliding:
            while self._taken and self._taken[0] <= now - self.window:
                self._taken.popleft()
        elif self._taken and self._taken[0] <= now - self.window:
            self._taken.clear()
