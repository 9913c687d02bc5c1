"""
A DataRecs API that runs on this machine, for demos and for tests, of this provider and of DAGs that use it.

``world`` holds workspaces, jobs and runs, ``runs`` knows how they go on, ``app`` speaks HTTP for both,
``rate_limit`` and ``faults`` make it as unfriendly as the real one, ``webhooks`` posts events when runs end,
``scenario`` reads a world from a file, and ``server`` runs it: ``python -m
airflow_provider_datarecs.simulator --port 8790``, or from Python::

    with Simulator(load_scenario("scenario.yaml")) as simulator:
        ...  # simulator.url, simulator.world, simulator.requests

In pytest, the fixture ``datarecs_simulator`` is such a simulator.
"""

from __future__ import annotations

from airflow_provider_datarecs.simulator.faults import Fault
from airflow_provider_datarecs.simulator.rate_limit import RateLimit
from airflow_provider_datarecs.simulator.runs import Plan
from airflow_provider_datarecs.simulator.scenario import build_world, default_world, load_scenario
from airflow_provider_datarecs.simulator.server import Simulator
from airflow_provider_datarecs.simulator.webhooks import Webhook
from airflow_provider_datarecs.simulator.world import ApiKey, Behaviour, World

__all__ = [
    "ApiKey",
    "Behaviour",
    "Fault",
    "Plan",
    "RateLimit",
    "Simulator",
    "Webhook",
    "World",
    "build_world",
    "default_world",
    "load_scenario",
]
