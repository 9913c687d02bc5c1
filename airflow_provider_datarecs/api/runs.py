"""Jobs, job groups and their runs, in the terms that users see."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, FrozenSet, Iterable, Mapping, Tuple

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import InvalidInput, UnreadableAnswer
from airflow_provider_datarecs.api.parsing import id_text, run_ids, snake_keys

LONGEST_ERROR = 10_000  # characters of a run's error that are kept
DEEPEST_ERROR = 20  # levels of one that is an object
UNREADABLE = "unreadable"  # in a result: the counts that are no whole numbers, and what they came as
LONGEST_ODD = 60  # characters of one of these that are kept
MOST_ROWS = 2**63 - 1  # more cannot be passed on by Airflow
MOST_EXACT = 2**53  # beyond, a float is no longer exactly what was sent
_WHOLE_NUMBER = re.compile(r"\s*\d{1,19}(?:\.0*)?\s*", re.ASCII)

# The fields a run is shown with, and those of the job runs inside a group's.
Shape = Tuple[FrozenSet[str], FrozenSet[FrozenSet[str]]]


@dataclass(frozen=True)
class Target:
    """
    A job or job group: what can be run.

    :param kind: which of the two
    :param id: its id
    :param workspace_id: the id of its workspace
    :raises InvalidInput: when an id cannot be one
    """

    kind: TargetKind
    id: str
    workspace_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", check_id(self.kind.id_field, self.id))
        object.__setattr__(self, "workspace_id", check_id("workspace_id", self.workspace_id))

    def __str__(self) -> str:
        return f"{self.kind.noun} {self.id!r} in workspace {self.workspace_id!r}"


def check_text(argument: str, value: Any) -> str:
    """
    Give a name, label or id as text if it can be one.

    :param argument: the argument's name, for the message
    :param value: what it holds; a whole number is taken as text, since that is what a template makes of
        digits where Airflow renders it as a native object, and as what some services send ids
    :raises InvalidInput: when it is no text, blank, cut amid a character, or what a template gives that found
        nothing
    """
    if value is None or value == "None":
        raise InvalidInput(
            f"{argument} is {value!r}: its template found nothing. Check the task id and key it pulls, and "
            "whether the task it pulls from ran before this one"
        )
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise InvalidInput(f"{argument} must be text, not {value!r} ({type(value).__name__})")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInput(f"{argument} is {value!r}, which holds half a character; give what DataRecs shows")
    if not value.strip():
        raise InvalidInput(f"{argument} is empty ({value!r}); give what DataRecs shows")
    return value


def check_choice(argument: str, value: Any, choices: tuple[str, ...]) -> None:
    """
    Refuse what is none of the choices.

    :param argument: the argument's name, for the message
    :param value: what it holds
    :param choices: what it may hold
    :raises InvalidInput: naming the argument and the choices
    """
    if value not in choices:
        raise InvalidInput(f"{argument} is {value!r}; it can be {', '.join(map(repr, choices))}")


def check_id(argument: str, value: Any) -> str:
    """
    Give an id as text if it can be one; the parameters are those of :func:`check_text`.

    Each id becomes a part of a path, and a template can carry text from outside: what some server or proxy
    on the way might read as another path is not sent, in whatever way it could be quoted.

    :raises InvalidInput: for what no text can be, for a dot segment, and for what no id holds
    """
    text = check_text(argument, value)
    if text in (".", ".."):
        raise InvalidInput(f"{argument} is {text!r}, which is no id; give the id that DataRecs shows")
    for character in text:
        if character in contract.NOT_IN_IDS or character.isspace() or not character.isprintable():
            raise InvalidInput(
                f"{argument} is {text!r}, which is no id, since it holds {character!r}; give the id that "
                "DataRecs shows"
            )
    return text


@dataclass(frozen=True)
class Run:
    """
    A run of a job or job group, as one answer showed it.

    :param id: the run's id
    :param status: in capitals; CANCELED and ERRORED in their usual spelling; empty if the answer has none
    :param result: what users see of it, as ``run_result``
    :param item: the run as it was shown, with keys in snake_case
    """

    id: str
    status: str
    result: dict[str, Any] = field(compare=False)
    item: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_finished(self) -> bool:
        """Say whether the run has reached a status that it will not leave."""
        return self.status in contract.TERMINAL

    @property
    def shape(self) -> Shape:
        """Say which fields the run was shown with."""
        return frozenset(self.item), frozenset(frozenset(snake_keys(entry)) for entry in _job_runs(self.item))

    @property
    def is_whole(self) -> bool:
        """Say whether all fields of a result were there, as they may not be in a list."""
        fields, jobs = self.shape
        if "runs" not in self.result:
            return fields >= contract.RESULT_FIELDS
        return bool(jobs) and all(job_fields >= contract.RESULT_FIELDS for job_fields in jobs)


def read_run(call: str, answer: Any, target: Target, run_id: str) -> Run:
    """
    Read the answer to a question about one run.

    :param call: the request in short, for messages
    :param answer: the answer's JSON
    :param target: the job or job group that was asked about
    :param run_id: the run that was asked about
    :raises UnreadableAnswer: when the answer is not about that very run
    """
    if not isinstance(answer, dict):
        raise UnreadableAnswer(call, f"an object was expected, not a {type(answer).__name__}")
    item = snake_keys(answer)
    run = run_from(item, target, run_id)
    if run is None:
        ids = " or ".join(map(repr, run_ids(item))) or None
        raise UnreadableAnswer(
            call,
            f"the answer is about run {ids} of {target.kind.noun} "
            f"{id_text(item.get(target.kind.id_field))!r}, not {run_id!r} of {target}",
        )
    return run


def run_from(item: Mapping[str, Any], target: Target, run_id: str | None = None) -> Run | None:
    """
    Read a run, None where it is not the one that is meant or has no id.

    :param item: the run as an answer shows it, with keys in snake_case
    :param target: the job or job group that was asked about
    :param run_id: the run that is meant, default any of them
    """
    ids, owner = run_ids(item), item.get(target.kind.id_field)
    if not ids or run_id not in (None, *ids) or id_text(owner) not in (None, target.id):
        return None
    result = _job_result(item) if target.kind is TargetKind.JOB else _group_result(item)
    return Run(id=run_id or ids[0], status=result["status"], result=result, item=item)


def epoch(moment: Any) -> float | None:
    """
    Give a time as epoch seconds, None where it is not one.

    :param moment: ISO 8601, as ``started_at`` of a result
    """
    try:
        return _moment(moment).timestamp() if isinstance(moment, str) else None
    except ValueError:
        return None


def shown(moment: float) -> str:
    """
    Give a time as messages show it: ISO 8601 in UTC, to the second.

    :param moment: epoch seconds
    """
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds")


def _job_result(item: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: item.get(name) for name in contract.COUNTS}
    if _count(given["rows_processed"]) is None and item.get(contract.ROWS_COMPARED) is not None:
        given["rows_processed"] = item[contract.ROWS_COMPARED]
    counts = {name: _count(value) for name, value in given.items()}
    odd = {name: _odd(value) for name, value in given.items() if value is not None and counts[name] is None}
    return {
        "status": _status(item.get("status")),
        **counts,
        "started_at": _moment_as_given(item.get("started_at")),
        "completed_at": _moment_as_given(item.get("completed_at")),
        "error": _error_as_given(item.get("error")),
        **({UNREADABLE: odd} if odd else {}),
    }


def _group_result(item: Mapping[str, Any]) -> dict[str, Any]:
    own = _job_result(item)
    runs = [
        {
            "job_id": entry.get("job_id"),
            "run_id": next(iter(run_ids(entry)), None),
            **_job_result(entry),
        }
        for entry in map(snake_keys, _job_runs(item))
    ]
    for name in contract.COUNTS:
        counts = [run[name] for run in runs]
        if own[name] is None and counts and None not in counts:
            own[name] = _count(sum(counts))
    own["status"] = own["status"] or _derived_status([run["status"] for run in runs])
    own["started_at"] = own["started_at"] or _pick(min, (run["started_at"] for run in runs))
    own["completed_at"] = own["completed_at"] or _pick(max, (run["completed_at"] for run in runs))
    own["error"] = own["error"] or next((run["error"] for run in runs if run["error"]), None)
    return {**own, "runs": runs}


def _job_runs(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    lists = (item[key] for key in contract.JOB_RUN_KEYS if isinstance(item.get(key), list))
    return [entry for entry in next(lists, []) if isinstance(entry, dict)]


def _status(value: Any) -> str:
    status = value.strip().upper() if isinstance(value, str) else ""
    return contract.STATUS_SPELLINGS.get(status, status)


def _derived_status(statuses: list[str]) -> str:
    for ending in (contract.FAILED, contract.CANCELLED):
        if ending in statuses:
            return ending
    if not statuses:
        return ""
    return contract.COMPLETED if set(statuses) == {contract.COMPLETED} else contract.RUNNING


def _moment_as_given(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) else None


def _error_as_given(value: Any) -> Any:
    """Give an error as it is, unless that is more than an XCom should hold or Airflow can pass on."""
    try:
        text = value if isinstance(value, str) else json.dumps(value)
        fits = len(text) <= LONGEST_ERROR and _depth(value) <= DEEPEST_ERROR
    except RecursionError:
        return "(nested too deeply to be shown)"
    return value if fits else f"{text[:LONGEST_ERROR]}…"


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _count(value: Any) -> int | None:
    """Read a whole number in each form that JSON has for one; those of 64 bits often come as text."""
    if isinstance(value, str):
        value = int(value.partition(".")[0]) if _WHOLE_NUMBER.fullmatch(value) else None
    elif isinstance(value, float) and value.is_integer() and value <= MOST_EXACT:
        value = int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_ROWS
    return value if is_count else None


def _odd(value: Any) -> str:
    return repr(value)[:LONGEST_ODD] if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"


def _pick(choose: Callable[..., Any], times: Iterable[Any]) -> str | None:
    texts = [time for time in times if isinstance(time, str)]
    try:
        picked = choose(texts, key=_moment, default=None)
    except ValueError:  # some time is no RFC 3339; as text they still sort by the clock
        picked = choose(texts, default=None)
    return picked if picked is None else str(picked)


# What each Python's own reader of ISO 8601 takes differs, but for this form.
_RFC_3339 = re.compile(
    r"\s*(\d{4}-\d\d-\d\d)"
    r"(?:[Tt ]((?:[01]\d|2[0-3]):[0-5]\d)(?:(:[0-5]\d|:60)(?:[.,](\d+))?)?"
    r"\s*(?:[Zz]|([+-](?:[01]\d|2[0-3])):?([0-5]\d)?)?)?\s*",
    re.ASCII,
)
_LEAP_SECOND = ":60"


def _moment(text: str) -> datetime:
    """
    Read a time of RFC 3339, and what is nearly one: without a zone (taken as UTC), a second, or a time.

    :param text: the time, with any number of digits after the second
    :raises ValueError: when it is none
    """
    found = _RFC_3339.fullmatch(text)
    if not found:
        raise ValueError(text)
    date, minute, second, fraction, hours_ahead, minutes_ahead = found.groups("")
    is_leap = second == _LEAP_SECOND
    moment = datetime.fromisoformat(
        f"{date}T{minute or '00:00'}{':59' if is_leap else second or ':00'}.{fraction[:6]:0<6}"
        f"{hours_ahead or '+00'}:{minutes_ahead or '00'}"
    )
    try:
        return moment + timedelta(seconds=1) if is_leap else moment
    except OverflowError as error:
        raise ValueError(text) from error
