"""What users choose from where a task asks what is to become of it."""

from __future__ import annotations

FAIL, RETRY, SKIP, WARN = "fail", "retry", "skip", "warn"

ON_UNCERTAIN = (FAIL, RETRY)
ON_UNMATCHED = (FAIL, SKIP, WARN)
