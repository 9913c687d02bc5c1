"""Whatever goes wrong, no task starts two runs, loses one or reports another's."""

from __future__ import annotations

import pytest
from support.stories import telling
from support.stories.story import FAULTS
from support.stories.verdict import LAGGED, OUTCOMES, RUNS, STARTS, WAITS

pytestmark = [pytest.mark.stories, pytest.mark.timeout(0)]  # there may be any number


def test_stories(pytestconfig, capsys):
    one, count = pytestconfig.getoption("--story"), pytestconfig.getoption("--stories")
    numbers = range(count) if one is None else [one]
    told = telling.tell(numbers)
    with capsys.disabled():
        print("", *telling.tables(told, len(numbers)), sep="\n")
    assert told.wrong == []
    if one is not None:
        return
    # All of it was really met.
    assert told.figures[STARTS] >= count
    assert told.figures[WAITS] > count // 4
    assert told.figures[LAGGED] <= told.figures[RUNS] // 50
    if count >= 1000:
        assert all(told.met[method, kind] for method in ("POST", "GET") for kind in FAULTS)
        assert all(told.figures[outcome] for outcome in OUTCOMES)
