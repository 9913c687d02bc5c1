"""Run a simulated DataRecs: ``python -m airflow_provider_datarecs.simulator --port 8790``."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING

from aiohttp import web

from airflow_provider_datarecs.simulator.app import SimulatorApp
from airflow_provider_datarecs.simulator.scenario import DEFAULT, load_scenario
from airflow_provider_datarecs.simulator.webhooks import Webhook
from airflow_provider_datarecs.simulator.world import ApiKey

if TYPE_CHECKING:
    from airflow_provider_datarecs.simulator.app import SeenRequest

log = logging.getLogger(__name__)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_datarecs.simulator", description=__doc__
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8790, help="port to listen on (default: %(default)s)")
    parser.add_argument("--scenario", default=DEFAULT, help="JSON or YAML file (default: the demo's world)")
    parser.add_argument("--api-key", action="append", help="an API key to let in, in place of the scenario's")
    parser.add_argument("--webhook-url", help="where to post events when runs end (default: nowhere)")
    parser.add_argument("--webhook-secret", help="what signs them")
    options = parser.parse_args()
    try:
        world, faults = load_scenario(options.scenario)
    except (OSError, ValueError) as error:
        parser.error(f"--scenario {options.scenario}: {error}")
    if options.webhook_url or options.webhook_secret:
        if not (options.webhook_url and options.webhook_secret):
            parser.error("--webhook-url and --webhook-secret go together")
        world.webhooks = [Webhook(options.webhook_url, options.webhook_secret)]
    if options.api_key:
        world.api_keys = [ApiKey(key) for key in options.api_key]
    keys = "as given" if options.api_key else ", ".join(key.key for key in world.api_keys)

    def announce(_: str) -> None:  # by run_app, when it listens
        host = f"[{options.host}]" if ":" in options.host else options.host
        print(f"DataRecs simulator on http://{host}:{options.port}, API keys: {keys}", flush=True)

    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    web.run_app(
        SimulatorApp(world, faults, on_request=tell).make(),
        host=options.host,
        port=options.port,
        print=announce,
        access_log=None,
    )


def tell(seen: SeenRequest) -> None:
    """Log what was asked and what was done about it; no header, since one has the API key."""
    did = f": {seen.did}" if seen.did else ""
    log.info("%s %s %s%s", seen.method, seen.path, seen.status or "no answer", did)


if __name__ == "__main__":
    main()
