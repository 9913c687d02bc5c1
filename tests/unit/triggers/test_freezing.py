"""The garbage collector leaves many waits alone, where airflow.cfg says so."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from airflow_provider_datarecs.polling.freezing import WaitFreezer, wait_freezer
from airflow_provider_datarecs.polling.settings import freeze_waits
from airflow_provider_datarecs.simulator import Plan

GOES_ON = Plan(queued=0, running=36_000)


class Thing:
    """Refers to itself, so that only the garbage collector frees it."""

    def __init__(self):
        self.me = self


@pytest.fixture(autouse=True)
def _thawed():
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.fixture
def set_freeze_waits(monkeypatch):
    """Set the option of airflow.cfg as the environment can."""

    def set_freeze_waits(value):
        monkeypatch.setenv("AIRFLOW__DATARECS__FREEZE_WAITS", value)
        forget()

    def forget():
        freeze_waits.cache_clear()
        wait_freezer.cache_clear()

    yield set_freeze_waits
    forget()


def test_what_many_waits_have_in_memory_is_left_alone_until_as_many_are_over():
    freezer = WaitFreezer(3)
    before = weakref.ref(Thing())
    for _ in range(2):
        freezer.joined()
    assert not gc.get_freeze_count()
    thing = Thing()
    seen = weakref.ref(thing)
    freezer.joined()
    assert gc.get_freeze_count()
    assert before() is None  # it was garbage already
    del thing
    gc.collect()
    assert seen() is not None
    for _ in range(3):
        freezer.left()
    assert not gc.get_freeze_count()
    assert seen() is None


def test_what_is_left_is_frozen_again_where_as_many_are_over():
    freezer = WaitFreezer(3)
    for _ in range(7):
        freezer.joined()
    thing = Thing()
    seen = weakref.ref(thing)
    for _ in range(2):
        freezer.joined()
    del thing
    for _ in range(4):
        freezer.left()
    assert seen() is not None
    freezer.left()
    assert seen() is None
    assert gc.get_freeze_count()


def test_what_takes_the_place_of_waits_that_are_over_is_frozen_as_well():
    freezer = WaitFreezer(3)
    for _ in range(9):
        freezer.joined()
    before = gc.get_freeze_count()
    kept = [Thing() for _ in range(1000)]
    for _ in range(3):
        freezer.left()
        freezer.joined()
    assert gc.get_freeze_count() >= before + len(kept)


def test_it_is_off_by_default(set_freeze_waits):
    for _ in range(5000):
        wait_freezer().joined()
    assert not gc.get_freeze_count()


async def test_waits_are_counted(simulator, set_freeze_waits, started, trigger_for, event_of):
    set_freeze_waits("2")
    waits = [
        asyncio.ensure_future(event_of(trigger_for(started(GOES_ON), seconds=36_000.0))) for _ in range(2)
    ]
    while not gc.get_freeze_count():  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    assert not gc.get_freeze_count()
