"""
What this provider takes to be true of the DataRecs API, wherever the vendor's documents leave room.

How sure each fact is: (D) documented by the vendor, (S) seen in the vendor's public repositories, (A)
assumed.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Literal, Tuple

from airflow_provider_datarecs.api.results import RunStatus

# --- Host -------------------------------------------------------------------------------------------------
EXAMPLE_HOST = "https://api.datarecs.io"  # D; https://api.datarecs.com/v1 is the other documented form
DEFAULT_SCHEME = "https"  # D

# --- Request headers --------------------------------------------------------------------------------------
AUTH_HEADER = "Authorization"  # D
AUTH_SCHEME = "Bearer"  # D
TENANT_HEADER = "X-Datarecs-Tenant-Hint"  # S
IDEMPOTENCY_HEADER = "Idempotency-Key"  # A, and so is that the service honours it

# --- Paths: each id is one segment ------------------------------------------------------------------------
# A: nor do ids hold white space or control characters; no form that the documents show has any of these
NOT_IN_IDS = frozenset("/\\?#%")
WORKSPACES = "workspaces"  # D
JOBS = "jobs"  # D
JOB_GROUPS = "job-groups"  # A
RUN = "run"  # D: POST /jobs/{job_id}/run starts a run
RUNS: Final = "runs"  # D: GET /jobs/{job_id}/runs[/{run_id}]
CANCEL = "cancel"  # A: POST /jobs/{job_id}/runs/{run_id}/cancel, asynchronous

# --- Query and body keys ----------------------------------------------------------------------------------
WORKSPACE_ID = "workspace_id"  # A
CURSOR = "cursor"  # A
RUN_LABEL = "run_label"  # A, and so is that a run shows it
REASON = "reason"  # A

# --- Fields of answers. Given in snake_case; camelCase is read as well (A) --------------------------------
ID = "id"  # D
NAME = "name"  # D
RUN_ID = "run_id"  # D
JOB_ID = "job_id"  # D
JOB_GROUP_ID = "job_group_id"  # A
STATUS: Final = "status"  # D
ROWS_PROCESSED: Final = "rows_processed"  # D
ROWS_MATCHED: Final = "rows_matched"  # D
ROWS_UNMATCHED: Final = "rows_unmatched"  # D
ROWS_COMPARED = "rows_compared"  # A: stands in for a missing rows_processed
STARTED_AT: Final = "started_at"  # D
COMPLETED_AT: Final = "completed_at"  # D
ERROR: Final = "error"  # D
COUNTS: Tuple[Literal["rows_processed", "rows_matched", "rows_unmatched"], ...]
COUNTS = (ROWS_PROCESSED, ROWS_MATCHED, ROWS_UNMATCHED)
NAMES = ("workspace_name", "job_name", "job_group_name")  # A: what a run may say it is of, beside the ids
RUN_ID_KEYS = (RUN_ID, ID)  # A: what a run's id is called; where there are both, either is taken for it
JOB_RUN_KEYS = (RUNS, "job_runs")  # A: where a group run may carry its job runs
RUN_ENVELOPES = (RUN, "data")  # A: where the answer to a start has the run's id, if not at the top
LIST_KEYS = ("items", "data")  # items S, data A; a bare list is read too (A)
NEXT_CURSOR = "next_cursor"  # A
NEXT_URL = "next"  # A


class TargetKind(Enum):
    """Something that can be run: a job, or a group of jobs that run together."""

    JOB = ("job", JOBS, JOB_ID, True)
    JOB_GROUP = ("job group", JOB_GROUPS, JOB_GROUP_ID, False)

    def __init__(self, noun: str, path: str, id_field: str, has_events: bool) -> None:
        self.noun = noun
        self.path = path
        self.id_field = id_field
        self.has_events = has_events  # S: webhooks tell of the runs of jobs, and not of those of groups


# --- Console ----------------------------------------------------------------------------------------------
# A: where the console at the connection's console_url shows a run, unless that has placeholders of its own
CONSOLE_RUN = "/workspaces/{workspace_id}/{kind}/{id}/runs/{run_id}"

# --- Statuses, read without regard to case (A). Plain text, since results are stored as JSON ---------------
COMPLETED = RunStatus.COMPLETED.value  # D
FAILED = RunStatus.FAILED.value  # D
CANCELLED = RunStatus.CANCELLED.value  # D
TERMINAL = frozenset({COMPLETED, FAILED, CANCELLED})
STATUS_SPELLINGS = {"ERRORED": FAILED, "CANCELED": CANCELLED}  # A
RUNNING = RunStatus.RUNNING.value  # A
STILL_GOING = frozenset(status.value for status in RunStatus) - TERMINAL  # A; any other means the same

# --- Errors -----------------------------------------------------------------------------------------------
UNAUTHORIZED_MESSAGE = "Invalid or expired API key"  # D
NOT_FOUND_MESSAGE = "Resource not found"  # D
MESSAGE = "message"  # D: of an error, and of each of its fields
FIELD_ERRORS = "errors"  # D: a list of objects with a field and a message
FIELD = "field"  # D
CODE = "code"  # D: in a run's error that is an object, beside its message
ERROR_CODE = "error_code"  # S
# D: an error of DataRecs's own is a JSON object with one of these
ERROR_KEYS = (MESSAGE, FIELD_ERRORS, ERROR_CODE, "status_code")
SENT_ELSEWHERE = frozenset({301, 307, 308})  # HTTP's own: nothing was carried out here
TRY_AGAIN_LATER = frozenset({408, 425})  # A: as 5xx
CONFLICT = 409
# A: a 409 that speaks of a key means that an earlier request with this Idempotency-Key is being carried out
NAMES_A_KEY = re.compile(r"idempoten|\bkey\b", re.IGNORECASE)
CANCEL_NOT_OFFERED = frozenset({404, 405, 501})  # A
NOT_VISIBLE_GRACE = 60.0  # A: seconds in which a run that was never seen may still answer 404

# --- Rate limit -------------------------------------------------------------------------------------------
REQUESTS_PER_WINDOW = 100  # D: for each API key
RATE_LIMIT_WINDOW = 60.0  # D: seconds; fixed or sliding, which no document says
RETRY_AFTER = "Retry-After"  # D: seconds or an HTTP date
RATE_LIMIT_REMAINING = "X-RateLimit-Remaining"  # D
RATE_LIMIT_RESET = "X-RateLimit-Reset"  # D
RATE_LIMIT_HEADERS = (RATE_LIMIT_REMAINING, RATE_LIMIT_RESET)  # D: on every answer
EPOCH_FROM = 10**9  # A: a reset above this is epoch seconds, below it seconds left

# --- Webhooks ---------------------------------------------------------------------------------------------
SIGNATURE_HEADER = "X-Datarecs-Signature"  # D: HMAC-SHA256 of the raw body
SIGNATURE_PREFIX = "sha256="  # A: may stand before it; it is in hex or base64 (A)
# S: how the types of events end that say that a run has ended. Their prefix has changed twice.
ENDS_OF_RUNS = ("run.completed", "run.failed", "run.errored", "run.cancelled", "run.finalised")
EVENT_TYPE = "type"  # D: as CloudEvents 1.0 has it, as the next two
EVENT_ID = "id"  # D
EVENT_DATA = "data"  # D
