"""Tells what becomes of what is posted: to Airflow's metrics, and now and then to the server's log."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter

from airflow_provider_datarecs.compat import load_stats

log = logging.getLogger(__name__)

LINE_EVERY = 60.0
"""Seconds between two lines in the log about what was refused."""


class ReceiverReport:
    """
    Count what is posted.

    :param path: where, for the log
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._refused: Counter[str] = Counter()
        self._line_at = float("-inf")
        self._lock = threading.Lock()

    def accepted(self) -> None:
        """Count an event that was passed on."""
        load_stats().incr("datarecs.events_accepted")

    def useless(self) -> None:
        """Count an event that is not about the end of a run."""
        load_stats().incr("datarecs.events_useless")

    def refused(self, why: str) -> None:
        """
        Count whatever else it was.

        :param why: what was wrong with it, for the log
        """
        load_stats().incr("datarecs.events_refused")
        now = time.monotonic()
        with self._lock:
            self._refused[why] += 1
            if now < self._line_at + LINE_EVERY:
                return
            self._line_at, refused, self._refused = now, self._refused, Counter()
        counts = ", ".join(f"{count} with {reason}" for reason, count in refused.most_common())
        log.warning("Posted to %s and refused: %s; one line a minute tells of these", self._path, counts)
