"""Judges by the ends of runs how far a connection's webhook events can be relied on."""

from __future__ import annotations

from collections import OrderedDict

from airflow_provider_datarecs.polling import config


class EventReliability:
    """
    Tell how much more seldom runs may be polled, since events say when they have ended.

    That is decided by the ends alone that polls have confirmed: an end of which an event has come, before the
    poll that found it or within a minute after, speaks for the events; one of which none has come speaks
    against them, and outweighs all others. All times are those of one clock that is never set back.
    """

    def __init__(self) -> None:
        # The runs of which an event has come, and those of which one is still missing, each with when.
        self._heard: OrderedDict[str, float] = OrderedDict()
        self._missing: OrderedDict[str, float] = OrderedDict()
        self._in_a_row = 0
        self._doubted_until = float("-inf")

    def heard(self, run_id: str, now: float) -> None:
        """
        Note an event that says that a run has ended.

        :param run_id: the run's id
        :param now: the time
        """
        if self._missing.pop(run_id, None) is not None:
            self._in_a_row += 1
        self._heard[run_id] = now
        self._heard.move_to_end(run_id)
        if len(self._heard) > config.current().events_kept:
            self._heard.popitem(last=False)

    def has_heard(self, run_id: str, now: float) -> bool:
        """
        Say whether an event of a run has come of late.

        :param run_id: the run's id
        :param now: the time
        """
        return self._heard.get(run_id, float("-inf")) > now - config.current().event_counts_for

    def note_end(self, run_id: str, now: float) -> bool:
        """
        Note that a poll has found a run ended, and say whether an event had said so before.

        :param run_id: the run's id
        :param now: the time
        """
        if run_id in self._heard:
            self._in_a_row += 1
            return True
        self._missing.setdefault(run_id, now)
        return False

    def lost_trust(self, now: float) -> str | None:
        """
        Give the run of which no event has come in time, where that is why events count no more; else None.

        :param now: the time
        """
        lost = None
        while self._missing:
            run_id, found = next(iter(self._missing.items()))
            if found + config.current().event_within > now:
                break
            del self._missing[run_id]
            lost = run_id
        return lost if lost is not None and self.doubt(now) else None

    def doubt(self, now: float) -> bool:
        """
        Let events count no more for a while, and say whether that is new.

        :param now: the time
        """
        was_doubted = now < self._doubted_until
        self._in_a_row, self._doubted_until = 0, now + config.current().events_doubted_for
        return not was_doubted

    def interval_factor(self, now: float) -> float:
        """
        Give by how much longer than usual the time between two polls of a run may be.

        :param now: the time
        """
        if now < self._doubted_until:
            return 1.0
        numbers = config.current()
        steps: int = self._in_a_row // numbers.events_proven_after
        return min(numbers.max_interval_factor, 2.0 ** min(steps, 32))
