"""The command ``airflow datarecs receive-events``, on Airflows that take commands from providers."""

from __future__ import annotations

from typing import Any

from airflow_provider_datarecs.webhooks.__main__ import OPTIONS, receive_events


def get_commands() -> list[Any]:
    """Give the commands to Airflow, which asks at the start of each of its commands."""
    from airflow.cli import cli_config
    from airflow.cli.cli_config import ActionCommand, GroupCommand

    Arg: Any = cli_config.Arg  # noqa: N806 - it has no types
    receive = ActionCommand(
        name="receive-events",
        help="Receive what DataRecs posts when runs end, beside the API server",
        func=receive_events,
        args=tuple(Arg((option,), **more) for option, more in OPTIONS.items()),
    )
    return [GroupCommand(name="datarecs", help="DataRecs", subcommands=[receive])]
