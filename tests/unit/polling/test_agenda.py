"""What is held by times that change."""

from __future__ import annotations

import gc
import random
import weakref

import pytest

from airflow_provider_datarecs.polling.agenda import OrderedAgenda


def test_an_empty_one_has_nothing():
    agenda = OrderedAgenda()
    assert agenda.first() is None
    assert agenda.first_by(float("inf")) is None
    assert agenda.put_longest_ago() is None
    assert agenda.first_time() == float("inf")


def test_of_two_with_the_same_time_the_one_that_was_put_first_comes_first():
    agenda = OrderedAgenda()
    for thing in "ba":
        agenda.put(thing, 1.0)
    assert agenda.first() == "b"
    agenda.put("b", 1.0)
    assert agenda.first() == "a"


def test_what_is_let_go_of_is_not_kept_until_its_time():
    agenda, things = OrderedAgenda(), [type("Thing", (), {})() for _ in range(3)]
    for again in range(3):
        for thing in things:
            agenda.put(thing, 10.0 + again)
    kept = [weakref.ref(thing) for thing in things]
    agenda.discard(things[1])
    del things[1], thing
    gc.collect()
    assert [ref() is not None for ref in kept] == [True, False, True]


def test_nothing_comes_before_its_time():
    agenda = OrderedAgenda()
    agenda.put("a", 5.0)
    assert agenda.first_by(4.9) is None
    assert agenda.first_by(5.0) == "a"


def test_what_had_its_time_for_longest_is_known():
    agenda = OrderedAgenda()
    for thing, time in (("a", 3.0), ("b", 1.0), ("a", 2.0)):
        agenda.put(thing, time)
    assert agenda.put_longest_ago() == "b"
    agenda.discard("b")
    assert agenda.put_longest_ago() == "a"


def test_a_mark_tells_what_was_put_before_it():
    agenda = OrderedAgenda()
    agenda.put("a", 1.0)
    mark = agenda.mark()
    assert agenda.put_longest_ago(before=mark) == "a"
    agenda.put("a", 2.0)
    assert agenda.put_longest_ago(before=mark) is None
    assert agenda.put_longest_ago() == "a"


@pytest.mark.parametrize("seed", range(20))
def test_it_is_as_if_all_were_looked_at_each_time(seed):
    chance, agenda, times = random.Random(seed), OrderedAgenda(), {}
    for _ in range(2000):
        thing = chance.randrange(50)
        if chance.random() < 0.3:
            agenda.discard(thing)
            times.pop(thing, None)
        else:
            times[thing] = chance.random()
            agenda.put(thing, times[thing])
        assert len(agenda) == len(times)
        assert (thing in agenda) is (thing in times)
        assert agenda.first() == min(times, key=times.get, default=None)
        assert agenda.first_time() == min(times.values(), default=float("inf"))


def test_outdated_entries_are_dropped():
    agenda = OrderedAgenda()
    for time in range(10_000):
        agenda.put("a", float(time))
    assert agenda.first_time() == 9_999.0
    assert len(agenda._heap) <= 5
    assert len(agenda._puts) <= 5
