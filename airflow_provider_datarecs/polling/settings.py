"""What airflow.cfg says of waits; each setting is read once, which may read files."""

from __future__ import annotations

import logging
from functools import lru_cache

from airflow_provider_datarecs.compat import CONFIG_EXCEPTIONS
from airflow_provider_datarecs.provider_info import CONFIG_SECTION, FREEZE_WAITS, HEARTBEAT_INTERVAL

log = logging.getLogger(__name__)


@lru_cache(maxsize=None)
def heartbeat_interval() -> float:
    """Give the seconds between two log lines of a wait while nothing changes."""
    return _number(*HEARTBEAT_INTERVAL, unit=" s")


@lru_cache(maxsize=None)
def freeze_waits() -> float:
    """Give by how many waits their number changes until memory is frozen anew, 0 for never."""
    return _number(*FREEZE_WAITS)


def _number(option: str, default: float, unit: str = "") -> float:
    """Read a number; one that cannot be right is no reason to end a wait."""
    from airflow.configuration import conf

    try:
        number = conf.getfloat(CONFIG_SECTION, option, fallback=default)
        problem = "" if number >= 0 else f"{number} is no number from 0 on"
    except CONFIG_EXCEPTIONS as error:
        problem = str(error)
    if not problem:
        return number
    log.warning(
        "[%s] %s in airflow.cfg, or AIRFLOW__%s__%s: %s. Going on with the default, %g%s",
        CONFIG_SECTION,
        option,
        CONFIG_SECTION.upper(),
        option.upper(),
        problem,
        default,
        unit,
    )
    return default
