"""Hints, kept in Airflow's database by many and read by many."""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid

import pytest
from airflow.models.variable import Variable
from airflow.utils.session import create_session

from airflow_provider_datarecs.compat import shared_text
from airflow_provider_datarecs.webhooks import hints
from airflow_provider_datarecs.webhooks.events import Hint
from airflow_provider_datarecs.webhooks.hints import read_hints, write_hints

pytestmark = [pytest.mark.compat, pytest.mark.usefixtures("hints_db")]


@pytest.fixture
def conn_id():
    return f"hints_{uuid.uuid4().hex}"


def hint(number, **more):
    return Hint(f"run_{number}", "job_1", None, time.time(), f"evt_{number}")._replace(**more)


def run_ids(found):
    return [one.run_id for one in found]


def rows(conn_id):
    name = hints._name(conn_id)
    with create_session() as session:
        return [
            (row.key, row.val, row.description, row.is_encrypted)
            for row in session.query(
                Variable.key, Variable._val.label("val"), Variable.description, Variable.is_encrypted
            ).filter(Variable.key.startswith(name))
        ]


def test_there_are_none_at_first(conn_id):
    assert read_hints(conn_id) == ([], 0)


def test_what_is_written_is_read_once_by_each_reader(conn_id):
    written = [hint(1), hint(2)]
    write_hints(conn_id, written)
    found, after = read_hints(conn_id)
    assert found == written
    assert read_hints(conn_id, after) == ([], after)
    write_hints(conn_id, [hint(3)])
    assert run_ids(read_hints(conn_id, after)[0]) == ["run_3"]
    assert run_ids(read_hints(conn_id)[0]) == ["run_1", "run_2", "run_3"]


def test_connections_have_nothing_in_common(conn_id):
    write_hints(conn_id, [hint(1)])
    assert read_hints(f"{conn_id}_2") == ([], 0)


def test_an_event_that_comes_again_changes_nothing(conn_id):
    write_hints(conn_id, [hint(1)])
    _, after = read_hints(conn_id)
    write_hints(conn_id, [hint(1)])
    assert read_hints(conn_id, after) == ([], after)


def test_hints_without_an_event_id_are_all_kept(conn_id):
    write_hints(conn_id, [hint(1, event_id=None)])
    write_hints(conn_id, [hint(2, event_id=None)])
    assert run_ids(read_hints(conn_id)[0]) == ["run_1", "run_2"]


def test_old_ones_are_dropped(conn_id):
    write_hints(conn_id, [hint(1, at=time.time() - hints.KEPT_FOR - 1)])
    write_hints(conn_id, [hint(2)])
    assert run_ids(read_hints(conn_id)[0]) == ["run_2"]


def test_so_many_are_kept_and_no_more(conn_id):
    write_hints(conn_id, [hint(number) for number in range(hints.KEPT + 10)])
    found, _ = read_hints(conn_id)
    assert (len(found), found[-1].run_id) == (hints.KEPT, f"run_{hints.KEPT + 9}")


def test_many_writers_lose_nothing(conn_id):
    def write(writer):
        for number in range(10):
            write_hints(conn_id, [hint(f"{writer}_{number}")])

    seen, done = [], threading.Event()

    def read():
        after = None
        while True:
            is_last = done.is_set()
            found, after = read_hints(conn_id, after)
            seen.extend(run_ids(found))
            if is_last:
                return

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    reader = threading.Thread(target=read)
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join(60)
    done.set()
    reader.join(60)
    everything = sorted(f"run_{writer}_{number}" for writer in range(4) for number in range(10))
    assert sorted(run_ids(read_hints(conn_id)[0])) == everything
    assert sorted(seen) == everything  # each once
    assert len(rows(conn_id)) == 1


