"""Decides when the waits on a connection may ask again."""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.rate_limit import RateLimitConfig

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.rate_limit import RateLimitState

START = 4.0  # the first pause of a process is this many times as long as an even pace needs
CALMING = 0.9  # no pause is shorter than this part of the one before
QUICK_CALMING = 0.6  # the same where much more is left than an even pace would have left
JITTER = 0.1  # of a pause, either way
SHARING = 0.15  # of what is left free: the pace halves with each such part that an even pace would have left
MOST_HALVINGS = 10.0
REFUSED = 2.0  # each 429 makes pauses this many times as long; answers calm that down again
MOST_REFUSED = 16.0
LONGEST = 0.5  # of the window: the longest pause, unless it is known when more requests come
FRESH = 0.95  # of the window: what is left of one that has just begun
FRESH_KEPT = 5
SMOOTHING = 0.05


class RequestPacer:
    """
    Pace the requests of all waits on a connection in one process.

    Requests are spread evenly over the limit's window and leave a share of it free. Other processes with
    the same key are seen only in the headers of the answers. Where fewer requests remain than an even
    pace would have left by now, this process slows down, the more the fewer; so do all others that see
    the same headers, which makes them share alike. None goes faster than an even pace, and none starts
    at it, so nothing bursts when a window begins or a process starts. All times are those of
    ``time.monotonic``.

    ``limit`` is how many requests a window has, ``pause`` the seconds from the last request to the next,
    ``usual_pause`` what they are of late.

    :param seen: what the answers say of the limit
    """

    def __init__(self, seen: RateLimitState) -> None:
        self.seen = seen
        self.configure(RateLimitConfig())
        self._jitter = 1.0
        self._sent_at = self._closed_until = float("-inf")
        self._unanswered = 0
        self._slowdown = 1.0

    def configure(self, limits: RateLimitConfig) -> None:
        """
        Take up what the user says of the limit.

        :param limits: as read from the connection
        """
        self.limits = limits
        self.limit = limits.requests_per_minute
        self._fresh: deque[int] = deque(maxlen=FRESH_KEPT)
        self._fresh_until = float("-inf")
        self.usual_pause = self._even_pause()
        self.pause = self._previous_pause = START * self.usual_pause

    def opens_at(self) -> float:
        """Give the time from which on the next request may go."""
        used_up_until = self.seen.resets_at if self.seen.remaining == 0 else self._closed_until
        return max(self._closed_until, used_up_until, self._sent_at + self.pause * self._jitter)

    def sent(self, now: float) -> None:
        """Count a request that goes now."""
        self._sent_at, self._previous_pause = now, self.pause
        self._jitter = random.uniform(1.0 - JITTER, 1.0 + JITTER)
        self._unanswered += 1
        self._plan(now)

    def answered(self, now: float) -> None:
        """Count an answer, or that none will come."""
        self._unanswered -= 1
        self._slowdown = max(1.0, self._slowdown * CALMING)
        self._learn(now)
        self._plan(now)
        self.usual_pause += SMOOTHING * (self.pause - self.usual_pause)

    def refused(self, now: float, wait: float) -> None:
        """
        Stop for a while, since the service has answered 429.

        :param wait: the seconds after which it lets requests through again
        """
        self._slowdown = min(MOST_REFUSED, self._slowdown * REFUSED)
        self._closed_until = now + wait * random.uniform(1.0, 1.0 + JITTER)

    def _even_pause(self) -> float:
        return contract.RATE_LIMIT_WINDOW / (self.limit * (1.0 - self.limits.share_left_free))

    def _learn(self, now: float) -> None:
        """Take the limit itself from an answer that begins a window."""
        remaining = self.seen.remaining
        if remaining is None:
            return
        if self.seen.resets_at - now >= FRESH * contract.RATE_LIMIT_WINDOW and now >= self._fresh_until:
            self._fresh_until = self.seen.resets_at
            self._fresh.append(remaining + 1)
            if len(self._fresh) > 1:  # others may have rushed into one window before us
                known, self.limit = self.limit, max(self._fresh)
                if self.limit < known:
                    self._previous_pause = START * self._even_pause()
        self.limit = max(self.limit, remaining + 1)

    def _plan(self, now: float) -> None:
        """Set the pause after the last request."""
        pause, calming = self._even_pause() * self._slowdown, CALMING
        left = self.seen.resets_at - now
        # What was said before the window was over says nothing about the next one.
        if self.seen.remaining is not None and left > 0:
            free = self.limit * self.limits.share_left_free
            remaining = self.seen.remaining - self._unanswered
            missing = free + (self.limit - free) * left / contract.RATE_LIMIT_WINDOW - remaining
            if missing < -free:
                calming = QUICK_CALMING
            halvings = missing / max(1.0, free * SHARING)
            pause *= 2.0 ** min(MOST_HALVINGS, max(0.0, halvings))
            # In a sliding window some requests come back at once, but few; a fixed one opens as a whole.
            opens = left > contract.RATE_LIMIT_WINDOW * (1.0 - FRESH) * 2
            longest = left + self._even_pause() if opens else LONGEST * contract.RATE_LIMIT_WINDOW
            pause = min(pause, max(longest, self._even_pause() * self._slowdown))
            if remaining <= 0:
                pause = max(pause, left)
        self.pause = max(pause, calming * self._previous_pause)
