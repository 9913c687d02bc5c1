"""Receive events in a process of its own: ``python -m airflow_provider_datarecs.webhooks --port 8791``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from airflow_provider_datarecs.webhooks import settings

HOST, PORT = "127.0.0.1", 8791
OPTIONS: dict[str, dict[str, Any]] = {
    "--host": {"default": HOST, "help": f"The address to listen on (default: {HOST})"},
    "--port": {"default": PORT, "type": int, "help": f"The port to listen on (default: {PORT})"},
}
OFF = (
    "Airflow takes no events of DataRecs: set [datarecs] webhooks to True, or to the ids of connections, in "
    "its configuration, or AIRFLOW__DATARECS__WEBHOOKS in the environment of each of its processes"
)


def receive_events(options: Any) -> None:
    """
    Serve until interrupted.

    :param options: ``host`` and ``port``
    """
    allowed = settings.allowed()
    if not allowed:
        sys.exit(OFF)
    from airflow_provider_datarecs.webhooks.receiver import Receiver
    from airflow_provider_datarecs.webhooks.server import EventsServer

    EventsServer(Receiver(allowed)).run(options.host, options.port, lambda line: print(line, flush=True))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_datarecs.webhooks", description=__doc__)
    for option, more in OPTIONS.items():
        parser.add_argument(option, **more)
    receive_events(parser.parse_args())


if __name__ == "__main__":
    main()
