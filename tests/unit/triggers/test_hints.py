"""What webhook events do to waits: they say when to poll, and nothing else."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from support.logs import Log

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.polling import hints
from airflow_provider_datarecs.simulator import Plan, RateLimit
from airflow_provider_datarecs.triggers.base import RunTrigger
from airflow_provider_datarecs.webhooks.events import Hint

LONG = 10**6
CONN_ID = "datarecs_default"


class Events:
    """What a receiver has left for one connection; ``broken`` is what reading it raises."""

    def __init__(self):
        self.all = []
        self.broken = None

    def say(self, run_id, job_id=None, event_id=None):
        self.all.append(Hint(run_id, job_id, None, time.time(), event_id or f"e{len(self.all)}"))

    def read(self, place):
        if self.broken:
            raise self.broken
        return self.all[place or 0 :], len(self.all)


@pytest.fixture
def events(monkeypatch):
    """Events of ``datarecs_default``, as if its receiver had left them."""
    events = Events()
    monkeypatch.setattr(hints, "load_reader", lambda conn_id: events.read)
    return events


@pytest.fixture
def waits(simulator, hasty, trigger_for, event_of, events):
    """
    Wait for runs of jobs of their own, which end after some seconds, and give by how much later each wait was
    over, with its outcome. ``said_at`` gives when events say of each that it has ended. The connections take
    turns, as several triggerers with one key would.
    """

    def waits(
        ends, *, poke_interval=600.0, said_at=lambda end: [end + 0.5], say=events.say, conn_ids=(CONN_ID,)
    ):
        world = simulator.world

        async def one(number, end):
            loop = asyncio.get_running_loop()
            world.add_job(f"j{number}", f"job {number}", "ws_production")
            job = world.owners[TargetKind.JOB][f"j{number}"]
            job.plan = Plan(queued=0, running=end)
            run = world.start_run(TargetKind.JOB, job)
            conn_id = conn_ids[number % len(conn_ids)]
            trigger = trigger_for(run.id, seconds=100_000.0, poke_interval=poke_interval, conn_id=conn_id)
            trigger.target_id = job.id
            for seconds in said_at(end):
                loop.call_later(seconds, say, run.id, job.id)
            began = time.time()
            event = await event_of(trigger, timeout=LONG)
            assert event["outcome"] == "finished"
            return round(time.time() - began - end, 1)

        async def all_of_them():
            return await asyncio.gather(*(one(*each) for each in enumerate(ends)))

        return hasty.run(all_of_them())

    return waits


@pytest.fixture
def log(monkeypatch):
    """What the logs of the waiting tasks say."""
    log = Log()
    monkeypatch.setattr(RunTrigger, "log", log)
    return log


@pytest.fixture
def polls(simulator):
    """Count the polls so far."""
    return lambda: sum(seen.method == "GET" for seen in simulator.requests)


def never(_):
    return []


def test_an_event_has_its_run_polled_at_once(waits):
    assert waits([100.0]) < [5.0]


def test_without_one_it_is_polled_in_its_interval(waits):
    assert waits([100.0], said_at=never) > [400.0]


def test_an_event_that_names_no_job_will_do(waits, events):
    assert waits([100.0], say=lambda run_id, _: events.say(run_id)) < [5.0]


def test_an_event_about_the_run_of_another_job_is_none(waits, events):
    assert waits([100.0], say=lambda run_id, _: events.say(run_id, "another")) > [400.0]


def test_the_log_of_the_task_says_so(waits, log):
    waits([100.0])
    (said,) = (line for line in log if line.startswith("DataRecs says"))
    assert said.startswith("DataRecs says that the run has ended, which a poll is to show now: run 'run_")


def test_an_event_that_is_wrong_or_too_early_costs_a_poll_and_no_more(waits, polls):
    (usual,), without = waits([500.0], said_at=never), polls()
    (late,) = waits([500.0], said_at=lambda end: [100.0])
    assert polls() - without == without + 1
    assert abs(late - usual) < 600.0


def test_an_event_that_comes_three_times_counts_once(waits, polls, events):
    waits([500.0], said_at=never)
    without = polls()
    waits([500.0], said_at=lambda end: [100.0, 200.0, 300.0], say=lambda *ids: events.say(*ids, "same"))
    assert polls() - without == without + 1


def test_an_event_that_comes_while_a_poll_is_on_its_way_has_another_one_follow(
    simulator, waits, polling_config
):
    """What the answer shows may be how the run was before."""
    simulator.world.behaviour.latency = 5.0
    late = waits([21.0, 22.0, 23.0], poke_interval=20.0, said_at=lambda end: [end])
    assert max(late) < 15.0


def test_a_run_whose_end_was_said_before_somebody_waits_is_polled_at_once(
    simulator, hasty, events, trigger_for, event_of, started
):
    run_id = started(Plan(queued=0, running=50.0))

    async def one_after_the_other():
        keeps_listening = asyncio.ensure_future(event_of(trigger_for(started(Plan(running=1000.0)))))
        await asyncio.sleep(60.0)
        events.say(run_id)
        await asyncio.sleep(10.0)
        began = time.time()
        await event_of(trigger_for(run_id, seconds=1000.0), timeout=LONG)
        keeps_listening.cancel()
        await asyncio.wait([keeps_listening])
        return time.time() - began

    assert hasty.run(one_after_the_other()) < 10.0


ENDS = [30.0 * number for number in range(1, 25)]


def test_where_events_come_runs_are_polled_ever_more_seldom(waits, polls, polling_config):
    polling_config(events_proven_after=2)
    late, without = waits(ENDS, poke_interval=20.0, said_at=never), polls()
    assert max(waits(ENDS, poke_interval=20.0)) < 5.0 < max(late)
    assert polls() - without < without / 2


def test_when_they_stay_away_runs_are_polled_as_before(waits, caplog, polling_config):
    polling_config(events_proven_after=2)
    late = waits(ENDS, poke_interval=20.0, said_at=lambda end: [end] if end < 300.0 else [])
    assert max(late[:9]) < 5.0
    assert max(late[9:]) < 60.0 + 320.0  # what was to be polled 16 times as seldom
    assert max(late[20:]) < 25.0
    assert caplog.text.count("no webhook event has said so") == 1


def test_polls_that_are_a_safety_net_leave_room_for_those_that_events_ask_for(
    waits, simulator, polling_config, monkeypatch
):
    polling_config(events_proven_after=1)
    simulator.world.rate_limit = RateLimit(sliding=True)
    conn_ids = [f"triggerer_{number}" for number in range(5)]
    for conn_id in conn_ids:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"])
    ends = [60.0 + 1.5 * number for number in range(600)]  # more waits than the limit has requests
    late = sorted(waits(ends, poke_interval=60.0, conn_ids=conn_ids))
    assert late[len(late) // 2] < 2.0
    assert late[len(late) * 95 // 100] < 5.0


def test_what_cannot_be_read_is_polled_as_before(waits, events, caplog, polling_config):
    polling_config(events_proven_after=2)

    def say(*ids):
        events.say(*ids)
        if len(events.all) == 10:
            events.broken = OSError("the database is away")

    late = waits(ENDS, poke_interval=20.0, say=say)
    assert max(late[10:]) < 40.0
    assert caplog.text.count("cannot be read (OSError: the database is away)") == 1


def test_thousands_at_once_share_requests(simulator, hasty, events, trigger_for, event_of, polls):
    job = simulator.world.owners[TargetKind.JOB]["job_ledger"]
    job.plan = Plan(queued=0, running=100.0)
    runs = [simulator.world.start_run(TargetKind.JOB, job).id for _ in range(1000)]
    simulator.world.behaviour.page_size = 1000

    async def all_at_once():
        loop = asyncio.get_running_loop()
        for run_id in runs:
            loop.call_later(101.0, events.say, run_id, "job_ledger")
        triggers = [trigger_for(run_id, seconds=1000.0, poke_interval=600.0) for run_id in runs]
        began = time.time()
        await asyncio.gather(*(event_of(trigger, timeout=LONG) for trigger in triggers))
        return time.time() - began

    assert hasty.run(all_at_once()) < 110.0
    assert polls() < 10


def test_runs_of_groups_have_no_events_and_are_polled_as_ever(
    simulator, hasty, events, trigger_for, event_of
):
    from airflow_provider_datarecs.triggers.job_group_run import JobGroupRunTrigger

    group = simulator.world.owners[TargetKind.JOB_GROUP]["grp_nightly"]
    for job in simulator.world.owners[TargetKind.JOB].values():
        job.plan = Plan(queued=0, running=100.0)
    run_id = simulator.world.start_run(TargetKind.JOB_GROUP, group).id

    async def wait():
        asyncio.get_running_loop().call_later(101.0, events.say, run_id)
        began = time.time()
        trigger = trigger_for(run_id, seconds=1000.0, poke_interval=60.0, cls=JobGroupRunTrigger)
        await event_of(trigger, timeout=LONG)
        return time.time() - began

    assert 110.0 < hasty.run(wait()) < 170.0
