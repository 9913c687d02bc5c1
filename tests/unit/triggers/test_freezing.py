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
    before = gc.callbacks[:]
    gc.unfreeze()
    gc.disable()  # its passes come from the tests alone
    yield
    gc.callbacks[:] = before
    gc.unfreeze()
    gc.enable()


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


def freezer_with(waits):
    freezer = WaitFreezer(3)
    for _ in range(waits):
        freezer.joined()
    return freezer


def test_few_waits_change_nothing():
    freezer_with(2)
    gc.collect()
    assert not gc.get_freeze_count()


def test_what_a_pass_has_left_of_many_waits_is_left_alone_until_as_many_are_over():
    freezer = freezer_with(7)
    garbage, thing = weakref.ref(Thing()), Thing()
    gc.collect()
    assert gc.get_freeze_count()
    assert garbage() is None
    seen = weakref.ref(thing)
    del thing
    for _ in range(3):
        freezer.left()
    gc.collect()
    assert seen() is not None
    freezer.left()
    gc.collect()
    assert seen() is None


def test_a_pass_over_the_young_freezes_nothing():
    freezer_with(7)
    gc.collect(1)
    assert not gc.get_freeze_count()


def test_what_has_come_since_is_frozen_by_the_next_pass():
    freezer_with(7)
    gc.collect()
    before = gc.get_freeze_count()
    kept = [Thing() for _ in range(1000)]
    gc.collect()
    assert gc.get_freeze_count() >= before + len(kept)


def test_it_is_off_by_default(set_freeze_waits):
    for _ in range(5000):
        wait_freezer().joined()
    gc.collect()
    assert not gc.get_freeze_count()


async def test_waits_are_counted(simulator, set_freeze_waits, started, trigger_for, event_of):
    set_freeze_waits("2")
    waits = [
        asyncio.ensure_future(event_of(trigger_for(started(GOES_ON), seconds=36_000.0))) for _ in range(2)
    ]
    while not gc.get_freeze_count():
        await asyncio.sleep(0.01)
        gc.collect()
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    gc.collect()
    assert not gc.get_freeze_count()
