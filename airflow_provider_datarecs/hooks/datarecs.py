"""The DataRecs hook."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Awaitable, Callable, TypeVar

from airflow_provider_datarecs.api.errors import ConnectionUnreadable, DataRecsError, InvalidSettings
from airflow_provider_datarecs.blocking import run_to_end
from airflow_provider_datarecs.compat import (
    AirflowException,
    AirflowNotFoundException,
    AirflowTaskTimeout,
    BaseHook,
)
from airflow_provider_datarecs.exceptions import as_airflow_exceptions, message_of
from airflow_provider_datarecs.hooks.calls import ApiCalls
from airflow_provider_datarecs.provider_info import (
    CONN_TYPE,
    DEFAULT_CONN_ID,
    HOOK_NAME,
    ui_field_behaviour,
)

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.contract import TargetKind
    from airflow_provider_datarecs.api.rate_limit import RateLimitState
    from airflow_provider_datarecs.api.retry import RetryPolicy
    from airflow_provider_datarecs.api.settings import ClientSettings
    from airflow_provider_datarecs.api.targets import Target

T = TypeVar("T")

log = logging.getLogger(__name__)


@lru_cache(maxsize=1024)
def _warn_once(conn_id: str, note: str) -> None:
    """Warn of what is wrong with a connection, once in a process, which may read it again and again."""
    log.warning("Connection %s: %s", conn_id, note)


class DataRecsHook(ApiCalls, BaseHook):
    """
    Read a DataRecs connection and make blocking calls with it.

    The calls work in async code as well, and block there too; ``await asyncio.to_thread(hook.list_jobs)``
    lets other coroutines go on.

    :param conn_id: the connection's id, default ``datarecs_default``
    """

    conn_name_attr = "conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONN_TYPE
    hook_name = HOOK_NAME

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._rate_limit_state: RateLimitState | None = None
        self._settings: ClientSettings | None = None

    @property
    def settings(self) -> ClientSettings:
        """The connection as it was last read, first when it is first needed."""
        # Each reading is a request on Airflow 3, and a line in the task's log on Airflow 2.
        return self._settings or self.get_settings()

    def get_settings(self) -> ClientSettings:
        """
        Read the connection, check its fields and give them as plain data.

        :raises AirflowNotFoundException: when there is no such connection
        :raises DataRecsConfigException: naming the field, when one cannot be right
        """
        with as_airflow_exceptions(self.conn_id):
            return self.read_settings()

    def read_settings(self) -> ClientSettings:
        """Do what :meth:`get_settings` does, but raise the API client's ``InvalidSettings``."""
        from airflow_provider_datarecs.api.settings import ClientSettings
        from airflow_provider_datarecs.api.targets import check_text

        self.conn_id = check_text("conn_id", self.conn_id)
        try:
            connection = self.get_connection(self.conn_id)
        except AirflowNotFoundException as error:
            raise AirflowNotFoundException(
                f"{error}. Create connection {self.conn_id!r} of type {self.conn_type!r}: Host is the URL of "
                "the DataRecs API, API Key (its password) the key from DataRecs. Airflow says the same of "
                "one that it cannot read: its fields must be text, and the parts of a URI be URL-encoded."
            ) from None
        conn_type = str(connection.conn_type or "").strip()  # some secrets backends keep none
        if conn_type.lower() not in ("", self.conn_type):
            raise InvalidSettings(
                f"the connection is of type {conn_type!r}, not {self.conn_type!r}, so its password is sent "
                "nowhere; give the conn_id of a DataRecs connection, or correct the type of this one"
            )
        self._settings = ClientSettings.from_fields(
            host=connection.host,
            api_key=connection.password,
            schema=connection.schema,
            port=connection.port,
            login=connection.login,
            extra=connection.extra,  # not as Airflow parses it, which makes {} of what is no JSON
        )
        for note in self._settings.notes:
            _warn_once(self.conn_id, note)
        return self._settings

    def reread_settings(self, *, anew: bool = True) -> ClientSettings:
        """
        Do what :meth:`read_settings` does for a wait that has seen the connection before.

        :param anew: read it even if it was read before, default True
        :raises ConnectionUnreadable: when Airflow cannot give it just now
        :raises InvalidSettings: naming the field, when one cannot be right
        """
        before = self._settings
        if before is not None and not anew:
            return before
        try:
            settings = self.read_settings()
        except (DataRecsError, AirflowTaskTimeout):
            raise
        except Exception as error:
            if type(error) is AirflowException:  # with which Airflow 2.7 ends a task
                raise
            # Whatever a database or the task API may raise. A missing connection is no proof either: Airflow
            # says the same when a secrets backend is away.
            raise ConnectionUnreadable(
                f"Airflow could not give connection {self.conn_id!r}: {type(error).__name__}: {error}"
            ) from error
        if settings != before:
            self._rate_limit_state = None  # it may be another key's
        return settings

    def run_url(self, target: Target, run_id: str) -> str | None:
        """
        Give the URL at which users look at a run, None where the connection's extra has no usable
        ``console_url``.

        :param target: the job or job group
        :param run_id: the run's id
        """
        from airflow_provider_datarecs.api.urls import console_link

        console_url = self.settings.console_url
        try:
            return console_link(console_url, target, run_id) if console_url else None
        except InvalidSettings as error:
            self.log.warning(
                "Connection %s makes no link to %s: %s", self.conn_id, target.name_run(run_id), error
            )
            return None

    def target(self, kind: TargetKind, target_id: str, workspace_id: str) -> Target:
        """
        Name a job or job group.

        :param kind: which of the two
        :param target_id: its id
        :param workspace_id: the id of its workspace
        :raises AirflowFailException: naming the argument, when an id cannot be one
        """
        from airflow_provider_datarecs.api.targets import Target

        with as_airflow_exceptions(self.conn_id):
            return Target(kind, target_id, workspace_id)

    def check_text(self, argument: str, value: Any) -> str:
        """
        Give a name, label or id as text, and refuse what a template gives that found nothing, and what is no
        text or blank.

        :param argument: the argument's name, for the message
        :param value: what it holds
        :raises AirflowFailException: naming the argument
        """
        from airflow_provider_datarecs.api.targets import check_text

        with as_airflow_exceptions(self.conn_id):
            return check_text(argument, value)

    def call(self, ask: Callable[[DataRecsClient], Awaitable[T]]) -> T:
        """
        Open a client, let it do something and close it again, blocking until that is done.

        :param ask: what to do with the open client
        :raises DataRecsConfigException: when DataRecs refuses the API key (401), without retries of the task
        :raises AirflowFailException: when an argument cannot be right, or the key lacks a permission (403)
        :raises AirflowException: for everything else that DataRecs refuses, and when it cannot be reached
        """
        with as_airflow_exceptions(self.conn_id):
            return self._run(ask)

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the connection works, and why not."""
        from airflow_provider_datarecs.api.contract import TargetKind
        from airflow_provider_datarecs.api.retry import ONE_POLL
        from airflow_provider_datarecs.api.targets import Target
        from airflow_provider_datarecs.api.urls import console_link

        try:
            settings = self.read_settings()
            workspaces = self._run(lambda client: client.list_workspaces(), ONE_POLL)
            if settings.console_url:
                console_link(settings.console_url, Target(TargetKind.JOB, "job", "workspace"), "run")
        except DataRecsError as error:
            return False, message_of(error, None)  # Airflow tests a connection under an id of its own
        except AirflowException as error:
            return False, str(error)
        seen = f"Connected to {settings.base_url}; the API key sees {len(workspaces)} workspaces"
        return True, ". But ".join((seen, *settings.notes))

    def _run(
        self,
        ask: Callable[[DataRecsClient], Awaitable[T]],
        policy: RetryPolicy | None = None,
        settings: ClientSettings | None = None,
    ) -> T:
        from airflow_provider_datarecs.api.client import DataRecsClient
        from airflow_provider_datarecs.api.rate_limit import RateLimitState
        from airflow_provider_datarecs.api.retry import OPERATOR

        settings = settings or self.settings
        self._rate_limit_state = self._rate_limit_state or RateLimitState()  # for all that a task asks

        async def open_and_ask() -> T:
            async with DataRecsClient(
                settings,
                tls=settings.tls(),
                policy=policy or OPERATOR,
                rate_limit_state=self._rate_limit_state,
            ) as client:
                return await ask(client)

        return run_to_end(open_and_ask)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Describe the connection form to Airflow before 3.2; later ones read the provider info."""
        return {key.replace("-", "_"): value for key, value in ui_field_behaviour().items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Give the form fields for the connection's extras to Airflow before 3.2."""
        from airflow_provider_datarecs.hooks.form import form_widgets

        return form_widgets()
