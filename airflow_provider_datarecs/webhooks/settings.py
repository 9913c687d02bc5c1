"""Says whether events are let in at all, by the option ``webhooks`` in Airflow's configuration."""

from __future__ import annotations

from airflow_provider_datarecs.provider_info import CONFIG_SECTION, WEBHOOKS

TRUE_WORDS = frozenset({"true", "t", "1", "yes", "on"})  # as Airflow reads them
FALSE_WORDS = frozenset({"false", "f", "0", "no", "off", "none", ""})


def is_on() -> bool:
    """Say whether events are let in for any connection."""
    return _option().lower() not in FALSE_WORDS


def takes_events(conn_id: str) -> bool:
    """
    Say whether events are let in for a connection, if it has a secret.

    :param conn_id: the connection's id
    """
    option = _option()
    if option.lower() in TRUE_WORDS:
        return True
    return option.lower() not in FALSE_WORDS and conn_id in {one.strip() for one in option.split(",")}


def _option() -> str:
    from airflow.configuration import conf

    name, default = WEBHOOKS
    return str(conf.get(CONFIG_SECTION, name, fallback=default)).strip()
