"""
Keeps small texts that several processes change and others read each second, without anything to install.

Each is one row of Airflow's table of Variables, which every version lets its triggerers read:

================ ========================================= ==============================================
Airflow          who changes a text, by SQL                who reads it, each second
================ ========================================= ==============================================
2.x              webservers, or a process of ours          triggerers, by SQL: one query
3.0 to 3.2       API servers, or a process of ours         triggerers, through their supervisor: one
                                                           ``GetVariable``
3.3 and later    the same                                  the same: one ``GetVariableKeys``, and one
                                                           ``GetVariable`` only after a change
================ ========================================= ==============================================

What a row is replaced by was made of what it held, and replaces nothing else (compare and swap), so that no
change is lost, on any database and without locks. Each version of a text has a higher number than all before,
even after somebody has deleted the row. On 3.3 that number is in the row's key, which is what makes it
unnecessary to ask for more.

Why that matters: ``GetVariable`` asks a custom secrets backend before the database, so that from 3.0 to 3.2 a
Vault would be asked each second and for each connection: :func:`reading_asks_secrets_backend` says so, and
hints are off there. The list of keys is asked of the database alone. 2.x reads the row past the backend.

Other places were no better: a table of our own would need migrations, the asset state store (3.3) an asset
for each connection, XComs a task instance. The text is not encrypted, since it holds ids alone; and no part
of the key may look like the name of a secret, else Airflow would add each version to what it masks, for
ever.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from airflow_provider_datarecs.compat import AIRFLOW_VERSION

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

TRIGGERS_HAVE_NO_DATABASE = AIRFLOW_VERSION >= (3, 0)
KEYS_CAN_BE_LISTED = AIRFLOW_VERSION >= (3, 3)
ATTEMPTS = 20  # to change a text that others change as well


class Shared(NamedTuple):
    """
    A version of a text.

    :param version: grows with each change
    :param text: the text
    """

    version: int
    text: str


class Unreadable(Exception):
    """Airflow could not give a text just now."""


class TooManyChanges(Exception):
    """Others changed a text each time before it could be changed."""


def reading_asks_secrets_backend() -> bool:
    """Say whether a custom secrets backend would be asked each time that a text is read."""
    from airflow.configuration import conf

    if not TRIGGERS_HAVE_NO_DATABASE or KEYS_CAN_BE_LISTED:
        return False
    return bool(conf.get("secrets", "backend", fallback=""))


# --- reading ----------------------------------------------------------------------------------------------


def read(name: str, known: int) -> Shared | None:
    """
    Give a text, None if there is none later than the version that the caller knows. Blocks.

    :param name: the text's name: letters, digits and ``_``
    :param known: the version that the caller has, 0 for none
    """
    supervisor = _supervisor()
    row = _read_from_supervisor(supervisor, name, known) if supervisor else _read_from_database(name)
    return row if row is not None and row.version > known else None


def _read_from_database(name: str) -> Shared | None:
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = _rows(session, name)
    return max(_parsed(value) for _, value in rows) if rows else None


def _supervisor() -> Any:
    """Give what triggers and tasks of Airflow 3 ask, None in processes that have the database."""
    if not TRIGGERS_HAVE_NO_DATABASE:
        return None
    from airflow.sdk.execution_time import task_runner

    return getattr(task_runner, "SUPERVISOR_COMMS", None)


def _read_from_supervisor(supervisor: Any, name: str, known: int) -> Shared | None:
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, GetVariable, PutVariable

    key: str | None = name
    if KEYS_CAN_BE_LISTED:
        version = _listed_version(supervisor, name)
        key = _key(name, version) if version > known else None
    if key is None:
        return None
    answer = supervisor.send(GetVariable(key=key))
    if isinstance(answer, ErrorResponse):
        if answer.error == ErrorType.VARIABLE_NOT_FOUND:  # none yet, or changed just now
            if not KEYS_CAN_BE_LISTED:
                # Else Airflow would log an error each second until there is one.
                supervisor.send(PutVariable(key=name, value=_written(Shared(0, "")), description=None))
            return None
        raise Unreadable(f"Airflow could not give the Variable {key}: {answer.error}")
    return _parsed(answer.value or "")


def _listed_version(supervisor: Any, name: str) -> int:
    from airflow.sdk.execution_time.comms import ErrorResponse, GetVariableKeys

    answer = supervisor.send(GetVariableKeys(prefix=_key(name, None), limit=10))
    if isinstance(answer, ErrorResponse):
        raise Unreadable(f"Airflow could not list the Variables {name}: {answer.error}")
    return max((_version_of(key) for key in answer.keys), default=0)


# --- changing ---------------------------------------------------------------------------------------------


def change(name: str, description: str, change_of: Callable[[Shared], str | None]) -> None:
    """
    Change a text, of which others lose nothing. Blocks.

    :param name: the text's name: letters, digits and ``_``
    :param description: what users read about it on the page of Variables
    :param change_of: makes the new text of the old one, which has the version of the new one; an empty text
        if there is none. It is called again if others were faster. None if nothing is to be changed
    :raises TooManyChanges: when they were too often
    """
    from airflow.utils.session import create_session

    for attempt in range(ATTEMPTS):
        with create_session() as session:
            if _has_changed(session, name, description, change_of):
                return
        time.sleep(0.005 * attempt)
    raise TooManyChanges(f"the Variable {name} could not be changed, since others change it all the time")


def _has_changed(
    session: Session, name: str, description: str, change_of: Callable[[Shared], str | None]
) -> bool:
    """Change a text unless others do at the same time, and say whether that was so."""
    from airflow.models.variable import Variable
    from sqlalchemy import delete, update

    table: Any = Variable.__table__  # past what masks each value that is read, for ever
    rows = _rows(session, name)
    if not rows:
        _insert_empty(session, name, description)
        return False  # the next attempt sees whether others have made one as well
    key, value = max(rows, key=lambda row: _parsed(row[1]))
    before = _parsed(value)
    version = max(before.version + 1, int(time.time() * 1000))
    text = change_of(Shared(version, before.text))
    if text is None:
        return True
    # A user may have saved it on the page of Variables, and Airflow 3.0 to 3.2 for who reads it: encrypted.
    more = {"description": description, "is_encrypted": False}
    done: Any = session.execute(
        update(table)
        .where(table.c.key == key, table.c.val == value)
        .values(key=_key(name, version), val=_written(Shared(version, text)), **more)
    )
    if done.rowcount != 1:
        session.rollback()
        return False
    # Of two that were made at the same time, this one is still empty.
    empty = [other for other, value in rows if other != key and not _parsed(value).text]
    if empty:
        session.execute(delete(table).where(table.c.key.in_(empty)))
    session.commit()
    return True


def _insert_empty(session: Session, name: str, description: str) -> None:
    from airflow.models.variable import Variable
    from sqlalchemy import insert
    from sqlalchemy.exc import IntegrityError

    table: Any = Variable.__table__
    first = {"key": _key(name, 0), "val": _written(Shared(0, ""))}
    try:
        session.execute(insert(table).values(**first, description=description, is_encrypted=False))
        session.commit()
    except IntegrityError:  # another process has
        session.rollback()


# --- rows -------------------------------------------------------------------------------------------------


def _rows(session: Session, name: str) -> list[tuple[str, str]]:
    from airflow.models.variable import Variable
    from sqlalchemy import select

    table: Any = Variable.__table__
    key = table.c.key
    is_ours = key.startswith(_key(name, None), autoescape=True) if KEYS_CAN_BE_LISTED else key == name
    found = session.execute(select(key, table.c.val).where(is_ours))
    return [(row[0], row[1] or "") for row in found]


def _key(name: str, version: int | None) -> str:
    """Give the key of a version, or what the keys of all begin with."""
    if not KEYS_CAN_BE_LISTED:
        return name
    return f"{name}__{'' if version is None else version}"


def _version_of(key: str) -> int:
    digits = key.rpartition("__")[2]
    return int(digits) if digits.isdecimal() else 0


def _written(shared: Shared) -> str:
    return f"{shared.version} {shared.text}"


def _parsed(value: str) -> Shared:
    """Read a row; what somebody has written into it by hand counts as empty."""
    version, _, text = value.partition(" ")
    return Shared(int(version), text) if version.isdecimal() else Shared(0, "")
