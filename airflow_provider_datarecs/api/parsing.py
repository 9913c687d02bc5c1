"""Reads what DataRecs sends back: JSON, pages and error messages. Pure functions, no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Mapping

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.bodies import decoded, loads, shown, whole_characters
from airflow_provider_datarecs.api.errors import (
    WRONG_HOST,
    AnsweredWithError,
    Forbidden,
    ForeignAnswer,
    NotFound,
    RateLimited,
    Redirected,
    Rejected,
    RequestError,
    Unauthorized,
    Unavailable,
    UnreadableAnswer,
)
from airflow_provider_datarecs.api.rate_limit_headers import rate_limit_wait

LONGEST = 2000  # characters of what an error says


def read(call: str, what: str, status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """
    Give the JSON of a good answer (None for an empty body), and raise what a bad one means.

    :param call: the request in short, for messages
    :param what: what the request named, for a 404
    :param status: the HTTP status
    :param headers: the answer's headers, read without regard to case
    :param body: the answer's body as it came, compressed or not
    :raises AnsweredWithError: for an error of DataRecs's
    :raises ForeignAnswer: for an error that is not its own
    :raises UnreadableAnswer: when a 2xx answer is not JSON
    """
    body, problem = decoded(_header(headers, "Content-Encoding", ""), body)
    if not 200 <= status < 300:
        raise error_for(call, what, status, headers, problem.encode() if problem else body)
    if problem:
        raise UnreadableAnswer(call, f"{_answer(status, headers)} {problem}")
    try:
        return loads(body) if body.strip() else None
    except (ValueError, RecursionError) as error:
        raise UnreadableAnswer(
            call, f"{WRONG_HOST}: {_answer(status, headers)} is not JSON but {shown(body)}"
        ) from error


def error_for(call: str, what: str, status: int, headers: Mapping[str, str], body: bytes) -> RequestError:
    """
    Make the error that a non-2xx answer means.

    :param call: the request in short, for messages
    :param what: what the request named, for a 404
    :param status: the HTTP status
    :param headers: the answer's headers, read without regard to case
    :param body: the answer's body, no longer compressed
    """
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = rate_limit_wait(headers)
        until = f"; the limit opens in {wait:.0f} s" if wait is not None else ""
        return RateLimited(
            call, f"too many requests for this API key (429: {error_message(body)}){until}", wait
        )
    if 300 <= status < 400:
        # A query may hold what is nobody's business.
        target = _header(headers, "Location", "nowhere").partition("?")[0]
        return Redirected(
            call,
            status,
            f"redirected ({status}) to {target}, not followed; put the API's final URL into Host",
        )
    if status >= 500 or status in contract.TRY_AGAIN_LATER:
        return Unavailable(call, status, f"DataRecs cannot answer now ({status}: {error_message(body)})")
    if _own_error(body) is None:
        # Gateways, firewalls and proxies say such things in passing. An empty 401 may well be DataRecs's:
        # to wait on in vain costs less than to end every wait over a gateway's bad minute.
        key = ", or the API key is not valid" if status == HTTPStatus.UNAUTHORIZED else ""
        return ForeignAnswer(
            call,
            status,
            f"{WRONG_HOST}{key}: {_answer(status, headers)} is not an error as DataRecs gives it but "
            f"{shown(body)}",
        )
    error = _refusal(call, what, status, error_message(body))
    is_odd = status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
    if is_odd and not any(_header(headers, name, "") for name in contract.RATE_LIMIT_HEADERS):
        # Any other API says so of our paths, in words like DataRecs's.
        is_documented = isinstance(error, NotFound)  # words that must come first
        told = f"{error.problem}; {WRONG_HOST}" if is_documented else f"{WRONG_HOST}: {error.problem}"
        return type(error)(call, status, told)
    return error


def _refusal(call: str, what: str, status: int, said: str) -> AnsweredWithError:
    if status == HTTPStatus.UNAUTHORIZED:
        return Unauthorized(call, status, contract.UNAUTHORIZED_MESSAGE)
    if status == HTTPStatus.FORBIDDEN:
        return Forbidden(call, status, f"the API key lacks the permission for this call (403: {said})")
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(call, status, f"{contract.NOT_FOUND_MESSAGE}: {what}")
    return Rejected(call, status, f"refused ({status}: {said})")


def error_message(body: bytes) -> str:
    """
    Give what an error's body says: its message and each field's message, else the start of the body.

    :param body: the answer's body, no longer compressed
    """
    error = _own_error(body)
    if error is None:
        return shown(body)
    message, fields = error.get(contract.MESSAGE), error.get(contract.FIELD_ERRORS)
    try:
        parts = [str(part) for part in (message if isinstance(message, list) else [message]) if part]
        for entry in fields if isinstance(fields, list) else []:
            is_field = isinstance(entry, dict)
            parts.append(
                f"{entry.get(contract.FIELD)}: {entry.get(contract.MESSAGE)}" if is_field else str(entry)
            )
    except RecursionError:
        return shown(body)
    if error.get(contract.ERROR_CODE):
        parts.append(f"error code {error[contract.ERROR_CODE]}")
    text = "; ".join(parts)
    return (text if len(text) <= LONGEST else f"{text[:LONGEST]}…") or shown(body)


def _own_error(body: bytes) -> dict[str, Any] | None:
    """Give the error that a body is, with keys in snake_case; None where it is none of DataRecs's."""
    try:
        answer = loads(body)
    except (ValueError, RecursionError):
        return None
    error = snake_keys(answer) if isinstance(answer, dict) else {}
    return error if any(error.get(key) for key in contract.ERROR_KEYS) else None


