"""The counts of a plan add up, as far as they are not all given."""

from __future__ import annotations

import pytest

from airflow_provider_datarecs.simulator import Plan, build_world

PROCESSED, MATCHED, UNMATCHED = "rows_processed", "rows_matched", "rows_unmatched"


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        ({}, (1000, 1000, 0)),
        ({UNMATCHED: 10}, (1000, 990, 10)),
        ({MATCHED: 990}, (1000, 990, 10)),
        ({PROCESSED: 50}, (50, 50, 0)),
        ({PROCESSED: 50, UNMATCHED: 10}, (50, 40, 10)),
        ({PROCESSED: 50, MATCHED: 10}, (50, 10, 40)),
        ({MATCHED: 7, UNMATCHED: 3}, (10, 7, 3)),
        ({UNMATCHED: 2000}, (2000, 0, 2000)),
        ({MATCHED: 2000}, (2000, 2000, 0)),
        ({PROCESSED: 0}, (0, 0, 0)),
        ({MATCHED: 0, UNMATCHED: 0}, (0, 0, 0)),
        ({PROCESSED: 5, UNMATCHED: 9}, (5, 0, 9)),  # as no service should
        ({PROCESSED: 1, MATCHED: 2, UNMATCHED: 3}, (1, 2, 3)),
        ({PROCESSED: None}, (None, 1000, 0)),
        ({MATCHED: None}, (1000, None, 0)),
        ({UNMATCHED: None}, (1000, 1000, None)),
        ({PROCESSED: None, UNMATCHED: 10}, (None, 990, 10)),
        ({MATCHED: None, UNMATCHED: 10}, (1000, None, 10)),
        ({PROCESSED: None, MATCHED: None, UNMATCHED: None}, (None, None, None)),
    ],
    ids=str,
)
def test_counts_that_are_not_given_follow_from_the_others(given, counts):
    plan = Plan(**given)
    assert (plan.rows_processed, plan.rows_matched, plan.rows_unmatched) == counts


def test_counts_of_a_scenario_follow_from_each_other_too():
    job = {"id": "j", "name": "j", "runs": {UNMATCHED: 10}}
    world, _ = build_world({"workspaces": [{"id": "w", "name": "w", "jobs": [job]}]})
    (owner,) = (one for owners in world.owners.values() for one in owners.values())
    assert owner.plan == Plan(rows_processed=1000, rows_matched=990, rows_unmatched=10)
