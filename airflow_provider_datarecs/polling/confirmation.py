"""Holds what would end a wait until further looks have met it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_datarecs.api.errors import (
    DataRecsError,
    Forbidden,
    InvalidInput,
    InvalidSettings,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unforeseen,
)

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.runs import Run

# Waiting cures none of these. Everything else that goes wrong is a failed look, which says nothing about the
# run.
FINAL = (Unauthorized, Forbidden, NotFound, Rejected, InvalidInput)
# What would meet every other wait on the connection as well.
CONNECTION_IS_REFUSED = (Unauthorized, InvalidSettings)
CONFIRM_AFTER = 7.0  # seconds until the look that is to confirm one of these, on the connection as it is then
UNFORESEEN_FOR = 600.0  # seconds for which every look must have met what nobody foresaw
UNFORESEEN_LOOKS = 3  # how many these must be at least


class Confirmation:
    """
    Count the looks in a row that have met the same; ``since`` is when the last of them did.

    All times are those of one clock that is never set back.
    """

    __slots__ = ("_first", "_kind", "_polls", "since")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget what was met."""
        self._kind: type[DataRecsError] | None = None
        self._polls = 0
        self._first = self.since = float("-inf")

    @property
    def is_about_a_verdict(self) -> bool:
        """Say whether what was met is DataRecs's, which a look some seconds later is to confirm."""
        return self._kind is not None and issubclass(self._kind, FINAL)

    def proves(self, poll: Run | DataRecsError | None, now: float) -> bool:
        """
        Take a look into account, and say whether it has been met often enough to end what waits.

        :param poll: what was seen, None for nothing of the kind; whatever is another than before begins anew,
            but for a 429, which says nothing either way
        :param now: the time
        """
        if isinstance(poll, RateLimited):
            return False
        if not isinstance(poll, (*FINAL, Unforeseen)):
            self.clear()
            return False
        if type(poll) is not self._kind:
            self._kind, self._polls, self._first = type(poll), 0, now
        self._polls += 1
        self.since = now
        polls, seconds = _proof(poll)
        return self._polls >= polls and now - self._first >= seconds


def _proof(poll: DataRecsError) -> tuple[int, float]:
    """Give how many looks must meet it, and the seconds that these must span."""
    if isinstance(poll, Unforeseen):
        return UNFORESEEN_LOOKS, UNFORESEEN_FOR
    if isinstance(poll, CONNECTION_IS_REFUSED):
        return 3, 2 * CONFIRM_AFTER
    if isinstance(poll, InvalidInput):
        return 1, 0.0  # found here, before anything was sent
    return 2, CONFIRM_AFTER
