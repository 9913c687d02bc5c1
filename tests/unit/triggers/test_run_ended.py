"""The events of runs that somebody else has started, on a clock that jumps."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import ApiKey, Fault, Plan
from airflow_provider_datarecs.triggers.run_ended import STATE_KEY, DataRecsRunTrigger


class AssetState:
    """The state of one asset, as Airflow 3.3 keeps it."""

    def __init__(self):
        self.kept = {}
        self._by_name = {"an asset": self}

    async def aget(self, key):
        return self.kept.get(key)

    async def aset(self, key, value):
        self.kept[key] = value


@pytest.fixture
def state():
    return AssetState()


@pytest.fixture
def start(simulator):
    """Start a run of the ledger job that ends after some seconds, and give its id."""

    def start(seconds=10.0, *, job_id="job_ledger", **plan):
        job = simulator.world.owners[TargetKind.JOB][job_id]
        job.plan = Plan(queued=0, running=seconds, **plan)
        return simulator.world.start_run(TargetKind.JOB, job).id

    return start


@pytest.fixture
def trigger(state):
    """Make a trigger on the ledger job, as a triggerer of Airflow 3.3 does."""

    def trigger(**arguments):
        trigger = DataRecsRunTrigger(job_id="job_ledger", workspace_id="ws_production", **arguments)
        trigger.asset_state_store = state
        return trigger

    return trigger


@contextlib.asynccontextmanager
async def listening(*triggers):
    """Collect the payloads of triggers, each in a list of its own, while they run."""

    async def collect(trigger, payloads):
        async for event in trigger.run():
            payloads.append(event.payload)

    lists = [[] for _ in triggers]
    work = [asyncio.ensure_future(collect(*each)) for each in zip(triggers, lists)]
    try:
        yield lists
    finally:
        for one in work:
            one.cancel()
        await asyncio.wait(work)


def ids(payloads):
    return [payload["run_id"] for payload in payloads]


def test_each_run_that_ends_is_told_once(hasty, trigger, start):
    async def tell():
        start(1.0)
        await asyncio.sleep(5.0)  # which has ended before
        async with listening(trigger()) as (payloads,):
            going = start(20.0)
            await asyncio.sleep(100.0)
            new = [start(20.0), start(10.0)]
            await asyncio.sleep(200.0)
            return going, new, payloads

    going, (later, sooner), payloads = hasty.run(tell())
    assert ids(payloads) == [going, sooner, later]
    assert payloads[0] == {
        "job_id": "job_ledger",
        "workspace_id": "ws_production",
        "run_id": going,
        "status": "COMPLETED",
        "agreed": None,
        "result": payloads[0]["result"],
    }
    assert payloads[0]["result"]["rows_processed"] is not None


def test_of_runs_that_end_together_each_is_told_alone_and_kept(hasty, trigger, start, state):
    told_at = []

    async def tell():
        loop = asyncio.get_running_loop()

        async def listen():
            async for event in trigger().run():
                kept = list(state.kept[STATE_KEY]["told"])
                told_at.append((loop.time(), event.payload["run_id"], kept))

        work = asyncio.ensure_future(listen())
        await asyncio.sleep(5.0)
        started = [start() for _ in range(3)]
        await asyncio.sleep(200.0)
        work.cancel()
        return started

    started = hasty.run(tell())
    times, run_ids, kept = zip(*told_at)
    assert sorted(run_ids) == sorted(started)
    # Airflow keeps an event back that comes before it has started the DAG for the one before.
    assert all(later - earlier >= 5.0 for earlier, later in zip(times, times[1:]))
    # A triggerer that is killed amid them tells the others alone.
    assert [run_id in before for run_id, before in zip(run_ids, kept[1:])] == [True, True]


def test_only_the_statuses_that_are_wanted_are_told(hasty, trigger, start):
    async def tell():
        async with listening(trigger(), trigger(statuses=["FAILED", "CANCELLED"])) as both:
            await asyncio.sleep(5.0)
            started = [start(status="FAILED"), start(), start(status="CANCELLED")]
            await asyncio.sleep(200.0)
            return started, [ids(payloads) for payloads in both]

    (failed, completed, cancelled), told = hasty.run(tell())
    assert [told[0], sorted(told[1])] == [[completed], [failed, cancelled]]


def test_where_there_are_limits_only_runs_whose_data_agree_are_told(hasty, trigger, start):
    async def tell():
        async with listening(trigger(max_unmatched_ratio=0.01)) as (payloads,):
            await asyncio.sleep(5.0)
            start(rows_processed=100, rows_matched=98, rows_unmatched=2)
            agreeing = start(rows_processed=100, rows_matched=99, rows_unmatched=1)
            await asyncio.sleep(200.0)
            return agreeing, payloads

    agreeing, payloads = hasty.run(tell())
    assert [(payload["run_id"], payload["agreed"]) for payload in payloads] == [(agreeing, True)]


def test_a_restart_loses_no_run_and_tells_of_none_twice(hasty, trigger, start, state):
    async def tell():
        async with listening(trigger()) as (before,):
            await asyncio.sleep(5.0)
            first = start()
            await asyncio.sleep(200.0)
        away = start()
        await asyncio.sleep(200.0)
        async with listening(trigger()) as (after,):
            await asyncio.sleep(100.0)
            last = start()
            await asyncio.sleep(200.0)
        return [first], ids(before), [away, last], ids(after)

    first, before, rest, after = hasty.run(tell())
    assert (before, after) == (first, rest)
    assert set(state.kept[STATE_KEY]["told"]) >= {*first, *rest}


def test_a_run_that_goes_on_through_a_restart_behind_newer_ones_is_told(
    simulator, hasty, trigger, start, state
):
    simulator.world.behaviour.page_size = 20

    async def tell():
        long = start(600.0)
        async with listening(trigger()):
            await asyncio.sleep(10.0)
            for _ in range(30):
                start(1.0)
            await asyncio.sleep(400.0)
        async with listening(trigger()) as (after,):
            await asyncio.sleep(600.0)
            return long, ids(after)

    long, told = hasty.run(tell())
    assert told == [long]


def test_a_run_that_goes_on_behind_newer_ones_at_first_is_told(simulator, hasty, trigger, start):
    simulator.world.behaviour.page_size = 20

    async def tell():
        long = start(600.0)
        for _ in range(15):
            start(1.0)
        await asyncio.sleep(5.0)
        for _ in range(10):
            start(60.0)
        async with listening(trigger()) as (payloads,):
            await asyncio.sleep(900.0)
            return long, ids(payloads)

    long, told = hasty.run(tell())
    assert told[-1] == long
    assert len(told) == 11


def test_a_run_that_is_deleted_while_it_goes_on_is_asked_for_no_more(simulator, hasty, trigger, start):
    async def tell():
        async with listening(trigger()):
            deleted = start(600.0)
            await asyncio.sleep(100.0)
            runs = simulator.world.runs[TargetKind.JOB]
            runs[:] = [run for run in runs if run.id != deleted]
            await asyncio.sleep(1000.0)
            return [seen for seen in simulator.requests if seen.path.endswith(deleted)]

    assert len(hasty.run(tell())) == 2  # the second confirms the first


def test_a_404_in_passing_loses_no_run(simulator, hasty, trigger, start):
    simulator.world.behaviour.page_size = 2

    async def tell():
        async with listening(trigger()) as (payloads,):
            await asyncio.sleep(5.0)
            long = start(600.0)
            simulator.faults.append(Fault(path=f"*/{long}", status=404))
            for _ in range(5):
                start(10.0)
                await asyncio.sleep(100.0)
            await asyncio.sleep(400.0)
            return long, ids(payloads)

    long, told = hasty.run(tell())
    assert [seen.status for seen in simulator.requests if seen.path.endswith(long)][:2] == [404, 200]
    assert told[-1] == long


@pytest.fixture
def tell_of_many(simulator, hasty, trigger, start):
    """Start more runs than a page holds while somebody listens; give those, and those that are told."""

    def tell_of_many(*, seconds=500.0, just_before=lambda: None):
        simulator.world.behaviour.page_size = 20

        async def tell():
            start(1.0)
            await asyncio.sleep(5.0)
            async with listening(trigger()) as (payloads,):
                await asyncio.sleep(5.0)
                just_before()
                started = [start() for _ in range(70)]
                await asyncio.sleep(seconds)
                return started, ids(payloads)

        return hasty.run(tell())

    return tell_of_many


def test_more_runs_than_a_page_holds_are_all_told(tell_of_many):
    started, told = tell_of_many()
    assert sorted(told) == sorted(started)


def test_no_page_of_a_service_that_refuses_the_key_is_asked_of_the_new_one(simulator, connect, tell_of_many):
    def change_key():
        simulator.world.api_keys.append(ApiKey("new-key"))
        connect(simulator.url, password="new-key")
        simulator.faults.append(Fault(query="*cursor=*", times=1, status=401))

    started, told = tell_of_many(seconds=900.0, just_before=change_key)
    with_new_key = [seen for seen in simulator.requests if seen.headers["Authorization"] == "Bearer new-key"]
    assert "cursor" not in with_new_key[0].query
    assert 401 in [seen.status for seen in simulator.requests if "cursor" in seen.query]
    assert sorted(told) == sorted(started)


def test_a_run_that_newer_ones_push_off_the_page_is_told(simulator, hasty, trigger, start):
    simulator.world.behaviour.page_size = 20

    async def tell():
        async with listening(trigger()) as (payloads,):
            long = start(600.0)
            await asyncio.sleep(100.0)
            for _ in range(30):
                start(1.0)
            await asyncio.sleep(900.0)
            return long, ids(payloads)

    long, told = hasty.run(tell())
    assert told[-1] == long
    assert len(told) == len(set(told)) == 31


def test_what_cannot_be_seen_for_a_while_is_told_later(simulator, hasty, trigger, start):
    async def tell():
        async with listening(trigger()) as (payloads,):
            await asyncio.sleep(5.0)
            simulator.faults.append(Fault(status=503, times=5))
            started = start()
            await asyncio.sleep(1000.0)
            return started, ids(payloads)

    started, told = hasty.run(tell())
    assert told == [started]


def test_watchers_and_waits_on_a_job_share_its_list(simulator, hasty, trigger, start, trigger_for, event_of):
    async def tell():
        run_ids = [start(300.0) for _ in range(5)]
        simulator.requests.clear()
        async with listening(trigger(), trigger(statuses=["FAILED"])):
            waits = [
                event_of(trigger_for(one, seconds=1000.0, poke_interval=60.0), timeout=10**6)
                for one in run_ids
            ]
            await asyncio.gather(*waits)
        return len(simulator.requests)

    assert hasty.run(tell()) <= 8


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"job_id": "j", "job_group_id": "g"},
        {"job_id": ""},
        {"job_id": "j", "statuses": ["completed"]},
        {"job_id": "j", "max_unmatched_ratio": 5},
    ],
)
def test_what_cannot_be_right_is_refused_as_the_dag_is_parsed(arguments):
    with pytest.raises(ValueError, match=r"job_id|statuses|max_unmatched_ratio"):
        DataRecsRunTrigger(workspace_id="ws_production", **arguments)


def test_it_is_made_again_from_what_it_gives(trigger):
    path, arguments = trigger(statuses=("FAILED",), poke_interval=5.0).serialize()
    assert path == "airflow_provider_datarecs.triggers.run_ended.DataRecsRunTrigger"
    assert DataRecsRunTrigger(**arguments).serialize() == (path, arguments)
