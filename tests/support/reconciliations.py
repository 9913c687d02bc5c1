"""Results of six weeks, as the page *Reconciliations* is shown with them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from support.results import result

if TYPE_CHECKING:
    from support.results import Store

HOUR, DAY = 3600, 86_400
CONSOLE = "https://app.datarecs.io/workspaces/ws_production/jobs"
UNREACHABLE = {"code": "SOURCE_UNREACHABLE", "message": "the source did not answer within 300 s"}
ROWS, RATIO = (200, None), (None, 0.001)
SOME, NONE = (0, 0, 0, 0.00002, 0.0001, 0.0004), (0, 0, 0, 0.00002, 0.0004, 0.001)
BROKE = {range(6): (0.006, 0.018)}
OFTEN_FAILED = {(3, 4, 11, 19): "FAILED", (7,): "CANCELLED"}
OFTEN_OVER = {(1, 2, 5, 6, 12, 13, 20): (0.003, 0.11), (9,): None}
# DAG, task group, job, rows, limit, results, the shares that are unmatched; and how many days ago it was
# otherwise: between which shares, with which status, or without counts.
JOBS: tuple[tuple[Any, ...], ...] = (
    ("reconcile_daily_balances", "balances", "daily-balance-check", 120_000, ROWS, 46, NONE, {}),
    ("reconcile_ledger", "ledger", "ledger-to-warehouse", 48_213_500, RATIO, 46, SOME, BROKE),
    ("reconcile_payments", "", "payments-settlement", 880_400, RATIO, 46, SOME, OFTEN_FAILED),
    ("publish_orders", "orders", "orders-shop-vs-erp", 35_120, None, 24, SOME, {}),
    ("reconcile_all_jobs", "", "customers-crm", 2_300_000, RATIO, 46, SOME, {}),
    ("reconcile_all_jobs", "", "inventory-by-store", 56_000, RATIO, 46, SOME, OFTEN_OVER),
    ("reconcile_all_jobs", "", "positions-eod", 9_120_000, RATIO, 46, SOME, {range(2): "FAILED"}),
    ("reconcile_nightly_group", "nightly", "nightly-close", 5_300_000, RATIO, 4, SOME, {}),
)
DAGS = sorted({job[0] for job in JOBS})


def fill(store: Store) -> None:
    """Put them into a database."""
    chance = random.Random(4)
    for place, (dag_id, group, name, size, limit, count, shares, otherwise) in enumerate(JOBS):
        job_id = f"job_{name.partition('-')[0]}"
        for days in range(count):
            other = [how for when, how in otherwise.items() if days in when]
            run_id = f"run_{place + 1}{count - days:03}"
            value = result(run_id=run_id, job_id=job_id, job_name=name, workspace_name="Production")
            value.update(_found(chance, size, limit, other[0] if other else shares))
            store.add(
                dag_id,
                value,
                ago=days * DAY + place * HOUR * 0.7 + chance.uniform(300, 900),
                task_id=f"{group}.result" if group else "wait",
                map_index=-1 if group or dag_id == "reconcile_payments" else place,
                run=f"scheduled__{count - days:03}-{dag_id}",
                url=f"{CONSOLE}/{job_id}/runs/{run_id}",
            )


def _found(chance: random.Random, size: int, limit: Any, shares: Any) -> dict[str, Any]:
    processed = int(size * chance.uniform(0.97, 1.03))
    if isinstance(shares, str):
        counts = dict.fromkeys(("rows_processed", "rows_matched", "rows_unmatched"))
        return {"status": shares, "error": UNREACHABLE if shares == "FAILED" else None, **counts}
    held = {} if limit is None else {"max_unmatched_rows": limit[0], "max_unmatched_ratio": limit[1]}
    if shares is None:
        return {
            "rows_processed": processed,
            "rows_matched": None,
            "rows_unmatched": None,
            "agreed": None,
            **held,
        }
    share = chance.uniform(*shares) if len(shares) == 2 else chance.choice(shares)
    unmatched = int(share * processed)
    if limit is not None:
        most = limit[0] if limit[0] is not None else limit[1] * processed
        held["agreed"] = unmatched <= most
    counts = {"rows_processed": processed, "rows_matched": processed - unmatched, "rows_unmatched": unmatched}
    return {**counts, **held}
