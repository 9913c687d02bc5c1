"""What becomes of the run when a user ends the waiting task."""

from __future__ import annotations

import pytest
from support.cells import Board, Cell
from support.rows import DEFERRABLE, KILLS, MODES, POKE
from support.users import User

from airflow_provider_datarecs.compat import AIRFLOW_VERSION

pytestmark = pytest.mark.semantics

CELLS = {
    (row.name, column, cancel): Cell(
        row,
        f"{row.name}__{column}{'__cancels' if cancel else ''}",
        # On 2.x a running task that is cleared waits as for a retry.
        {**MODES[column], "retry_delay": 1, **({"cancel_run_on_kill": True} if cancel else {})},
    )
    for row in KILLS
    for column in row.columns
    for cancel in (False, True)
}
UNCOUNTED = AIRFLOW_VERSION < (2, 10)  # a try that was deferred when it was cleared
DAG_OF = {"dag_run_failed": "failed_as_a_whole"}
EACH = [
    pytest.param(row.name, column, id=f"{row.name}-{column}", marks=[pytest.mark.short] if row.short else [])
    for row in KILLS
    for column in row.columns
]


@pytest.fixture(scope="module")
def boards(airflow, services):
    """All cells that users act on, by DAG."""
    boards = {name: Board(airflow, name, services) for name in ("kills", *DAG_OF.values())}
    for name, board in boards.items():
        board.start([cell for (row, _, _), cell in CELLS.items() if DAG_OF.get(row, "kills") == name])
    return boards


def act(user, row, cell):
    if row == "cleared":
        user.clear(cell.task_id)
    elif row == "dag_run_failed":
        user.fail_dag_run()
    else:
        user.mark(cell.task_id, row.partition("_")[2])


@pytest.mark.parametrize(("row", "column"), EACH)
def test_a_user_ends_the_task(boards, row, column):
    board = boards[DAG_OF.get(row, "kills")]
    user = User(board.airflow, board.dag_id)
    kept, cancelled = CELLS[row, column, False], CELLS[row, column, True]
    waits = "running" if column == POKE else "deferred"
    for cell in (kept, cancelled):
        if board.runs[cell.task_id].cancelled_at is None and row != "dag_run_failed":
            board.wait_for_state(cell, waits)
        board.airflow.wait_until(lambda cell=cell: board.polls(cell), f"{cell.task_id} is looked at", 300)
    for cell in (kept, cancelled):
        act(user, row, cell)
    run = board.runs[cancelled.task_id]
    try:
        board.airflow.wait_until(lambda: run.cancelled_at, "the run is cancelled", 60)
    except Exception as error:
        raise AssertionError(f"{error}\n{board.log(cancelled)[-6000:]}") from error
    told = f"Asked DataRecs to cancel, since a user has ended the task: run {run.id!r}"
    board.airflow.wait_until(lambda: told in board.log(cancelled), "the log tells of it", 30)
    if row == "cleared":
        # Both wait anew: one for a run that was cancelled, one for a run that goes on.
        tries = 1 if column == DEFERRABLE and UNCOUNTED else 2
        board.wait_for_state(cancelled, "failed", tries=tries)
        board.services["semantics"].world.finish_runs(kept.task_id)
        board.wait_for_state(kept, "success", tries=tries)
    else:
        state = "success" if row == "marked_success" else "failed"
        for cell in (kept, cancelled):
            board.wait_for_state(cell, state)
    assert board.runs[kept.task_id].cancelled_at is None
