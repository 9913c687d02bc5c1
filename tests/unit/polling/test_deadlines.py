"""Who is called back at a deadline, by a clock that jumps from one timer to the next."""

from __future__ import annotations

import asyncio
import contextvars

import pytest
from support.clock import HastyClock

from airflow_provider_datarecs.polling.deadlines import Deadlines

whose = contextvars.ContextVar("whose")


class Waiting:
    """As much of a wait as has a deadline; what it logs goes to its own task."""

    def __init__(self, name):
        self.context = contextvars.copy_context()
        self.context.run(whose.set, name)


@pytest.fixture
def came():
    return []


@pytest.fixture
def deadlines(came):
    return Deadlines(lambda _: came.append(whose.get()))


@pytest.fixture
def pass_by(monkeypatch):
    """Let two minutes pass, after something has been done."""

    def pass_by(do):
        async def story():
            do()
            await asyncio.sleep(120.0)

        HastyClock(monkeypatch).run(story())

    return pass_by


def test_each_is_called_back_once_in_the_order_of_deadlines_in_its_own_context(deadlines, came, pass_by):
    def do():
        for name, seconds in (("late", 60.0), ("soon", 20.0), ("past", -1.0)):
            deadlines.set(Waiting(name), seconds)

    pass_by(do)
    assert came == ["past", "soon", "late"]


def test_what_is_forgotten_is_not_called_back(deadlines, came, pass_by):
    first, second = Waiting("first"), Waiting("second")

    def do():
        deadlines.set(first, 10.0)
        deadlines.set(second, 20.0)
        deadlines.forget(first)

    pass_by(do)
    assert came == ["second"]


def test_a_new_deadline_takes_the_place_of_the_one_before(deadlines, came, pass_by):
    wait, other = Waiting("wait"), Waiting("other")

    def do():
        for one, seconds in ((wait, 10.0), (wait, 60.0), (other, 30.0)):
            deadlines.set(one, seconds)

    pass_by(do)
    assert came == ["other", "wait"]


def test_a_call_may_set_another_deadline(came, pass_by):
    def call(wait):
        came.append(whose.get())
        if len(came) < 3:
            deadlines.set(wait, 10.0)

    deadlines = Deadlines(call)
    pass_by(lambda: deadlines.set(Waiting("wait"), 10.0))
    assert came == ["wait"] * 3


async def test_where_nobody_waits_no_timer_is_left(deadlines):
    wait = Waiting("wait")
    deadlines.set(wait, 3600.0)
    deadlines.forget(wait)
    assert deadlines._timer is None
