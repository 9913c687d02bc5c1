"""Whatever goes wrong, no task starts two runs, loses one or reports another's."""

from __future__ import annotations

import stories
from story import FAULTS
from story_check import LAGGED, OUTCOMES, RUNS, WAITS, WISHES

from airflow_provider_datarecs.compat import AIRFLOW_VERSION

COUNT = 1000 if AIRFLOW_VERSION >= (3, 3) else 100


def test_stories():
    told = stories.tell(range(COUNT))
    assert told.wrong == []
    # All of it was really met.
    assert told.figures[WISHES] >= COUNT
    assert told.figures[WAITS] > COUNT // 4
    assert told.figures[LAGGED] <= told.figures[RUNS] // 50
    if COUNT == 1000:
        assert all(told.met[method, kind] for method in ("POST", "GET") for kind in FAULTS)
        assert all(told.figures[outcome] for outcome in OUTCOMES)
