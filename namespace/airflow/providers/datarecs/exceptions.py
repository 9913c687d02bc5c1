"""See ``airflow_provider_datarecs.exceptions``."""

from __future__ import annotations

from airflow_provider_datarecs.exceptions import (
    DataRecsConfigException,
    DataRecsCountsMissing,
    DataRecsRowsUnmatched,
    DataRecsRunCancelled,
    DataRecsRunFailed,
    DataRecsRunNotSeen,
    DataRecsRunUncertain,
    DataRecsRunUnsuccessful,
)

__all__ = [
    "DataRecsConfigException",
    "DataRecsCountsMissing",
    "DataRecsRowsUnmatched",
    "DataRecsRunCancelled",
    "DataRecsRunFailed",
    "DataRecsRunNotSeen",
    "DataRecsRunUncertain",
    "DataRecsRunUnsuccessful",
]
