"""Reports what the waits on a connection ask for and get: metrics, and lines in the triggerer's log."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async

from airflow_provider_datarecs.api.errors import LimitUsedUp, RateLimited
from airflow_provider_datarecs.compat import load_stats
from airflow_provider_datarecs.polling import config

log = logging.getLogger(__name__)

REQUESTS, REFUSED = "datarecs.requests", "datarecs.rate_limited"
HINTS, USELESS_HINTS = "datarecs.hints", "datarecs.hints_useless"  # webhook events
HINTED_ENDS = "datarecs.ends_hinted"


@dataclass(frozen=True)
class Load:
    """
    What there is to do at a time.

    :param waits: how many tasks wait
    :param requests: how many requests it takes to poll all their runs once
    :param wanted: requests a minute that it takes to poll each as often as its task wants
    :param possible: requests a minute that the rate limit leaves to this process
    :param limit: requests a minute that the API key has
    :param longest: seconds after which every request is sent again, at the latest
    """

    waits: int
    requests: int
    wanted: float
    possible: float
    limit: float
    longest: float

    @property
    def is_stretched(self) -> bool:
        """Say whether the tasks cannot have polls as often as they want."""
        return self.wanted > self.possible


class PollerMetrics:
    """
    Count what happens, and report it.

    :param conn_id: the connection's id
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self._counts: Counter[str] = Counter()  # since the last report, by the names of the metrics
        self._delays: list[float] = []
        self._last_minute: deque[tuple[float, int, int]] = deque()
        self._line_at = float("-inf")
        self._told: tuple[Any, ...] | None = None
        self._was_stretched = False

    def count(self, answer: object) -> None:
        """Count a request by its answer."""
        if not isinstance(answer, LimitUsedUp):
            self._counts[REQUESTS] += 1
            self._counts[REFUSED] += isinstance(answer, RateLimited)

    def hinted(self, *, was_useful: bool) -> None:
        """Count a webhook event by whether somebody waits for its run."""
        self._counts[HINTS] += 1
        self._counts[USELESS_HINTS] += not was_useful

    def noticed(self, seconds: float, *, was_hinted: bool = False) -> None:
        """Take down how long after a run's end its wait was told, and whether an event had said so."""
        self._delays.append(seconds)
        self._counts[HINTED_ENDS] += was_hinted

    async def report(self, load: Load, now: float) -> None:
        """
        Send what was counted since the last time, and write a line where something has changed.

        :param load: what there is to do
        :param now: the time in seconds, by any clock
        """
        line_every = config.current().line_every
        counts, delays = self._counts, self._delays
        self._counts, self._delays = Counter(), []
        self._last_minute.append((now, counts[REQUESTS], counts[REFUSED]))
        while self._last_minute[0][0] <= now - line_every:
            self._last_minute.popleft()
        in_a_minute = sum(count for _, count, _ in self._last_minute)
        # Off the loop: a metrics backend is made at its first use, which may read files and look up names.
        await sync_to_async(self._send)(counts, delays, load.waits, in_a_minute / load.limit)
        if now >= self._line_at + line_every:
            self._write_line(load, in_a_minute, now)

    def _send(self, counts: Counter[str], delays: list[float], waits: int, used: float) -> None:
        stats, tags = load_stats(), {"conn_id": self.conn_id}
        for name, count in counts.items():
            if count:
                stats.incr(name, count, tags=tags)
        stats.gauge("datarecs.waits", waits, tags=tags)
        stats.gauge("datarecs.budget_used", used, tags=tags)
        for seconds in delays:
            stats.timing("datarecs.time_to_notice", seconds * 1000.0, tags=tags)

    def _write_line(self, load: Load, requests: int, now: float) -> None:
        refused = sum(count for _, _, count in self._last_minute)
        state = (load.waits, load.requests, bool(refused), load.is_stretched)
        if state == self._told:
            return
        stretches = load.is_stretched and not self._was_stretched
        self._told, self._was_stretched, self._line_at = state, load.is_stretched, now
        if stretches:
            log.info(
                "Connection %s: the %d waits take %d requests for one poll of each. As they are set, that is "
                "every %.0f s on average, %.0f requests a minute; the rate limit leaves %.0f. So polls come "
                "every %.0f s on average, more often when runs usually end, and after %.0f s at the latest",
                self.conn_id,
                load.waits,
                load.requests,
                60.0 * load.requests / load.wanted,
                load.wanted,
                load.possible,
                60.0 * load.requests / load.possible,
                load.longest,
            )
        else:
            log.info(
                "Connection %s: %d waits, %d requests for one poll of each; %d requests in the last minute, "
                "%d of them refused with 429; the limit is %.0f",
                self.conn_id,
                load.waits,
                load.requests,
                requests,
                refused,
                load.limit,
            )
