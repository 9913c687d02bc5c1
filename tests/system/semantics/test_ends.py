"""Each end of a wait, in each mode."""

from __future__ import annotations

import os
import re

import pytest
from support.cells import Board, Cell, raised, words_of
from support.rows import COLUMNS, ENDS, MODES

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import ApiKey, Fault

pytestmark = pytest.mark.semantics

OUTAGE = float(os.environ.get("DATARECS_OUTAGE", "120"))  # seconds
RESULT = {
    "status": "COMPLETED",
    "rows_processed": 1000,
    "rows_matched": 1000,
    "rows_unmatched": 0,
    "error": None,
}
CELLS = [
    Cell(row, f"{row.name}__{column}", {**MODES[column], **row.sensor})
    for row in ENDS
    for column in COLUMNS
    if column in row.columns
]
MARKED = [
    pytest.param(cell, id=cell.task_id, marks=[pytest.mark.short] if cell.row.short else []) for cell in CELLS
]


@pytest.fixture(scope="module")
def board(request, airflow, services):
    """Start the cells whose tests are chosen, and let happen what happens to them."""
    params = [getattr(item, "callspec", None) and item.callspec.params for item in request.session.items]
    chosen = [param["cell"] for param in params if param and param.get("cell") in CELLS]
    services["away"].faults.append(Fault(times=None, status=503))
    services["outage"].faults.append(Fault(times=None, status=503, seconds=OUTAGE))
    services["rate_limited"].faults.append(
        Fault(times=None, status=429, headers={"Retry-After": "5"}, seconds=60)
    )
    late = {"path": "/jobs/late_to_show__*", "times": None, "seconds": 20.0}
    services["semantics"].faults.extend(
        [
            Fault(**{**late, "path": f"{late['path']}/runs"}, status=200, body={"items": []}),
            Fault(**late, status=404),
        ]
    )
    board = Board(airflow, "ends", services)
    board.start(chosen)
    for name, happen in HAPPENINGS.items():
        about = [cell for cell in chosen if cell.row.name == name]
        for cell in about:
            board.airflow.wait_until(lambda cell=cell: board.polls(cell), f"{cell.task_id} is looked at", 300)
        if about:
            happen(board)
    return board


def delete_runs(board):
    runs = board.services["semantics"].world.runs[TargetKind.JOB]
    runs[:] = [run for run in runs if not run.owner.id.startswith("run_deleted__")]


def revoke_key(board):
    board.services["revoked"].world.api_keys = []


def rotate_key(board):
    simulator = board.services["rotated"]
    new = ApiKey("the-new-key")
    simulator.world.api_keys.append(new)
    board.airflow.set_connection("rotated", simulator.url, new.key, requests_per_minute=10**6)
    simulator.world.api_keys = [new]
    for run in simulator.world.runs[TargetKind.JOB]:
        simulator.world.finish_runs(run.owner.id)


HAPPENINGS = {"run_deleted": delete_runs, "key_revoked": revoke_key, "key_rotated": rotate_key}


@pytest.mark.parametrize("cell", MARKED)
def test_a_wait_ends_as_its_row_says(board, cell):
    row = cell.row
    board.wait_for_state(cell, row.state, tries=row.tries)
    log = board.log(cell)
    error, message = raised(log)
    if row.state == "success":
        result = board.result(cell)
        assert {name: result[name] for name in RESULT} == RESULT
    elif row.state == "skipped":
        assert re.search(f"The task is skipped where it would fail: .*{row.words}", log), log
    else:
        assert (error, bool(re.search(row.words, message))) == (row.error, True), f"{message}\n{log[-6000:]}"


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name) for row in ENDS if row.error and len(row.columns) > 1]
)
def test_all_columns_say_the_same(board, row):
    cells = [cell for cell in CELLS if cell.row is row]
    for cell in cells:
        board.wait_for_state(cell, row.state, tries=row.tries)
    said = {(error, words_of(message)) for error, message in (raised(board.log(cell)) for cell in cells)}
    assert len(said) == 1
