"""What users see of a run: typed for them, and plain JSON for Airflow."""

from __future__ import annotations

import json
from typing import Optional, get_type_hints

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.results import RunResult, RunStatus
from airflow_provider_datarecs.api.runs import run_from
from airflow_provider_datarecs.api.targets import Target

JOB_RUN = {"id": "r1", "job_id": "j1", "status": "completed", "rows_processed": "12", "rows_matched": 11.0}
OF_JOB = (
    '{"status": "COMPLETED", "rows_processed": 12, "rows_matched": 11, "rows_unmatched": null, '
    '"started_at": null, "completed_at": null, "error": null}'
)


def plain(value):
    """Give the types of all that a result holds."""
    if type(value) in (dict, list):
        inner = value.values() if type(value) is dict else value
        return {type(value)}.union(*map(plain, inner))
    return {type(value)}


@pytest.mark.parametrize(
    ("kind", "item", "told"),
    [
        (TargetKind.JOB, JOB_RUN, OF_JOB),
        (
            TargetKind.JOB,
            {**JOB_RUN, "rows_unmatched": "few"},
            OF_JOB[:-1] + ', "unreadable": {"rows_unmatched": "\'few\'"}}',
        ),
        (
            TargetKind.JOB_GROUP,
            {"id": "g", "runs": [JOB_RUN]},
            OF_JOB[:-1] + ', "runs": [{"job_id": "j1", "run_id": "r1", ' + OF_JOB[1:] + "]}",
        ),
    ],
)
def test_a_result_as_an_xcom(kind, item, told):
    ids = f'{{"run_id": "{item["id"]}", "{kind.id_field}": "j1", "workspace_id": "w1", '
    result = run_from(item, Target(kind, "j1", "w1")).result
    assert json.dumps(result) == ids + told[1:]
    assert plain(result) <= {dict, list, str, int, type(None)}


def test_a_status_equals_its_text():
    assert RunStatus.COMPLETED == "COMPLETED"
    assert str(RunStatus.COMPLETED) == f"{RunStatus.COMPLETED}" == "COMPLETED"
    assert json.dumps(RunStatus.FAILED) == '"FAILED"'


def test_the_types_of_a_result_can_be_asked_for():
    assert get_type_hints(RunResult)["rows_unmatched"] == Optional[int]
