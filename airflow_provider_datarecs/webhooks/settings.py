"""Says whose events are let in, by the option ``webhooks`` in Airflow's configuration."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_datarecs.provider_info import CONFIG_SECTION, WEBHOOKS

TRUE_WORDS = frozenset({"true", "t", "1", "yes", "on"})
FALSE_WORDS = frozenset({"false", "f", "0", "no", "off", "none", ""})


@dataclass(frozen=True)
class Allowed:
    """
    The connections that may have events, if they have a secret.

    :param conn_ids: their ids, None for all
    """

    conn_ids: frozenset[str] | None

    def __contains__(self, conn_id: object) -> bool:
        return self.conn_ids is None or conn_id in self.conn_ids

    def __bool__(self) -> bool:
        return self.conn_ids is None or bool(self.conn_ids)


def allowed() -> Allowed:
    """Read the option: true, false, or the ids of connections, with commas between them."""
    from airflow.configuration import conf

    name, default = WEBHOOKS
    option = str(conf.get(CONFIG_SECTION, name, fallback=default)).strip()
    if option.lower() in TRUE_WORDS:
        return Allowed(None)
    if option.lower() in FALSE_WORDS:
        return Allowed(frozenset())
    return Allowed(frozenset(one.strip() for one in option.split(",")) - {""})
