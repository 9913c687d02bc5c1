"""How often connections are read for what strangers post."""

from __future__ import annotations

import threading

import pytest

from airflow_provider_datarecs.api.errors import InvalidSettings
from airflow_provider_datarecs.api.settings import webhook_secrets
from airflow_provider_datarecs.webhooks.secrets import (
    HELD_FOR,
    SEARCHES_PER_MINUTE,
    UNKNOWN_HELD,
    SecretCache,
    read_secrets,
)


class Store:
    def __init__(self):
        self.now = 1000.0
        self.secrets = {"c": ("s",)}
        self.lookups = []

    def read(self, conn_id):
        self.lookups.append(conn_id)
        found = self.secrets.get(conn_id, ())
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def cache(store):
    return SecretCache(store.read, lambda: store.now)


def test_a_secret_is_read_again_after_a_minute(store, cache):
    assert [cache.get("c"), cache.get("c")] == [("s",), ("s",)]
    store.secrets["c"] = ("t",)
    store.now += HELD_FOR - 1
    assert cache.get("c") == ("s",)
    store.now += 1
    assert cache.get("c") == ("t",)
    assert store.lookups == ["c", "c"]


def test_a_secret_that_was_taken_away_is_gone_after_a_minute(store, cache):
    cache.get("c")
    del store.secrets["c"]
    store.now += HELD_FOR
    assert (cache.get("c"), cache.is_known_to_have_none("c")) == ((), True)


def test_made_up_ids_are_looked_up_so_often_and_no_more(store, cache):
    for number in range(1000):
        assert cache.get(f"made-up-{number}") == ()
    assert len(store.lookups) == SEARCHES_PER_MINUTE


def test_they_do_not_keep_a_connection_that_was_there_from_being_read_again(store, cache):
    cache.get("c")
    store.now += HELD_FOR
    for number in range(1000):
        cache.get(f"made-up-{number}")
    assert cache.get("c") == ("s",)


def test_only_so_many_of_them_are_remembered(store, cache):
    for number in range(UNKNOWN_HELD + 120):
        cache.get(f"made-up-{number}")
        store.now += 1.0
    assert len(cache._unknown) <= UNKNOWN_HELD


def test_one_is_looked_up_at_a_time(store):
    begun, go_on = threading.Event(), threading.Event()

    def read(conn_id):
        begun.set()
        assert go_on.wait(20)
        return ("s",)

    cache = SecretCache(read, lambda: store.now)
    thread = threading.Thread(target=cache.get, args=("slow",))
    thread.start()
    assert begun.wait(20)
    assert cache.get("other") == ()  # at once
    go_on.set()
    thread.join(20)
    assert (cache.get("slow"), cache.get("other")) == (("s",), ("s",))


def test_what_cannot_be_read_has_no_secret_and_its_text_is_not_logged(store, cache, caplog):
    store.secrets["c"] = ValueError("the secret is s3cret")
    assert cache.get("c") == ()
    assert "Connection c cannot be read for webhooks: ValueError" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("extra", "secrets"),
    [
        (None, ()),
        ("", ()),
        ("{}", ()),
        ('{"webhook_secret": null}', ()),
        ('{"webhook_secret": "  "}', ()),
        ('{"webhook_secret": "one"}', ("one",)),
        ('{"webhook_secret": " one , two,, "}', ("one", "two")),
        ({"extra__datarecs__webhook_secret": "one"}, ("one",)),
    ],
)
def test_the_extra_has_one_secret_or_several(extra, secrets):
    assert webhook_secrets(extra) == secrets


@pytest.mark.parametrize("extra", ["{", "[]", '{"webhook_secret": ["s3cret"]}', '{"webhook_secret": {}}'])
def test_what_cannot_be_one_is_refused_without_showing_it(extra):
    with pytest.raises(InvalidSettings) as raised:
        webhook_secrets(extra)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("conn_type", "secrets"), [("datarecs", ("s3cret",)), ("http", ())], ids=["datarecs", "http"]
)
def test_secrets_are_those_of_a_datarecs_connection(monkeypatch, hints_db, conn_type, secrets):
    content = f'{{"conn_type": "{conn_type}", "host": "h", "extra": {{"webhook_secret": "s3cret"}}}}'
    monkeypatch.setenv("AIRFLOW_CONN_HOOKED", content)
    assert read_secrets("hooked") == secrets
    assert read_secrets("not_there") == ()
