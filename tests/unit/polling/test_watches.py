from __future__ import annotations

import pytest

from airflow_provider_datarecs.api.parsing import Page
from airflow_provider_datarecs.polling.watches import RunsWatch

PAGE = Page([], None)


async def test_what_came_with_the_end_is_given_before_it():
    watch = RunsWatch(1.0, now=0.0)
    watch.end()
    watch.take(PAGE, now=5.0, sent_at=4.0)
    assert await watch.next() is PAGE
    assert await watch.next() is None
    assert await watch.next() is None


async def test_the_last_of_several_answers_is_given():
    watch, other = RunsWatch(1.0, now=0.0), Page([], None)
    watch.take(other, now=5.0, sent_at=4.0)
    watch.take(PAGE, now=6.0, sent_at=5.5)
    assert await watch.next() is PAGE


def test_a_poll_that_is_asked_for_comes_instead_of_the_next_in_turn():
    watch = RunsWatch(60.0, now=0.0)
    watch.take(PAGE, now=1.0, sent_at=0.5)
    assert (watch.due, watch.is_urgent) == (61.0, False)
    watch.poll_at(8.0)
    assert (watch.due, watch.is_urgent) == (8.0, True)
    watch.take(PAGE, now=9.0, sent_at=8.5)
    assert (watch.due, watch.is_urgent) == (69.0, False)


@pytest.mark.parametrize("sent_at", [0.5, 7.5])
def test_an_answer_to_what_was_sent_before_is_not_what_was_asked_for(sent_at):
    watch = RunsWatch(60.0, now=0.0)
    watch.poll_at(8.0)
    watch.take(PAGE, now=9.0, sent_at=sent_at)
    assert (watch.due, watch.is_urgent) == (8.0, True)
