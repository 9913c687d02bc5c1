"""Decides when a process may send its next request, within a rate limit that others use as well."""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.rate_limit import RateLimitConfig
from airflow_provider_datarecs.polling import config

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.rate_limit import RateLimitState


class Pauses(NamedTuple):
    """
    The seconds from the last request to the next.

    :param usual: as a rule
    :param urgent: to an urgent one; they are few, so that this is soon as short again as the limit allows
    :param spare: to one that others need less than what it leaves of the limit
    """

    usual: float
    urgent: float
    spare: float


class LastRequest(NamedTuple):
    """
    The last request that was sent.

    :param at: when, by ``time.monotonic``; where it went a little late, when it might have gone
    :param pauses: those before it
    :param jitter: by which the pauses after it are longer or shorter
    """

    at: float
    pauses: Pauses
    jitter: float


class LimitEstimate:
    """
    Learn from the answers how many requests a window has, its ``limit``.

    :param limit: what the user says
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._fresh: deque[int] = deque(maxlen=config.current().fresh_windows_kept)
        self._fresh_until = float("-inf")

    def learn(self, state: RateLimitState, now: float) -> bool:
        """
        Take an answer into account, and say whether the limit is lower than it was thought to be.

        :param state: what the answer says of the limit
        :param now: the time
        """
        if state.remaining is None:
            return False
        known = self.limit
        begins_window = state.resets_at - now >= config.current().fresh_window * contract.RATE_LIMIT_WINDOW
        if begins_window and now >= self._fresh_until:
            self._fresh_until = state.resets_at
            self._fresh.append(state.remaining + 1)
            if len(self._fresh) > 1:  # others may have rushed into one window before us
                self.limit = max(self._fresh)
        is_lower = self.limit < known
        self.limit = max(self.limit, state.remaining + 1)
        return is_lower


class RequestPacer:
    """
    Pace the requests of all waits on a connection in one process.

    With a limit of L requests in a window of W seconds, of which the share s is left free::

        even    = W / (L * (1 - s))                       the pause of an even pace
        missing = s * L + (1 - s) * L * left / W - remaining
                                                          what an even pace would have left by now, less
                                                          what is left
        pause   = even * slowdown * 2 ** (missing / max(sharing * s * L, least_sharing * L))

    Other processes with the same key are seen only in the headers of the answers (``left`` seconds of the
    window and ``remaining`` requests). All that see the same headers slow down alike, which makes them share
    alike. None goes faster than an even pace, and none starts at it, so nothing bursts when a window begins
    or a process starts. All times are those of ``time.monotonic``.

    ``pauses`` are the seconds from the last request to the next, ``usual_pause`` what they are of late.

    :param state: what the answers say of the limit
    :param estimates: what is known of the limit, by what the user says of it; default nothing
    """

    def __init__(self, state: RateLimitState, estimates: dict[float, LimitEstimate] | None = None) -> None:
        self.state = state
        self._estimates = {} if estimates is None else estimates
        self._closed_until = float("-inf")
        self._unanswered = 0
        self._slowdown = 1.0
        self._last = LastRequest(float("-inf"), Pauses(0.0, 0.0, 0.0), 1.0)
        self.configure(RateLimitConfig())

    def configure(self, rate_limit: RateLimitConfig) -> None:
        """
        Take up what the user says of the limit.

        :param rate_limit: as read from the connection
        """
        self.config = rate_limit
        said = rate_limit.requests_per_minute
        self._estimate = self._estimates.setdefault(said, LimitEstimate(said))
        self.usual_pause = self._even_pause()
        self.pauses = self._first_pauses()
        self._last = self._last._replace(pauses=self.pauses)

    @property
    def limit(self) -> float:
        """How many requests a window has, as far as is known."""
        return self._estimate.limit

    def opens_at(self) -> float:
        """Give the time from which on the next request may go."""
        return self._opens_after(self.pauses.usual)

    def opens_for_urgent_at(self) -> float:
        """Give the time from which on an urgent request may go."""
        return self._opens_after(self.pauses.urgent)

    def opens_for_spare_at(self) -> float:
        """Give the time from which on a request may go that others can do without."""
        return self._opens_after(self.pauses.spare)

    def sent(self, now: float) -> None:
        """Count a request that goes now."""
        numbers = config.current()
        opened_at = self.opens_at()
        at = opened_at if 0.0 <= now - opened_at <= numbers.made_up_for else now
        jitter = random.uniform(1.0 - numbers.jitter, 1.0 + numbers.jitter)
        self._last = LastRequest(at, self.pauses, jitter)
        self._unanswered += 1
        self._plan(now)

    def answered(self, now: float) -> None:
        """Count an answer, or that none will come."""
        numbers = config.current()
        self._unanswered -= 1
        self._slowdown = max(1.0, self._slowdown * numbers.calming)
        if self._estimate.learn(self.state, now):
            self._last = self._last._replace(pauses=self._first_pauses())
        self._plan(now)
        self.usual_pause += numbers.smoothing * (self.pauses.usual - self.usual_pause)

    def refused(self, now: float, wait: float) -> None:
        """
        Stop for a while, since the service has answered 429.

        :param now: the time
        :param wait: the seconds after which it lets requests through again
        """
        numbers = config.current()
        self._slowdown = min(numbers.max_refused_factor, self._slowdown * numbers.refused_factor)
        self._closed_until = now + wait * random.uniform(1.0, 1.0 + numbers.jitter)

    def _opens_after(self, pause: float) -> float:
        used_up_until = self.state.resets_at if self.state.remaining == 0 else self._closed_until
        return max(self._closed_until, used_up_until, self._last.at + pause * self._last.jitter)

    def _even_pause(self) -> float:
        return contract.RATE_LIMIT_WINDOW / (self.limit * (1.0 - self.config.share_left_free))

    def _first_pauses(self) -> Pauses:
        first = config.current().first_pause * self._even_pause()
        return Pauses(first, first, first)

    def _plan(self, now: float) -> None:
        """Set the pauses after the last request."""
        numbers = config.current()
        even = spare = allowed = self._even_pause() * self._slowdown
        calming = numbers.calming
        left = self.state.resets_at - now
        # What was said before the window was over says nothing about the next one.
        if self.state.remaining is not None and left > 0:
            free = self.limit * self.config.share_left_free
            remaining = self.state.remaining - self._unanswered
            missing = free + (self.limit - free) * left / contract.RATE_LIMIT_WINDOW - remaining
            if missing < -free:
                calming = numbers.quick_calming
            longest = max(self._longest_pause(left), even)
            least = left if remaining <= 0 else 0.0
            allowed = max(least, min(longest, even * self._slower(missing)))
            spare = max(least, min(longest, even * self._slower(missing + numbers.spared * self.limit)))
        usual = max(allowed, calming * self._last.pauses.usual)
        urgent = max(allowed, numbers.quick_calming * self._last.pauses.urgent)
        self.pauses = Pauses(usual, urgent, max(spare, usual))

    def _slower(self, missing: float) -> float:
        """Give by how much longer a pause is where so many requests are missing."""
        numbers = config.current()
        free = self.limit * self.config.share_left_free
        halving = max(1.0, free * numbers.sharing, self.limit * numbers.least_sharing)
        return float(2.0 ** min(numbers.max_halvings, max(0.0, missing / halving)))

    def _longest_pause(self, left: float) -> float:
        # In a sliding window some requests come back at once, but few; a fixed one opens as a whole.
        numbers = config.current()
        if left > contract.RATE_LIMIT_WINDOW * (1.0 - numbers.fresh_window) * 2:
            return left + self._even_pause()
        return numbers.longest_pause * contract.RATE_LIMIT_WINDOW