@lru_cache(maxsize=1024)
def _snake(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower()


def snake_keys(item: Mapping[str, Any]) -> dict[str, Any]:
    """
    Give an object's keys in snake_case; where it has both spellings of one, the snake_case one counts.

    :param item: the object as it came
    """
    snaked = {_snake(key): value for key, value in item.items()}
    if len(snaked) < len(item):
        snaked.update((key, value) for key, value in item.items() if key in snaked)
    return snaked


@dataclass(frozen=True)
class Page:
    """
    One page of a list.

    :param items: the objects on it, with keys in snake_case
    :param cursor: what to ask the next page with, if the answer names one
    :param next_url: the next page's URL, if the answer names one
    :param by_id: the items by each id that a run may go by, default made of ``items``
    """

    items: list[dict[str, Any]]
    cursor: str | None = None
    next_url: str | None = None
    by_id: Mapping[str, dict[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Here, where a page is read off the event loop if it is large; a copy of it has this already.
        if not self.by_id:
            object.__setattr__(self, "by_id", _by_id(self.items))


def _by_id(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key in contract.RUN_ID_KEYS:  # by the first of all, so that no other id hides what that says
        for item in items:
            run_id = id_text(item.get(key))
            if run_id is not None:
                found.setdefault(run_id, item)
    return found


def page(call: str, answer: Any) -> Page:
    """
    Read one page of a list.

    :param call: the request in short, for messages
    :param answer: the answer's JSON
    :raises UnreadableAnswer: when there is no list of objects in it
    """
    envelope = snake_keys(answer) if isinstance(answer, dict) else {}
    items = (
        answer
        if isinstance(answer, list)
        else next((envelope[key] for key in contract.LIST_KEYS if isinstance(envelope.get(key), list)), None)
    )
    if items is None or not all(isinstance(item, dict) for item in items):
        raise UnreadableAnswer(call, f"{WRONG_HOST}: a list of objects was expected, not {shown(answer)}")
    cursor, next_url = envelope.get(contract.NEXT_CURSOR), envelope.get(contract.NEXT_URL)
    return Page(
        items=[snake_keys(item) for item in items],
        cursor=str(cursor) if cursor not in (None, "") else None,
        next_url=next_url if isinstance(next_url, str) and next_url else None,
    )


def new_run_id(call: str, answer: Any) -> str:
    """
    Find the run's id in a trigger's answer.

    :param call: the request in short, for messages
    :param answer: the answer's JSON
    :raises UnreadableAnswer: when there is none
    """
    top = snake_keys(answer) if isinstance(answer, dict) else {}
    nested = [snake_keys(top[key]) for key in contract.RUN_ENVELOPES if isinstance(top.get(key), dict)]
    ids = run_ids(*nested, top)
    if ids:
        return ids[0]
    raise UnreadableAnswer(call, f"the answer carries no run id: {shown(answer)}")


def run_ids(*places: Mapping[str, Any]) -> list[str]:
    """
    Give the ids by which a run may be known, that which a start gives first.

    :param places: the objects that have them, with keys in snake_case: the run, and then what is around it.
        A ``run_id`` anywhere counts before an ``id``, which may be that of something else
    """
    found = [id_text(place.get(key)) for key in contract.RUN_ID_KEYS for place in places]
    return list(dict.fromkeys(run_id for run_id in found if run_id))


def id_text(value: Any) -> str | None:
    """
    Give an id as text; None where there is none. Ids are opaque, and some services send numbers.

    :param value: the id as it came
    """
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _header(headers: Mapping[str, str], name: str, default: str) -> str:
    # Bytes that are no UTF-8 come as halves of pairs.
    return str(whole_characters(headers.get(name, default)))


def _answer(status: int, headers: Mapping[str, str]) -> str:
    return f"the answer ({status}, {_header(headers, 'Content-Type', 'no content type')})"
