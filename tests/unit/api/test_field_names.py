"""Whether each field name of the API is spelled in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from airflow_provider_datarecs import api
from airflow_provider_datarecs.api import contract

FOLDER = Path(api.__file__).parent
# The facts of the API; the types of what this provider makes of them; and attributes that are called alike.
NOT_SEARCHED = ("contract.py", "results.py", "targets.py")
ELSEWHERE = sorted(path for path in FOLDER.glob("*.py") if path.name not in NOT_SEARCHED)
NAMES = {
    *("id", "name", "status", "run_id", "job_id", "job_group_id", "workspace_id", "run_label", "reason"),
    *("rows_processed", "rows_matched", "rows_unmatched", "rows_compared", "started_at", "completed_at"),
    *("error", "message", "errors", "field", "error_code", "status_code", "code"),
    *("runs", "job_runs", "items", "cursor", "next_cursor"),
}


def test_the_contract_has_each_field_name():
    known = {value for value in vars(contract).values() if isinstance(value, str)}
    known.update(*(value for value in vars(contract).values() if isinstance(value, tuple)))
    assert known >= NAMES


@pytest.mark.parametrize("path", ELSEWHERE, ids=lambda path: path.stem)
def test_no_other_module_of_the_client_spells_one(path):
    tree = ast.parse(path.read_text())
    spelled = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert {value for value in spelled if isinstance(value, str)} & NAMES == set()


def test_statuses_are_plain_text():
    for status in (contract.COMPLETED, *contract.TERMINAL, *contract.STILL_GOING):
        assert type(status) is str
    assert {"COMPLETED", "FAILED", "CANCELLED"} == contract.TERMINAL
    assert {"PENDING", "QUEUED", "STARTING", "RUNNING"} == contract.STILL_GOING
