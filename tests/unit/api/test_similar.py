from __future__ import annotations

import pytest

from airflow_provider_datarecs.api.similar import did_you_mean, listed, nearest


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("table-3", ["table_1", "table_3", "other"], ["table_3", "table_1"]),
        ("DAILY", ["weekly", "daily"], ["daily"]),
        ("daily", ["Daily", "daily "], ["Daily", "daily "]),
        ("x", ["ledger"], []),
        ("x", [], []),
    ],
)
def test_the_nearest_comes_first(name, known, found):
    assert nearest(name, known) == found


def test_one_is_asked_for_in_the_midst_of_a_sentence():
    assert did_you_mean("tenat", ["tenant", "console_url"]) == "; did you mean 'tenant'?"
    assert did_you_mean("x", ["tenant"]) == ""


def test_ten_are_listed_and_the_rest_counted():
    assert listed("x", []) == ""
    assert listed("data", ["a", "date", "c"]) == "'date', 'a', 'c'"
    assert listed("x", [f"n{number:02}" for number in range(12)]).endswith("'n09' and 2 more")
