"""Reads an Airflow connection for as long as runs are polled through it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async

from airflow_provider_datarecs.api.rate_limit import RateLimitConfig
from airflow_provider_datarecs.polling import config

if TYPE_CHECKING:
    import ssl

    from airflow_provider_datarecs.api.settings import ClientSettings
    from airflow_provider_datarecs.hooks.datarecs import DataRecsHook


class ConnectionReader:
    """
    Read a connection, and tell whether it has become that of another service or key.

    ``settings`` and ``tls`` are what was read last, None before; ``read_at`` is when, and ``tried_at`` when
    it was last tried, by ``time.monotonic``. ``service`` tells the service and key from others, without being
    either.

    :param hook: the hook on the connection
    :param in_thread: read it in another thread than that of the event loop, which must not block
    :param known: the ``service`` of an earlier reader, default None
    """

    def __init__(self, hook: DataRecsHook, *, in_thread: bool, known: int | None = None) -> None:
        self.service = known
        self.settings: ClientSettings | None = None
        self.tls: ssl.SSLContext | None = None
        self.read_at = self.tried_at = float("-inf")
        self._hook = hook
        self._in_thread = in_thread

    @property
    def conn_id(self) -> str:
        """The connection's id."""
        return self._hook.conn_id

    @property
    def was_just_tried(self) -> bool:
        """Say whether it is too soon to read it only because it may have changed."""
        return time.monotonic() < self.tried_at + config.current().reread_pause

    async def read(self) -> bool:
        """
        Read the connection, and say whether it is that of another service or key than before.

        :raises ConnectionUnreadable: when Airflow cannot give it just now
        :raises InvalidSettings: when a field cannot be right
        """
        anew, began = self.tried_at > float("-inf"), time.monotonic()
        self.tried_at = began
        # asgiref's thread is the only way to a connection that no Airflow from 2.7 to 3.3 crashes or
        # deadlocks on. The sensor has seen it; where it cannot be had, the next poll tries again.
        settings, tls = await sync_to_async(self._read)(anew) if self._in_thread else self._read(anew)
        is_first, known, known_tls = self.settings is None, self.service, self.tls
        self.settings, self.tls, self.read_at = settings, tls, began
        self.service = hash(_service(settings))
        has_other_tls = tls is not known_tls and not is_first
        return has_other_tls or known not in (None, self.service)

    def _read(self, anew: bool) -> tuple[ClientSettings, ssl.SSLContext | None]:
        # At first, what the hook has just read will do.
        settings = self._hook.reread_settings(anew=anew)
        return settings, settings.tls()


def _service(settings: ClientSettings) -> ClientSettings:
    """Give what settings say of where requests go and as whom."""
    return replace(settings, rate_limit=RateLimitConfig(), console_url=None)