def test_a_row_that_a_user_deletes_is_made_anew_and_readers_go_on(conn_id):
    write_hints(conn_id, [hint(1)])
    _, after = read_hints(conn_id)
    with create_session() as session:
        session.query(Variable).filter(Variable.key.startswith(hints._name(conn_id))).delete(
            synchronize_session=False
        )
    assert read_hints(conn_id, after) == ([], after)
    time.sleep(0.002)
    write_hints(conn_id, [hint(2)])
    assert run_ids(read_hints(conn_id, after)[0]) == ["run_2"]


@pytest.mark.parametrize("text", ["", "nonsense", "17 nonsense", '17 [["x"]]', "17 {}", "17 [1]", "17 null"])
def test_what_a_user_writes_into_the_row_does_no_harm(conn_id, text):
    write_hints(conn_id, [hint(1)])
    with create_session() as session:
        session.execute(
            Variable.__table__.update()
            .where(Variable.__table__.c.key.startswith(hints._name(conn_id)))
            .values(val=text)
        )
    assert read_hints(conn_id)[0] == []
    write_hints(conn_id, [hint(2)])
    assert run_ids(read_hints(conn_id)[0]) == ["run_2"]


def test_a_row_that_a_user_saves_is_not_encrypted_for_long(conn_id):
    write_hints(conn_id, [hint(1)])
    ((key, *_),) = rows(conn_id)
    Variable.set(key, "by hand", "mine")
    write_hints(conn_id, [hint(2)])
    ((_, value, description, is_encrypted),) = rows(conn_id)
    assert ("run_2" in value, is_encrypted) == (True, False)
    assert description.startswith("Written by the webhooks")
    assert run_ids(read_hints(conn_id)[0]) == ["run_2"]


def test_two_rows_that_were_made_at_the_same_time_become_one(conn_id):
    if not shared_text.KEYS_CAN_BE_LISTED:
        pytest.skip("there is one key for all versions, which is unique")
    write_hints(conn_id, [hint(1)])
    with create_session() as session:
        empty = {"key": shared_text._key(hints._name(conn_id), 0), "val": "0 ", "is_encrypted": False}
        session.execute(Variable.__table__.insert().values(**empty))
    write_hints(conn_id, [hint(2)])
    assert len(rows(conn_id)) == 1
    assert run_ids(read_hints(conn_id)[0]) == ["run_1", "run_2"]


def test_users_see_what_the_row_is_and_no_secret_is_taken_for_one(conn_id):
    write_hints(f"{conn_id}_secret_token_password", [hint(1)])
    ((key, value, description, is_encrypted),) = rows(f"{conn_id}_secret_token_password")
    assert f"for the connection {conn_id}_secret_token_password" in description
    assert "run_1" in value
    assert not is_encrypted
    # Else Airflow would mask each version of it, for ever.
    assert not any(word in key for word in ("secret", "token", "password", "key"))


def test_it_is_said_when_others_are_always_faster(conn_id, monkeypatch):
    write_hints(conn_id, [hint(1)])
    monkeypatch.setattr(shared_text, "ATTEMPTS", 3)
    attempts = []

    def change_of(before):
        attempts.append(before.version)
        write_hints(conn_id, [hint(f"faster_{len(attempts)}")])
        return "[]"

    with pytest.raises((shared_text.TooManyChanges, sqlite3.OperationalError)):
        shared_text.change(hints._name(conn_id), "", change_of)
    assert len(attempts) == 3
    assert len(read_hints(conn_id)[0]) == 4


@pytest.mark.parametrize(
    ("option", "is_on"),
    [("True", True), ("false", False), ("", False), ("other, mine", True), ("other", False)],
)
def test_hints_are_on_where_the_option_says_so(monkeypatch, option, is_on):
    monkeypatch.setenv("AIRFLOW__DATARECS__WEBHOOKS", option)
    assert hints.are_on("mine") is is_on


def test_they_are_off_where_a_secrets_backend_would_be_asked_each_second(monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATARECS__WEBHOOKS", "True")
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "a.vault.Backend")
    asked = shared_text.TRIGGERS_HAVE_NO_DATABASE and not shared_text.KEYS_CAN_BE_LISTED
    assert hints.are_on("mine") is not asked
