"""What goes wrong at DataRecs, as the exceptions that Airflow and its users know."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Iterator, TypeVar, cast

from airflow_provider_datarecs.api import errors
from airflow_provider_datarecs.compat import (
    CONFIG_EXCEPTIONS,
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowTaskTimeout,
)

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.results import RunResult

Method = TypeVar("Method", bound=Callable[..., Any])


class DataRecsConfigException(*CONFIG_EXCEPTIONS, AirflowFailException):  # type: ignore[misc]
    """
    The connection is not usable: a field cannot be right, or DataRecs refuses the API key.

    An ``AirflowConfigException``, and an ``AirflowFailException`` as well, since no retry of the task cures
    it.
    """


class DataRecsRunUncertain(AirflowFailException):
    """
    A run may have been started, but nobody knows its id.

    An ``AirflowFailException``: a retry of the task could start a second run.
    """


class DataRecsRunNotSeen(AirflowSensorTimeout):
    """
    A wait's time is over, and its run could not be seen of late: whether it has ended is unknown.

    An ``AirflowSensorTimeout``, so that the task is not retried.
    """


class DataRecsRunUnsuccessful(AirflowFailException):
    """
    A run is over, and its end is not what the task needs: what the four kinds of it have in common.

    An ``AirflowFailException``: the end of a run is final, so a retry of the task would see the same. Beside
    the arguments it has ``run_id``, ``workspace_id``, ``job_id``, ``job_group_id`` (None for the other of the
    two), ``status`` and ``error`` (as DataRecs gives it), for callbacks.

    :param message: what has happened, and what to do
    :param result: the run's result, as ``run_result``
    :param url: where users look at the run, None where the connection has no ``console_url``
    """

    def __init__(self, message: str, *, result: RunResult | None = None, url: str | None = None) -> None:
        super().__init__(message)
        known: Any = result or {}
        self.result: RunResult = known
        self.url = url
        self.run_id: str = known.get("run_id", "")
        self.workspace_id: str = known.get("workspace_id", "")
        self.job_id: str | None = known.get("job_id")
        self.job_group_id: str | None = known.get("job_group_id")
        self.status: str = known.get("status", "")
        self.error: Any = known.get("error")


class DataRecsRunFailed(DataRecsRunUnsuccessful):
    """A run is FAILED."""


class DataRecsRunCancelled(DataRecsRunUnsuccessful):
    """A run is CANCELLED."""


class DataRecsRowsUnmatched(DataRecsRunUnsuccessful):
    """
    A run is COMPLETED, and more rows are unmatched than the task allows: the data do not agree.

    :param message: what is over which limit, and what to do
    :param result: the run's result, as ``run_result``
    :param url: where users look at the run, None where the connection has no ``console_url``
    :param max_unmatched_rows: the task's limit, None if it has none
    :param max_unmatched_ratio: the task's limit, 0 to 1, None if it has none
    """

    def __init__(
        self,
        message: str,
        *,
        result: RunResult | None = None,
        url: str | None = None,
        max_unmatched_rows: int | None = None,
        max_unmatched_ratio: float | None = None,
    ) -> None:
        super().__init__(message, result=result, url=url)
        self.max_unmatched_rows = max_unmatched_rows
        self.max_unmatched_ratio = max_unmatched_ratio


class DataRecsCountsMissing(DataRecsRunUnsuccessful):
    """A task has a limit on unmatched rows, and the run does not tell: whether the data agree is unknown."""


# What a task may end with; the last two are no AirflowExceptions on every Airflow.
_OUTCOMES: tuple[type[BaseException], ...] = (AirflowException, AirflowTaskTimeout, *CONFIG_EXCEPTIONS)
ABOUT_THE_CONNECTION = (errors.RequestError, errors.InvalidSettings)

# The first that fits counts; anything else is a plain AirflowException, which a retry of the task may cure.
_MEANINGS: tuple[tuple[type[errors.DataRecsError], type[Exception]], ...] = (
    (errors.Unauthorized, DataRecsConfigException),
    (errors.InvalidSettings, DataRecsConfigException),
    (errors.InvalidInput, AirflowFailException),
    (errors.Forbidden, AirflowFailException),
    (errors.RunMayHaveStarted, DataRecsRunUncertain),
)


def meaning_of(error: errors.DataRecsError) -> str:
    """
    Name the exception that an error means, for an event that crosses from the triggerer to a worker.

    :param error: the API client's error
    """
    return _class_for(error).__name__


def by_meaning(name: str) -> type[Exception]:
    """
    Give the exception class for a name from :func:`meaning_of`; AirflowException for one that is not known.

    :param name: the class's name
    """
    return {cls.__name__: cls for _, cls in _MEANINGS}.get(name, AirflowException)


def message_of(error: errors.DataRecsError, conn_id: str | None) -> str:
    """
    Tell users what happened, with the connection it happened on.

    :param error: the API client's error
    :param conn_id: the connection's id, None where users know no such id
    """
    advice = ""
    if isinstance(error, errors.Unauthorized):
        advice = " Put a valid one into the connection's API Key."
    elif isinstance(error, errors.Forbidden):
        advice = " Grant the permission to the API key at DataRecs, or use another key."
    where = f" Connection: {conn_id!r}." if conn_id and isinstance(error, ABOUT_THE_CONNECTION) else ""
    return f"{str(error).rstrip('.')}.{where}{advice}"


@contextmanager
def as_airflow_exceptions(conn_id: str) -> Iterator[None]:
    """
    Raise the Airflow exception that an error of the API client means, in its place.

    :param conn_id: the connection's id, for the message
    :raises AirflowException: or the subclass of it that :func:`meaning_of` names
    """
    try:
        yield
    except errors.DataRecsError as error:
        # Whatever the causes said is in its message.
        raise _class_for(error)(message_of(error, conn_id)) from None


def told_once(method: Method) -> Method:
    """
    Make what this provider raises from a task's method show its message alone, in one traceback.

    What is none of its own, such as a failure of Airflow's or of this provider's code, keeps its traceback
    and its causes.

    :param method: the task's method, which Airflow calls
    """

    @functools.wraps(method)
    def tell_once(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except _OUTCOMES as error:
            if not _is_raised_here(error):
                raise
            raise error.with_traceback(None) from None

    return cast("Method", tell_once)


def _is_raised_here(error: BaseException) -> bool:
    raised_at = error.__traceback__
    while raised_at is not None and raised_at.tb_next is not None:
        raised_at = raised_at.tb_next
    module = raised_at.tb_frame.f_globals.get("__name__", "") if raised_at else ""
    return module.partition(".")[0] == __name__.partition(".")[0]


def _class_for(error: errors.DataRecsError) -> type[Exception]:
    return next((cls for kind, cls in _MEANINGS if isinstance(error, kind)), AirflowException)
