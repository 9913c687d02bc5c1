"""Links from tasks to DataRecs."""

from __future__ import annotations
