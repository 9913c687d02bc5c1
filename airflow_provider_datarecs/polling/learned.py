"""Keeps what polls have shown of a service, from one wait on a connection to the next."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Dict

from airflow_provider_datarecs.polling import config
from airflow_provider_datarecs.polling.list_state import ServiceLists

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.durations import RunDurations
    from airflow_provider_datarecs.polling.pacer import LimitEstimate

_by_conn_id: Dict[str, Learned] = {}


def learned_of(conn_id: str) -> Learned:
    """
    Give what this process has learned on a connection, which outlives the last wait on it.

    :param conn_id: the connection's id
    """
    return _by_conn_id.setdefault(conn_id, Learned(conn_id))


class Learned:
    """
    Hold what is known of a service.

    ``lists`` is whether its lists are worth asking for, ``limits`` how many requests it lets through, by what
    the connection says of that; ``service`` tells it apart from another one, None before the connection was
    read.

    :param conn_id: the connection's id
    """

    def __init__(self, conn_id: str) -> None:
        self.service: int | None = None
        self.lists = ServiceLists(conn_id)
        self.limits: dict[float, LimitEstimate] = {}
        self._durations: OrderedDict[Target, RunDurations] = OrderedDict()

    def forget(self) -> None:
        """Forget all of it, since it is another service's."""
        self.lists.forget()
        self.limits.clear()
        self._durations.clear()

    def keep(self, target: Target, durations: RunDurations | None) -> None:
        """
        Keep how long a job's runs took, since nobody waits for one just now.

        :param target: the job or job group
        :param durations: how long they took, None where nobody knows
        """
        if durations is not None:
            self._durations[target] = durations
            if len(self._durations) > config.current().jobs_kept:
                self._durations.popitem(last=False)

    def recall(self, target: Target) -> RunDurations | None:
        """
        Give how long a job's runs took, since somebody waits for one; None where nobody knows.

        :param target: the job or job group
        """
        return self._durations.pop(target, None)
