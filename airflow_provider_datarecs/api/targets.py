"""Jobs and job groups, and the check that what names one can be right."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import InvalidInput

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.contract import TargetKind


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
        object.__setattr__(self, "workspace_id", check_id(contract.WORKSPACE_ID, self.workspace_id))

    @cached_property
    def path(self) -> str:
        """What it is called in URLs."""
        return f"{self.kind.path}/{quote(self.id, safe='')}"

    @cached_property
    def query(self) -> str:
        """What comes last in URLs."""
        return f"{contract.WORKSPACE_ID}={quote(self.workspace_id, safe='')}"

    def __str__(self) -> str:
        return f"{self.kind.noun} {self.id!r} in workspace {self.workspace_id!r}"

    def name_run(self, run_id: str) -> str:
        """
        Name a run as every message and log line does.

        :param run_id: the run's id
        """
        return f"run {run_id!r} of {self}"

    def ids_of(self, run_id: str) -> dict[str, str]:
        """
        Give the ids of a run, by the names that users know them by.

        :param run_id: the run's id
        """
        return {
            contract.RUN_ID: run_id,
            self.kind.id_field: self.id,
            contract.WORKSPACE_ID: self.workspace_id,
        }


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
    if not value.isprintable() and any("\ud800" <= character <= "\udfff" for character in value):
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
    Give an id as text if it can be one.

    Each id becomes a part of a path, and a template can carry text from outside: what some server or proxy
    on the way might read as another path is not sent, in whatever way it could be quoted.

    :param argument: the argument's name, for the message
    :param value: what it holds; a whole number is taken as text
    :raises InvalidInput: for what no text can be, for a dot segment, and for what no id holds
    """
    text = check_text(argument, value)
    if text in (".", ".."):
        raise InvalidInput(f"{argument} is {text!r}, which is no id; give the id that DataRecs shows")
    if text.isprintable() and " " not in text and contract.NOT_IN_IDS.isdisjoint(text):
        return text
    for character in text:
        if character in contract.NOT_IN_IDS or character.isspace() or not character.isprintable():
            raise InvalidInput(
                f"{argument} is {text!r}, which is no id, since it holds {character!r}; give the id that "
                "DataRecs shows"
            )
    return text
