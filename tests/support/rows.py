"""How waits end: what happens (rows) in which mode (columns), and what the task then is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_datarecs.compat import AIRFLOW_VERSION
from airflow_provider_datarecs.compat.task_ends import TRIGGERS_CAN_END_TASKS
from airflow_provider_datarecs.compat.task_starts import TRIGGERS_CAN_START_TASKS
from airflow_provider_datarecs.simulator import Plan

DEFERRABLE, BEGUN, TRIGGERER, POKE, RESCHEDULE = "deferrable", "begun", "triggerer", "poke", "reschedule"
DEFERRED: tuple[str, ...] = (DEFERRABLE,)
if TRIGGERS_CAN_END_TASKS:
    DEFERRED += (TRIGGERER,)
if TRIGGERS_CAN_START_TASKS:
    DEFERRED += (BEGUN,)
COLUMNS = (*DEFERRED, POKE, RESCHEDULE)
MODES: dict[str, dict[str, Any]] = {
    DEFERRABLE: {"poke_interval": 2},
    BEGUN: {"poke_interval": 2, "start_from_trigger": True},
    TRIGGERER: {"poke_interval": 2, "start_from_trigger": True, "end_from_trigger": True},
    POKE: {"poke_interval": 2, "deferrable": False, "mode": "poke"},
    # Where the next look comes sooner than the executor tells of the last, Airflow fails the task.
    RESCHEDULE: {"poke_interval": 10, "deferrable": False, "mode": "reschedule"},
}
AGAIN = {"retries": 1, "retry_delay": 1}  # seconds


@dataclass(frozen=True)
class Row:
    """
    One thing that happens to a wait.

    :param name: what happens
    :param plan: how the run goes
    :param next_plan: how a rerun goes, default as the run
    :param sensor: further arguments of the sensor
    :param state: what the task is in the end
    :param error: the class of the exception that its log has last, None for none
    :param words: what the exception says
    :param tries: the try that ends it
    :param columns: the modes it can happen in
    :param conn_id: its connection, where what happens is about that
    :param short: whether it is part of the short form
    """

    name: str
    plan: Plan
    sensor: dict[str, Any] = field(default_factory=dict)
    state: str = "failed"
    error: str | None = None
    words: str = ""
    tries: int = 1
    columns: tuple[str, ...] = COLUMNS
    conn_id: str = "semantics"
    short: bool = False
    next_plan: Plan | None = None


COMPLETES = Plan(queued=1, running=15)
FAILS = Plan(queued=1, running=5, status="FAILED", error="disk full")
CANCELS = Plan(queued=1, running=5, status="CANCELLED")
DIFFERS = Plan(queued=1, running=5, rows_matched=993, rows_unmatched=7)
GOES_ON = Plan(queued=0, running=36_000)

TIMEOUT = {"timeout": 15}
TIMED_OUT = r"RUNNING, and did not finish within 0:0\d:\d\d \(the task's timeout\): run '\w+' of job"
FAILED = r"FAILED: run '\w+' of job '\w+' in workspace '\w+'. Error: disk full"
LIMIT = {"max_unmatched_rows": 6}
DISAGREES = "the data do not agree: 7 of 1,000 rows are unmatched, over max_unmatched_rows=6"
NOT_SEEN = r"could not be seen for the last 0:0\d:\d\d, .*Whether it has ended is unknown; look at DataRecs"

ENDS = [
    Row("completed", COMPLETES, state="success", short=True),
    Row("failed", FAILS, error="DataRecsRunFailed", words=FAILED, short=True),
    Row("rerun", FAILS, {"reruns": 1}, state="success", next_plan=COMPLETES),
    Row(
        "reruns_failed",
        FAILS,
        {"reruns": 1},
        error="DataRecsRunFailed",
        words=r"^FAILED: run 'run_\d+' of .*, a rerun after 'run_\d+', FAILED as well. Error: disk full",
    ),
    Row("cancelled", CANCELS, error="DataRecsRunCancelled", words="CANCELLED: run"),
    Row("unmatched", DIFFERS, {**LIMIT, **AGAIN}, error="DataRecsRowsUnmatched", words=DISAGREES),
    Row("odd_status", Plan(queued=15, queued_status="SNOOZING", running=1), state="success"),
    Row("late_to_show", COMPLETES, state="success"),
    Row(
        "timeout",
        GOES_ON,
        {**TIMEOUT, **AGAIN},
        error="AirflowSensorTimeout",
        words=TIMED_OUT,
        short=True,
    ),
    Row("final", FAILS, AGAIN, error="DataRecsRunFailed", words=FAILED),
    Row(
        "execution_timeout",
        GOES_ON,
        {"execution_timeout": 120},
        error="AirflowTaskTimeout",
        words=r"did not finish within 0:0\d:\d\d \(the task's execution_timeout\)",
        columns=(*DEFERRED, POKE),  # in reschedule mode it is for each look, and none takes so long
    ),
    Row("soft_failed", FAILS, {"soft_fail": True}, state="skipped", words=FAILED),
    Row("soft_unmatched", DIFFERS, {**LIMIT, "soft_fail": True}, state="skipped", words=DISAGREES),
    Row("soft_timeout", GOES_ON, {**TIMEOUT, "soft_fail": True}, state="skipped", words=TIMED_OUT),
    Row("silent", FAILS, {"silent_fail": True}, error="DataRecsRunFailed", words=FAILED),
    Row(
        "away_past_the_deadline",
        GOES_ON,
        {"timeout": 25, **AGAIN},
        error="DataRecsRunNotSeen",
        words=NOT_SEEN,
        conn_id="away",
    ),
    Row(
        "outage",
        COMPLETES,
        state="success",
        conn_id="outage",
    ),
    Row("rate_limited", COMPLETES, state="success", conn_id="rate_limited"),
    Row(
        "key_revoked",
        GOES_ON,
        AGAIN,
        error="DataRecsConfigException",
        words="Invalid or expired API key",
        conn_id="revoked",
    ),
    Row("key_rotated", GOES_ON, state="success", conn_id="rotated"),
    Row("run_deleted", GOES_ON, error="AirflowException", words="Resource not found: run"),
]
if AIRFLOW_VERSION >= (2, 10):
    ENDS += [
        Row("never_failed", FAILS, {"never_fail": True}, state="skipped", words=FAILED),
        Row("never_timeout", GOES_ON, {**TIMEOUT, "never_fail": True}, state="skipped", words=TIMED_OUT),
    ]
KILLED_IN = tuple(column for column in COLUMNS if column != RESCHEDULE)
# What a user does to the waiting task: the run is cancelled where the sensor asks for it, else it goes on.
KILLS = [
    Row("marked_failed", GOES_ON, columns=KILLED_IN, short=True),
    Row("marked_success", GOES_ON, state="success", columns=KILLED_IN),
    Row("cleared", GOES_ON, columns=KILLED_IN),
    Row("dag_run_failed", GOES_ON, columns=KILLED_IN),
]
DISRUPTED = Row(
    "disrupted", GOES_ON, {**MODES[DEFERRABLE], "cancel_run_on_kill": True}, columns=(DEFERRABLE,)
)
