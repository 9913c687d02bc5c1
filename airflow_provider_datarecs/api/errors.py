"""
What can go wrong between this provider and DataRecs, told apart by what it means for a run::

    DataRecsError                   anything of the following
        InvalidInput                nothing was sent: an argument cannot be right
            InvalidSettings         nothing was sent: a field of the connection cannot be right
        ConnectionUnreadable        nothing was sent: Airflow gives no connection just now; a run goes on
        NameNotFound                nothing was started: there is no such workspace or job
        NameNotUnique               nothing was started: several workspaces or jobs have the name
        Unforeseen                  a mistake in this provider; says nothing of a run
        RequestError                a request got no answer that helps
            NeverArrived            DataRecs did not get it: a start has started nothing
                NameUnresolved      the same: no address is known for the name in Host
            MaybeArrived            DataRecs may have got it: a start may have started a run
                UnreadableAnswer    the same, and something answered, in another way than DataRecs does
                    ForeignAnswer   the same, with an error, as of a gateway
                        Redirected  the same, to another address, which is not followed
            EndlessList             not all of a list was read: whether a run is on it is unknown
            AnsweredWithError       DataRecs got the request, and answered with an error
                Unauthorized        401: no run can be started or seen with this API key
                Forbidden           403: the API key may not do this to the run
                NotFound            404: the run, or its job, does not exist or is not visible
                Rejected            other 4xx: the request is refused, and would be again
                RateLimited         429: nothing was done; later it may be
                    LimitUsedUp     not even sent, since it would be met with a 429
                Unavailable         5xx, 408, 425: a start may have started a run; later there is an answer
        RunMayHaveStarted           a start is in doubt: the run may exist, and nobody knows its id
        NothingStarted              a start got no answer, and the run history proves that there is no run
"""

from __future__ import annotations

import traceback
from typing import Any, Iterable


class DataRecsError(Exception):
    """The root of every error of the API client."""


class InvalidInput(DataRecsError, ValueError):
    """An argument cannot be right; nothing was sent."""


class InvalidSettings(InvalidInput):
    """A field of the connection cannot be right; nothing was sent."""


class ConnectionUnreadable(DataRecsError):
    """Airflow could not give the connection just now; nothing was sent."""


class NameNotFound(DataRecsError):
    """No workspace or job has the name that was asked for."""


class NameNotUnique(DataRecsError):
    """Several workspaces or jobs have the name that was asked for."""


class Unforeseen(DataRecsError):
    """
    An exception that nobody foresaw: a mistake in this provider, or in a library that it uses.

    Only its kind is told to users. ``details`` is its traceback, for the log.

    :param error: the exception
    :param secrets: what must not be told
    """

    def __init__(self, error: Exception, secrets: Iterable[str] = ()) -> None:
        kind = type(error).__name__
        super().__init__(f"{kind}, which this provider did not foresee; the log has its traceback")
        details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        for secret in secrets:
            details = details.replace(secret, "***")
        self.details = details


class RequestError(DataRecsError):
    """
    A request did not get the answer it was sent for.

    :param call: the request in short, such as ``GET /jobs/j1/runs``
    :param problem: what happened to it
    """

    def __init__(self, call: str, problem: str) -> None:
        super().__init__(f"{problem} ({call})")
        self.call = call
        self.problem = problem


class NeverArrived(RequestError):
    """The request provably did not reach DataRecs: no connection was made. It started nothing."""


class NameUnresolved(NeverArrived):
    """The name in the connection's Host has no address, as far as this machine knows."""


class MaybeArrived(RequestError):
    """The request may have reached DataRecs, but its answer is lost: a timeout or a dropped connection."""


# The first words of a message about an answer in which nothing looks like DataRecs.
WRONG_HOST = "the connection's Host may not be the URL of the DataRecs API"


class UnreadableAnswer(MaybeArrived):
    """Something answered, but not in the way DataRecs does: no JSON, or JSON of another shape."""


class ForeignAnswer(UnreadableAnswer):
    """
    An error that is not DataRecs's own, as that of a gateway: it says nothing of what the call names.

    :param call: the request in short
    :param status: the HTTP status
    :param problem: what came
    """

    def __init__(self, call: str, status: int, problem: str) -> None:
        super().__init__(call, problem)
        self.status = status


class Redirected(ForeignAnswer):
    """3xx: not followed, since the API key goes to the configured host alone."""


class EndlessList(RequestError):
    """A list names ever further pages, or one that was read before: whether all of it was read is unknown."""


class AnsweredWithError(RequestError):
    """
    DataRecs answered with an error.

    :param call: the request in short
    :param status: the HTTP status
    :param problem: what DataRecs said
    """

    def __init__(self, call: str, status: int, problem: str) -> None:
        super().__init__(call, problem)
        self.status = status


class Unauthorized(AnsweredWithError):
    """401: the API key is not, or no longer, valid."""


class Forbidden(AnsweredWithError):
    """403: the API key lacks the permission for this call."""


class NotFound(AnsweredWithError):
    """404: what the call names does not exist, or is not visible to this API key."""


class Rejected(AnsweredWithError):
    """400, 409, 422 and other 4xx: DataRecs understood the request and refused it."""


class RateLimited(AnsweredWithError):
    """
    429: too many requests for this API key.

    :param call: the request in short
    :param problem: what DataRecs said
    :param wait: seconds until the next request may succeed, None if the answer does not say
    """

    def __init__(self, call: str, problem: str, wait: float | None) -> None:
        super().__init__(call, 429, problem)
        self.wait = wait


class LimitUsedUp(RateLimited):
    """Not sent, since earlier answers say that it would be met with a 429."""


class Unavailable(AnsweredWithError):
    """5xx, 408 and 425: DataRecs cannot answer now. A POST may have been carried out all the same."""


class RunMayHaveStarted(DataRecsError):
    """
    A request to start a run was sent and its answer is lost or unreadable: the run may exist.

    :param what: the job or job group, in words
    :param why: why that is not known
    """

    def __init__(self, what: Any, why: Any) -> None:
        super().__init__(f"A run of {what} may have started at DataRecs, but its id is unknown: {why}")
        self.why = why


class NothingStarted(DataRecsError):
    """
    The answer to a start is lost, and the run history proves that it started nothing.

    :param what: the job or job group, in words
    :param why: why there is no answer
    """

    def __init__(self, what: Any, why: Any) -> None:
        super().__init__(f"No run of {what} was started, as its run history shows: {why}")
