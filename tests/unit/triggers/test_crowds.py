"""Many waits at once: what they ask for together, and what they come through together."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from importlib import import_module

import pytest
from support.fakes import FakeTaskInstance, run_until_cancelled

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import task_states
from airflow_provider_datarecs.compat.task_states import TaskState
from airflow_provider_datarecs.simulator import ApiKey, Fault, Plan
from airflow_provider_datarecs.triggers import base

LONG = 10**6


@pytest.fixture
def crowd(simulator, trigger_for, event_of):
    """Make so many runs of so many jobs, and triggers that wait for them."""

    def crowd(waits, jobs, *, running=LONG, seconds=100_000.0, **more):
        world = simulator.world
        triggers = []
        for number in range(jobs):
            world.add_job(f"j{number}", f"job {number}", "ws_production")
        for number in range(waits):
            job = world.owners[TargetKind.JOB][f"j{number % jobs}"]
            job.plan = Plan(queued=0, running=running)
            run = world.start_run(TargetKind.JOB, job)
            more = {"poke_interval": 30.0, **more}
            trigger = trigger_for(run.id, seconds=seconds, **more)
            trigger.target_id = job.id
            triggers.append(trigger)
        return triggers

    return crowd


@pytest.fixture
def all_events(event_of):
    """Wait for the events of triggers, in their order."""

    async def all_events(triggers):
        return await asyncio.gather(*(event_of(trigger, timeout=LONG) for trigger in triggers))

    return all_events


@pytest.fixture
def first_minutes(event_of):
    """Let triggers wait for some seconds, and cancel them."""

    async def first_minutes(triggers, seconds):
        waits = [asyncio.ensure_future(event_of(trigger, timeout=LONG)) for trigger in triggers]
        await asyncio.sleep(seconds)
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)

    return first_minutes


def kinds(simulator):
    return Counter("list" if seen.path.endswith("/runs") else "run" for seen in simulator.requests)


def right(events, triggers):
    return [(event["run_id"], event["id"], event["outcome"]) for event in events] == [
        (trigger.run_id, trigger.target_id, "finished") for trigger in triggers
    ]


def test_waits_for_one_run_cost_one_request(simulator, hasty, crowd, all_events, trigger_for):
    (first,) = crowd(1, 1, running=65)
    others = [trigger_for(first.run_id, seconds=1000.0, poke_interval=30.0) for _ in range(50)]
    for trigger in others:
        trigger.target_id = first.target_id
    assert right(hasty.run(all_events([first, *others])), [first, *others])
    assert kinds(simulator) == {"list": 1, "run": 3}


def test_runs_of_one_job_are_answered_by_its_list(simulator, hasty, crowd, all_events):
    triggers = crowd(20, 1, running=65)
    assert right(hasty.run(all_events(triggers)), triggers)
    assert kinds(simulator) == {"list": 4}


def test_a_run_alone_is_asked_for_by_itself_after_the_first_look(simulator, hasty, crowd, all_events):
    triggers = crowd(3, 3, running=65)
    assert right(hasty.run(all_events(triggers)), triggers)
    assert kinds(simulator)["list"] == 3
    assert kinds(simulator)["run"] >= 6


def test_runs_on_further_pages_are_answered_by_these(simulator, hasty, crowd, all_events):
    simulator.world.behaviour.page_size = 20
    triggers = crowd(100, 1, running=100)
    assert right(hasty.run(all_events(triggers)), triggers)
    assert kinds(simulator)["run"] == 0
    assert kinds(simulator)["list"] <= 30


@pytest.mark.parametrize("paging", ["cursor", "url"])
def test_a_run_that_newer_ones_push_off_its_page_is_found_again(simulator, hasty, crowd, all_events, paging):
    simulator.world.behaviour.page_size = 20
    simulator.world.behaviour.paging = paging
    triggers = crowd(10, 1, running=200)
    owner = simulator.world.owners[TargetKind.JOB]["j0"]

    async def with_newer_runs():
        waiting = asyncio.ensure_future(all_events(triggers))
        for _ in range(10):
            await asyncio.sleep(15)
            for _ in range(5):
                simulator.world.start_run(TargetKind.JOB, owner)
        return await waiting

    assert right(hasty.run(with_newer_runs()), triggers)


def test_a_thousand_runs_that_end_together_cost_a_few_lists(simulator, hasty, crowd, all_events):
    triggers = crowd(1000, 20, running=200)
    assert right(hasty.run(all_events(triggers)), triggers)
    after = [seen for seen in simulator.requests if seen.at > triggers[-1].since + 200]
    assert len(after) <= 21


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED"])
def test_runs_of_a_group_are_answered_by_its_list(simulator, hasty, trigger_for, all_events, status):
    from airflow_provider_datarecs.triggers.job_group_run import JobGroupRunTrigger

    world = simulator.world
    for job in world.owners[TargetKind.JOB].values():
        job.plan = Plan(queued=0, running=50, status=status)
    group = world.owners[TargetKind.JOB_GROUP]["grp_nightly"]
    runs = [world.start_run(TargetKind.JOB_GROUP, group) for _ in range(10)]
    triggers = [
        trigger_for(run.id, cls=JobGroupRunTrigger, seconds=1000.0, poke_interval=30.0) for run in runs
    ]
    events = hasty.run(all_events(triggers))
    assert [(event["run_id"], event["result"]["status"]) for event in events] == [
        (run.id, status) for run in runs
    ]
    assert all(len(event["result"]["runs"]) == 2 for event in events)
    # The list gives no error of a group's own, so that each failed run is asked for by itself, once.
    assert kinds(simulator)["run"] == (len(runs) if status == "FAILED" else 0)


@pytest.mark.parametrize(
    "fault",
    [{"status": 404}, {"status": 403, "body": {"message": "no"}}, {"status": 200, "body": {"items": []}}],
)
def test_a_service_whose_lists_do_not_help_is_asked_singly(simulator, hasty, crowd, all_events, fault):
    simulator.faults.append(Fault(path="/jobs/*/runs", times=None, **fault))
    triggers = crowd(12, 6, running=500)
    assert right(hasty.run(all_events(triggers)), triggers)
    assert kinds(simulator)["list"] <= 12
    assert all(seen.path.count("/") > 3 for seen in simulator.requests[24:])


@pytest.mark.parametrize("sliding", [False, True])
def test_a_thousand_stored_triggers_start_without_a_burst(simulator, hasty, crowd, first_minutes, sliding):
    simulator.world.rate_limit.sliding = sliding
    triggers = crowd(1000, 1000)
    for trigger in triggers:
        trigger.task_instance = FakeTaskInstance()
    hasty.run(first_minutes(triggers, 300.0))
    times = [seen.at for seen in simulator.requests]
    assert {seen.status for seen in simulator.requests} == {200}
    assert len({seen.path for seen in simulator.requests}) == len(times)  # nobody twice
    assert 300 <= len(times) <= 400
    assert max(sum(time <= other < time + 6 for other in times) for time in times) <= 10


def test_no_limit_is_met_and_every_wait_has_its_looks(simulator, hasty, crowd, first_minutes, caplog):
    caplog.set_level("INFO", "airflow_provider_datarecs")
    hasty.run(first_minutes(crowd(100, 100), 600.0))
    assert {seen.status for seen in simulator.requests} == {200}
    polls = Counter(seen.path.split("/")[2] for seen in simulator.requests)
    assert len(polls) == 100
    assert min(polls.values()) >= 2
    stretched = [line for line in caplog.messages if "the rate limit leaves" in line]
    assert len(stretched) == 1
    assert "the 100 waits take 100 requests for one poll of each" in stretched[0]
    assert "every 30 s on average, 200 requests a minute" in stretched[0]


def test_a_storm_of_429s_ends_no_wait_and_is_not_fed(simulator, hasty, crowd, all_events):
    simulator.faults.append(Fault(times=None, seconds=300, status=429, headers={"Retry-After": "20"}))
    triggers = crowd(100, 10, running=30)
    assert right(hasty.run(all_events(triggers)), triggers)
    refused = [seen for seen in simulator.requests if seen.status == 429]
    assert 3 <= len(refused) <= 16


@pytest.mark.parametrize("fault", [{"drop": "before"}, {"status": 503}])
def test_an_outage_of_ten_minutes_ends_no_wait(simulator, hasty, crowd, all_events, fault):
    simulator.faults.append(Fault(times=None, seconds=600, **fault))
    triggers = crowd(100, 50, running=30)
    began = time.time()
    assert right(hasty.run(all_events(triggers)), triggers)
    assert 600 <= time.time() - began <= 900


def test_a_key_that_is_revoked_ends_a_thousand_waits_with_three_requests(
    simulator, hasty, crowd, all_events, loop_guard
):
    triggers = crowd(1000, 500)

    async def revoked():
        waiting = asyncio.ensure_future(all_events(triggers))
        await asyncio.sleep(60)
        simulator.world.api_keys.clear()
        return await waiting

    events = hasty.run(revoked())
    assert {(event["outcome"], event["meaning"]) for event in events} == {
        ("refused", "DataRecsConfigException")
    }
    assert [event["run_id"] for event in events] == [trigger.run_id for trigger in triggers]
    times = [seen.at for seen in simulator.requests if seen.status == 401]
    assert len(times) == 3
    assert times[-1] - times[0] >= 14
    assert loop_guard.offences == []


@pytest.mark.parametrize("times", [1, 2])
def test_a_key_that_is_refused_for_some_seconds_ends_no_wait(simulator, hasty, crowd, all_events, times):
    simulator.faults.append(Fault(times=times, status=401, body={"message": "no"}))
    triggers = crowd(200, 20, running=60)
    assert right(hasty.run(all_events(triggers)), triggers)
    assert [seen.status for seen in simulator.requests].count(401) == times


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_a_run_that_is_refused_once_ends_no_wait(simulator, hasty, crowd, all_events, status):
    triggers = crowd(20, 20, running=60)
    for trigger in triggers:
        path = f"/jobs/{trigger.target_id}/runs/*"
        simulator.faults.append(Fault(path=path, times=1, status=status, body={"message": "no"}))
    assert right(hasty.run(all_events(triggers)), triggers)
    assert [seen.status for seen in simulator.requests].count(status) == 20


@pytest.fixture
def killed(monkeypatch):
    """Let triggers wait for a minute and kill them together, as Airflow does: twice."""
    monkeypatch.setattr(task_states, "_states_of", lambda tis: [TaskState("failed") for _ in tis])

    async def killed(triggers):
        waiting = [asyncio.ensure_future(run_until_cancelled(trigger)) for trigger in triggers]
        await asyncio.sleep(60)
        for _ in range(2):
            for wait in waiting:
                wait.cancel()
            await asyncio.sleep(1)
        await asyncio.wait([*waiting, *base._at_work])

    return killed


@pytest.mark.parametrize("storm", [0, 100], ids=["quiet", "while others use up the limit"])
def test_three_hundred_waits_that_are_killed_together_have_their_runs_cancelled(
    simulator, hasty, crowd, killed, storm, caplog
):
    triggers = crowd(300, 1, cancel_run_on_kill=True)
    for number, trigger in enumerate(triggers):
        trigger.task_instance, trigger.trigger_id = FakeTaskInstance(map_index=number), number + 1

    async def all_killed():
        fault = Fault(method="POST", times=None, seconds=storm, status=429, headers={"Retry-After": "20"})
        asyncio.get_running_loop().call_later(60, simulator.faults.append, fault)
        await killed(triggers)

    began = time.time()
    hasty.run(all_killed())
    runs = [run for run in simulator.world.runs[TargetKind.JOB] if run.id in {one.run_id for one in triggers}]
    assert len([run for run in runs if run.cancelled_at]) == 300
    # As fast as the rate limit allows, but for a fifth of it, and never against it.
    assert time.time() - began <= 60 + 2 * storm + 300 / 80 * 60 * 1.25
    refused = [seen for seen in simulator.requests if seen.status == 429]
    assert len(refused) <= storm / 10
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_kills_do_not_keep_the_looks_of_others_from_their_turn(simulator, hasty, crowd, killed, all_events):
    triggers = crowd(200, 200, cancel_run_on_kill=True)
    for number, trigger in enumerate(triggers):
        trigger.task_instance, trigger.trigger_id = FakeTaskInstance(map_index=number), number + 1
    others = crowd(3, 3, running=90)

    async def both():
        events, _ = await asyncio.gather(all_events(others), killed(triggers))
        return events

    assert right(hasty.run(both()), others)
    cancelled = [seen.at for seen in simulator.requests if seen.method == "POST"]
    polls = [seen.at for seen in simulator.requests if seen.method == "GET"]
    assert len(cancelled) == 200
    assert [poll for poll in polls if cancelled[0] < poll < cancelled[-1]]


def test_a_key_that_is_rotated_ends_none(simulator, hasty, crowd, all_events, connect):
    triggers = crowd(200, 10, running=120)

    async def rotated():
        waiting = asyncio.ensure_future(all_events(triggers))
        await asyncio.sleep(60)
        connect(simulator.url, password="new-key", extra={"requests_per_minute": 100})
        simulator.world.api_keys[:] = [ApiKey("new-key")]
        return await waiting

    assert right(hasty.run(rotated()), triggers)


def test_waits_that_are_cancelled_disturb_no_other(simulator, hasty, crowd, event_of):
    triggers = crowd(100, 5, running=200)

    async def some_cancelled():
        waits = [asyncio.ensure_future(event_of(trigger, timeout=LONG)) for trigger in triggers]
        for wait in waits[::2]:
            await asyncio.sleep(1)
            wait.cancel()
        await asyncio.wait(waits[::2])
        return await asyncio.gather(*waits[1::2])

    assert right(hasty.run(some_cancelled()), triggers[1::2])
    assert not [seen for seen in simulator.requests if seen.method == "POST"]


def test_deadlines_that_come_together_bring_a_last_look_for_all(simulator, hasty, crowd, all_events):
    triggers = crowd(300, 30, running=595, seconds=600.0, poke_interval=3600.0)
    events = hasty.run(all_events(triggers))
    assert right(events, triggers)


async def test_answers_that_are_slow_are_waited_for_a_few_at_a_time(simulator, crowd, all_events, connect):
    connect(simulator.url, extra={"max_concurrent_requests": 3})
    simulator.world.rate_limit.requests = 10**6
    open_now, most = 0, 0
    simulator.faults.append(Fault(times=None, delay=0.05))
    meets = Fault.meets

    def counted(fault, *arguments):
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        asyncio.get_running_loop().call_later(0.05, done)
        return meets(fault, *arguments)

    def done():
        nonlocal open_now
        open_now -= 1

    simulator.faults[0].meets = counted.__get__(simulator.faults[0])
    triggers = crowd(30, 30, running=0)
    assert right(await all_events(triggers), triggers)
    assert most == 3


@pytest.fixture
def mistaken(monkeypatch, polling_config):
    """Let a part of the provider raise what it never should, until it is mended."""
    polling_config(pause_after_mistake=0.01)
    mended = asyncio.Event()

    def mistaken(place):
        owner, _, name = place.rpartition(".")
        module, _, cls = owner.rpartition(".")
        part = getattr(import_module(f"airflow_provider_datarecs.polling.{module}"), cls)
        right = getattr(part, name)

        def wrong(*arguments, **more):
            if not mended.is_set():
                raise ZeroDivisionError
            return right(*arguments, **more)

        monkeypatch.setattr(part, name, wrong)
        return mended.set

    return mistaken


MISTAKEN = pytest.mark.parametrize(
    "place",
    [
        "lookup.RunLookup.read",
        "schedule.Schedule.next",
        "monitor.RunMonitor.judge",
        "request.PollRequest.send",
    ],
)


@MISTAKEN
async def test_a_mistake_in_the_provider_ends_waits_once_every_look_has_met_it_for_a_while(
    crowd, all_events, place, mistaken, polling_config, caplog, capfd
):
    polling_config(unforeseen_for=0.05)
    mend = mistaken(place)
    events = await all_events(crowd(10, 2, poke_interval=0.01))
    assert {(event["outcome"], event["meaning"]) for event in events} == {("refused", "AirflowException")}
    assert all("ZeroDivisionError" in event["message"] for event in events)
    assert "Traceback" in caplog.text + "".join(capfd.readouterr())
    mend()
    again = crowd(3, 3, running=0)
    assert right(await all_events(again), again)


@MISTAKEN
async def test_a_mistake_in_the_provider_that_passes_ends_no_wait(crowd, all_events, place, mistaken):
    asyncio.get_running_loop().call_later(0.3, mistaken(place))
    triggers = crowd(10, 2, running=0, poke_interval=0.01)
    assert right(await all_events(triggers), triggers)
