"""Tells stories, and counts what came of them, as ``docs/faults.md`` shows it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Iterable, Iterator
from unittest import mock

if TYPE_CHECKING:
    from airflow_provider_datarecs.simulator import Simulator
    from support.stories.story import Story

SEED = 1
AT_ONCE = 40
PACKAGE = "airflow_provider_datarecs"


@dataclass
class Told:
    """
    What has come of all stories.

    :param figures: how many of what
    :param offers: how many of what, by what the service offers and the task asks for
    :param met: how many requests met which fault, by method and kind
    :param wrong: for each story that went wrong, its number and why
    """

    figures: Counter[str] = field(default_factory=Counter)
    offers: Counter[Any] = field(default_factory=Counter)
    met: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def tell(numbers: Iterable[int], seed: int = SEED) -> Told:
    """
    Tell stories and judge them.

    :param numbers: which
    :param seed: what they are drawn from
    """
    from support.stories.verdict import Verdict

    told = Told()
    with impatient(), services() as simulators:
        plays = asyncio.run(_play(numbers, seed, simulators))
        for play in plays:
            verdict = Verdict(play)
            told.figures.update(verdict.figures)
            told.offers.update(verdict.offers)
            for one in play.story.mishaps:
                told.met[one.fault.method, one.kind] += one.met
            told.wrong += [f"{play.story.number}: {what}" for what in verdict.wrong]
    return told


async def _play(numbers: Iterable[int], seed: int, simulators: list[Simulator]) -> list[Any]:
    from support.stories.play import Play, load_airflow, ready_thread
    from support.stories.story import GRACE, draw

    load_airflow("stories_0")
    room, plays = asyncio.Semaphore(AT_ONCE), []
    with ThreadPoolExecutor(AT_ONCE, initializer=ready_thread) as workers:

        async def play(number: int) -> None:
            story = draw(seed, number, len(simulators))
            async with room:
                one = Play(story, simulators[story.service], _connection_of(story))
                plays.append(one)
                await one.go(workers)

        await asyncio.gather(*map(play, numbers))
        await asyncio.sleep(GRACE)  # for what is carried out too late to answer
    return plays


def _connection_of(story: Story) -> str:
    """Give the connection of a story: that of its service, which all its stories share."""
    shared = f"stories_{story.service}"
    if not any(one.kind == "401" and one.fault.method == "GET" for one in story.mishaps):
        return shared
    # A refused key ends all waits on its connection, and rightly so.
    own = f"{shared}_{story.number}"
    os.environ[f"AIRFLOW_CONN_{own.upper()}"] = os.environ[f"AIRFLOW_CONN_{shared.upper()}"]
    return own


@contextlib.contextmanager
def services() -> Iterator[list[Simulator]]:
    """Run services that differ in what they offer, each with its connection."""
    from airflow_provider_datarecs.simulator import Behaviour, RateLimit, Simulator, World
    from support.stories.play import WORKSPACE, WORKSPACE_NAME

    styles = (
        {"key_style": "snake", "list_style": "items", "paging": "cursor", "page_size": 2},
        {"key_style": "camel", "list_style": "data", "paging": "url", "page_size": 5, "group_totals": True},
    )
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ))
        simulators = []
        for number, (honours, echoes, style) in enumerate(product((True, False), (True, False), styles)):
            behaviour = Behaviour(honours_idempotency_key=honours, echoes_label=echoes, **style)  # type: ignore[arg-type]
            world = World(behaviour=behaviour, rate_limit=RateLimit(requests=10**6))
            world.add_workspace(WORKSPACE, WORKSPACE_NAME)
            simulator = stack.enter_context(Simulator(world))
            fields = {"host": simulator.url, "password": "demo-key", "extra": {"requests_per_minute": 10**6}}
            connection = json.dumps({"conn_type": "datarecs", **fields})
            os.environ[f"AIRFLOW_CONN_STORIES_{number}"] = connection
            simulators.append(simulator)
        yield simulators


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Make minutes of waiting into moments."""
    from airflow_provider_datarecs.polling import config
    from support.stories.story import GRACE, TIMEOUT

    quick = {
        "api.transport.REQUEST_TIMEOUT": TIMEOUT,
        "api.retry.REQUEST_TIMEOUT": TIMEOUT,
        "api.retry._backoff": lambda _state: 0.0,
        "api.retry.MIN_LIMIT_WAIT": 0.01,
        "api.contract.NOT_VISIBLE_GRACE": GRACE,
    }
    quick_polls = config.override(
        first_poll=(0.0, 0.05),
        confirm_after=0.05,
        last_poll_again=0.05,
        last_poll_within=1.0,
        min_poke_interval=0.05,
    )
    with ExitStack() as stack:
        stack.enter_context(quick_polls)
        for name, value in quick.items():
            stack.enter_context(mock.patch(f"{PACKAGE}.{name}", value))
        logging.disable(logging.CRITICAL)
        stack.callback(logging.disable, logging.NOTSET)
        yield


def tables(told: Told, count: int) -> Iterator[str]:
    """Give the figures as Markdown, line by line."""
    from support.stories.story import FAULTS
    from support.stories.verdict import FIGURES

    yield from ("| what came out | |", "| --- | ---: |", f"| stories | {count} |")
    yield from (f"| {name} | {told.figures[name]} |" for name in FIGURES)
    yield f"| **wrong** | **{len(told.wrong)}** |"
    names = ("tasks", "succeeded", "uncertain", "other", "second runs")
    yield from ("", "| the service | the task | " + " | ".join(names) + " |", "| --- | --- |" + " ---: |" * 5)
    for honours, by_label, on_uncertain in product((True, False), (True, False), ("fail", "retry")):
        offer = "honours `Idempotency-Key`" if honours else "ignores `Idempotency-Key`"
        wants = f'`on_uncertain="{on_uncertain}"`' + (", its run is known by the label" if by_label else "")
        counts = (str(told.offers[(honours, by_label, on_uncertain), name]) for name in names)
        yield f"| {offer} | {wants} | " + " | ".join(counts) + " |"
    yield from ("", "| fault | met by `POST` | met by `GET` |", "| --- | ---: | ---: |")
    yield from (f"| {kind} | {told.met['POST', kind]} | {told.met['GET', kind]} |" for kind in FAULTS)
