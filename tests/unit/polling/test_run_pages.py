from __future__ import annotations

import pytest

from airflow_provider_datarecs.api.runs import Run
from airflow_provider_datarecs.polling.run_pages import is_newest_first

EARLY, LATE, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-02T00:00:05Z"


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ([], True),
        ([None, None], True),
        ([EARLY], True),
        ([LATE, EARLY], True),
        ([None, LATE, LATER, EARLY], True),  # two that began in another order than they were started in
        ([EARLY, LATE], False),
        ([EARLY, LATE, None], False),
    ],
)
def test_the_order_of_runs_is_known_by_the_first_and_the_last(begun, expected):
    runs = {
        str(number): Run(str(number), "RUNNING", {"started_at": moment, "completed_at": None})
        for number, moment in enumerate(begun)
    }
    assert is_newest_first(runs) is expected
