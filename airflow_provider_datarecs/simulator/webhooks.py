"""Posts events about the ends of runs, as DataRecs does: signed, and again where they were not taken."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import random
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.times import iso_utc
from airflow_provider_datarecs.webhooks.events import sign

if TYPE_CHECKING:
    from airflow_provider_datarecs.simulator.runs import Run
    from airflow_provider_datarecs.simulator.world import World

LOOK_EVERY = 0.05  # seconds between two looks at which runs have ended
ANSWER_WITHIN = 10.0  # seconds


@dataclass(frozen=True)
class Delivery:
    """
    An event that was posted.

    :param run_id: the run's id
    :param event_id: the event's, the same each time that it is posted
    :param status: what it was answered with, None if it was not
    :param at: when, in epoch seconds of the world's clock
    """

    run_id: str
    event_id: str
    status: int | None
    at: float


@dataclass
class Webhook:
    """
    An endpoint to which events are posted when runs of jobs end; group runs have none of their own.

    Like the service, it is not reliable on purpose::

        Webhook(url, secret, lost=0.2)  # a fifth of the events never comes
        Webhook(url, secret, times=3, late=5)  # each comes three times, five seconds after the end

    :param url: where to post, such as ``http://localhost:8080/datarecs/events/datarecs_default``
    :param secret: signs the events
    :param event_types: what their types begin with
    :param signature: ``hex`` or ``base64``, or either after ``sha256=``
    :param key_style: ``snake`` or ``camel``
    :param lost: the part of the events that is never posted, 0 to 1
    :param times: how often each is posted
    :param late: seconds from the end of a run to its event
    :param per_second: how many are posted in a second at most
    :param first_retry: seconds until an event is posted again that was not answered with 2xx; twice as many
        each further time
    :param attempts: how often it is tried at most

    ``deliveries`` has what was posted.
    """

    url: str
    secret: str = field(repr=False)
    event_types: str = "io.datarecs.reconciliation."
    signature: str = "hex"
    key_style: str = "snake"
    lost: float = 0.0
    times: int = 1
    late: float = 0.0
    per_second: float = 50.0
    first_retry: float = 1.0
    attempts: int = 8
    deliveries: list[Delivery] = field(default_factory=list, init=False, repr=False, compare=False)
    _changed: threading.Condition = field(
        default_factory=threading.Condition, init=False, repr=False, compare=False
    )

    def wait_for_deliveries(self, count: int, timeout: float = 30.0) -> None:
        """
        Block until so many events have been posted here and answered, or not.

        :param count: how many in all
        :param timeout: seconds to wait
        :raises TimeoutError: when there are fewer by then
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.deliveries) >= count, timeout):
                raise TimeoutError(f"only {len(self.deliveries)} of {count} events came in {timeout} s")

    def note(self, delivery: Delivery) -> None:
        """Take down that an event was posted here."""
        with self._changed:
            self.deliveries.append(delivery)
            self._changed.notify_all()

    def event(self, run: Run, status: str, number: int) -> dict[str, Any]:
        """Give the event about the end of a run, as a CloudEvents document."""
        data = {
            contract.RUN_ID: run.id,
            contract.JOB_ID: run.owner.id,
            contract.WORKSPACE_ID: run.owner.workspace_id,
        }
        if self.key_style == "camel":
            data = {_camel(key): value for key, value in data.items()}
        return {
            "specversion": "1.0",
            contract.EVENT_ID: f"evt_{number:06d}",
            "source": "/datarecs/core-api",
            contract.EVENT_TYPE: f"{self.event_types}run.{status.lower()}",
            "time": iso_utc(run.over_at),
            "datacontenttype": "application/json",
            contract.EVENT_DATA: data,
        }

    def signed(self, body: bytes) -> str:
        """Give what the signature's header holds for a body."""
        digest, form = sign(self.secret, body), self.signature
        text = base64.b64encode(digest).decode() if form.endswith("base64") else digest.hex()
        return f"{contract.SIGNATURE_PREFIX if form.startswith(contract.SIGNATURE_PREFIX) else ''}{text}"


def _camel(key: str) -> str:
    return re.sub("_(.)", lambda match: match.group(1).upper(), key)


class WebhookSender:
    """
    Post events about the runs of a world that end from when it has a webhook on.

    :param world: whose runs, and whose ``webhooks`` are posted to
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._since = world.clock()
        self._taken_up = len(world.runs[TargetKind.JOB])
        self._going: list[Run] = list(world.runs[TargetKind.JOB])
        self._numbers = itertools.count(1)
        self._posting: set[asyncio.Task[None]] = set()
        self._next_at: dict[int, float] = {}

    async def run(self) -> None:
        """Post until cancelled."""
        while not self._world.webhooks:
            self._since = self._world.clock()
            await asyncio.sleep(LOOK_EVERY)
        # No proxy of the environment: it is this machine that is posted to.
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ANSWER_WITHIN)) as session:
            try:
                while True:
                    self._look(session)
                    await asyncio.sleep(LOOK_EVERY)
            finally:
                for task in self._posting:
                    task.cancel()
                await asyncio.gather(*self._posting, return_exceptions=True)

    def _look(self, session: aiohttp.ClientSession) -> None:
        now, runs = self._world.clock(), self._world.runs[TargetKind.JOB]
        self._going += runs[self._taken_up :]
        self._taken_up = len(runs)
        ended = [run for run in self._going if run.over_at <= now]
        if ended:
            self._going = [run for run in self._going if run.over_at > now]
        for run in ended:
            if run.over_at < self._since:
                continue
            for webhook in self._world.webhooks:
                number = next(self._numbers)
                if random.random() >= webhook.lost:
                    for _ in range(webhook.times):
                        task = asyncio.create_task(self._post(session, webhook, run, number))
                        self._posting.add(task)
                        task.add_done_callback(self._posting.discard)

    async def _post(self, session: aiohttp.ClientSession, webhook: Webhook, run: Run, number: int) -> None:
        await asyncio.sleep(webhook.late)
        event = webhook.event(run, run.status(self._world.clock()), number)
        body = json.dumps(event).encode()
        headers = {"Content-Type": "application/json", contract.SIGNATURE_HEADER: webhook.signed(body)}
        for attempt in range(webhook.attempts):
            await self._take_turn(webhook)
            status: int | None = None
            try:
                async with session.post(webhook.url, data=body, headers=headers) as answer:
                    status = answer.status
            except (OSError, aiohttp.ClientError, asyncio.TimeoutError):
                pass
            webhook.note(Delivery(run.id, event[contract.EVENT_ID], status, self._world.clock()))
            if status is not None and 200 <= status < 300:
                return
            await asyncio.sleep(webhook.first_retry * 2**attempt)

    async def _take_turn(self, webhook: Webhook) -> None:
        """Wait until the endpoint may be posted to again."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next_at.get(id(webhook), now))
        self._next_at[id(webhook)] = turn + 1 / webhook.per_second
        await asyncio.sleep(turn - now)
