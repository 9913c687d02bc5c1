"""Holds what would end a wait until further polls have met it again."""

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
from airflow_provider_datarecs.polling import config

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.runs import Run

# Waiting cures none of these. Everything else that goes wrong is a failed poll, which says nothing about the
# run.
FINAL = (Unauthorized, Forbidden, NotFound, Rejected, InvalidInput)
# What would meet every other wait on the connection as well.
CONNECTION_IS_REFUSED = (Unauthorized, InvalidSettings)
NEVER = float("-inf")


class Confirmation:
    """
    Count the polls in a row that have met the same error; ``since`` is when the last of them did.

    All times are those of one clock that is never set back.
    """

    __slots__ = ("_first", "_kind", "_polls", "since")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget what was met."""
        self._kind: type[DataRecsError] | None = None
        self._polls = 0
        self._first = self.since = NEVER

    @property
    def is_pending(self) -> bool:
        """Say whether what was met is DataRecs's word, which a poll some seconds later is to confirm."""
        return self._kind is not None and issubclass(self._kind, FINAL)

    def confirms(self, answer: Run | DataRecsError | None, now: float) -> bool:
        """
        Take the answer to a poll into account, and say whether it has been met often enough to end a wait.

        :param answer: the answer, None for nothing of the kind; whatever is another than before begins anew,
            but for a 429, which says nothing either way
        :param now: the time
        """
        if isinstance(answer, RateLimited):
            return False
        if not isinstance(answer, (*FINAL, Unforeseen)):
            self.clear()
            return False
        if type(answer) is not self._kind:
            self._kind, self._polls, self._first = type(answer), 0, now
        self._polls += 1
        self.since = now
        polls, seconds = _needed(answer)
        return self._polls >= polls and now - self._first >= seconds


def _needed(error: DataRecsError) -> tuple[int, float]:
    """Give how many polls must meet an error, and the seconds that these must span."""
    numbers = config.current()
    if isinstance(error, Unforeseen):
        return numbers.unforeseen_polls, numbers.unforeseen_for
    if isinstance(error, CONNECTION_IS_REFUSED):
        return 3, 2 * numbers.confirm_after
    if isinstance(error, InvalidInput):
        return 1, 0.0  # found here, before anything was sent
    return 2, numbers.confirm_after
