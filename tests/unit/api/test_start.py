"""One run for one start request, whatever is lost on the way."""

from __future__ import annotations

import time

import pytest

from airflow_provider_datarecs.api import contract, errors
from airflow_provider_datarecs.api import start as start_module
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.start import StartRequest, start_once
from airflow_provider_datarecs.simulator import Fault, Plan

LABEL = "dag.task start-1"
LOST = {"drop": "after"}
NEVER_CAME = {"drop": "before"}
OLD = 600.0  # seconds: before the DAG run, whatever the clocks say
BOTH_KINDS = pytest.mark.parametrize("target", ["job", "group"], indirect=True)


@pytest.fixture(autouse=True)
def runs_show_at_once(monkeypatch):
    monkeypatch.setattr(contract, "NOT_VISIBLE_GRACE", 0.0)


@pytest.fixture
def target(request, job):
    return request.getfixturevalue(getattr(request, "param", "job"))


@pytest.fixture
def start(server, client, target):
    """Start a run for a start request, where the first answers are spoilt."""

    async def start(*faults, label=LABEL, is_label_unique=True, sent_before=False, may_repeat=False):
        server.faults.extend(Fault(**{"method": "POST", **fault}) for fault in faults)
        request = StartRequest(key="start-1", label=label, is_label_unique=is_label_unique, since=time.time())
        sent_at = time.time() if sent_before else None
        return await start_once(client, target, request, sent_at=sent_at, may_repeat=may_repeat)

    return start


@pytest.fixture
def forgetful(world):
    """Let the service ignore the Idempotency-Key, as it may."""
    world.behaviour.honours_idempotency_key = False


def another_run(world, target, *, age=0.0, label=None):
    run = world.start_run(target.kind, world.owners[target.kind][target.id], label=label)
    for one in (run, *run.parts):
        one.created_at -= age
    return run.id


def calls(server, method):
    return [seen for seen in server.requests if seen.method == method]


def runs_of(world, target):
    return [run.id for run in world.runs[target.kind]]


async def test_an_answer_that_comes_needs_no_look(start, server, world, job):
    assert await start() == runs_of(world, job)[0]
    assert len(server.requests) == 1


@BOTH_KINDS
async def test_a_run_with_the_label_of_the_request_is_adopted(start, server, world, target, forgetful):
    another_run(world, target, label="of another task")
    run_id = await start(LOST)
    assert len(calls(server, "POST")) == 1
    (mine,) = [run.id for run in world.runs[target.kind] if run.label == LABEL]
    assert run_id == mine


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 502},
        {"status": 201, "body": "<html>"},
        {"status": 403, "body": "<html>"},
        {"status": 404, "body": "default backend - 404"},
        {"status": 401, "body": ""},
        {"status": 303, "headers": {"Location": "/login"}},
    ],
    ids=str,
)
async def test_an_answer_that_says_nothing_is_as_good_as_lost(start, server, world, job, fault):
    run_id = another_run(world, job, label=LABEL)  # as if by the request that is answered so
    assert await start(fault) == run_id
    assert len(calls(server, "POST")) == 1


async def test_a_label_that_others_may_have_proves_nothing(start, server, world, job):
    with pytest.raises(errors.RunMayHaveStarted) as caught:
        await start(LOST, is_label_unique=False)
    (run_id,) = runs_of(world, job)
    assert f"of its runs since then each could be it: {run_id!r}" in str(caught.value)
    assert f"a run begun after {time.strftime('%Y-%m-%dT', time.gmtime())}" in str(caught.value)
    assert f"with the label {LABEL!r}" in str(caught.value)
    assert "If there is none, clear the task" in str(caught.value)
    assert len(calls(server, "POST")) == 1


@BOTH_KINDS
@pytest.mark.parametrize("label", [LABEL, None])
async def test_a_history_without_a_new_run_proves_that_nothing_was_started(
    start, server, world, target, forgetful, label
):
    old = another_run(world, target, age=OLD, label=LABEL)
    run_id = await start(NEVER_CAME, NEVER_CAME, label=label)
    assert len(calls(server, "POST")) == 3
    assert {seen.headers["Idempotency-Key"] for seen in calls(server, "POST")} == {"start-1"}
    assert runs_of(world, target) == [old, run_id]


async def test_a_run_begun_within_the_skew_of_the_clocks_may_be_it(start, world, job):
    another_run(world, job, age=280.0)
    with pytest.raises(errors.RunMayHaveStarted, match="each could be it"):
        await start(NEVER_CAME)


async def test_a_run_that_has_not_begun_may_be_it(start, world, job):
    world.owners[TargetKind.JOB]["j1"].plan = Plan(queued=3600)
    another_run(world, job, age=OLD)
    with pytest.raises(errors.RunMayHaveStarted, match="each could be it"):
        await start(NEVER_CAME)


async def test_several_runs_with_the_label_are_not_chosen_from(start, world, job, forgetful):
    first = another_run(world, job, label=LABEL)
    with pytest.raises(errors.RunMayHaveStarted, match=f"several runs carry its label: .*{first}"):
        await start(LOST)


async def test_a_new_run_may_show_late(start, server, world, job, forgetful, monkeypatch):
    monkeypatch.setattr(contract, "NOT_VISIBLE_GRACE", 0.6)
    world.owners[TargetKind.JOB]["j1"].plan = Plan(hidden=0.3)
    run_id = await start(LOST)
    assert runs_of(world, job) == [run_id]
    assert len(calls(server, "GET")) == 2


@pytest.mark.parametrize(
    "before",
    [{"status": 429, "headers": {"Retry-After": "1"}}, {"method": "GET", "slow": 0.6}],
    ids=["the request waited for the limit", "the history took long to read"],
)
async def test_so_it_may_whatever_took_time_before(start, server, world, job, forgetful, monkeypatch, before):
    monkeypatch.setattr(contract, "NOT_VISIBLE_GRACE", 0.9)
    world.owners[TargetKind.JOB]["j1"].plan = Plan(hidden=0.6)
    run_id = await start(before, LOST)
    assert runs_of(world, job) == [run_id]
    assert len(calls(server, "GET")) == 2


@pytest.mark.parametrize("may_repeat", [False, True])
async def test_a_new_run_may_show_later_than_others_do(
    start, server, world, job, forgetful, monkeypatch, may_repeat
):
    monkeypatch.setattr(contract, "NOT_VISIBLE_GRACE", 0.6)
    other = another_run(world, job, label="of another task")
    world.owners[TargetKind.JOB]["j1"].plan = Plan(hidden=0.3)
    run_id = await start(LOST, may_repeat=may_repeat)
    assert runs_of(world, job) == [other, run_id]
    assert len(calls(server, "POST")) == 1


async def test_others_are_not_waited_for_where_no_label_can_tell(start, server, world, job, monkeypatch):
    monkeypatch.setattr(contract, "NOT_VISIBLE_GRACE", 600.0)
    another_run(world, job)
    with pytest.raises(errors.RunMayHaveStarted, match="each could be it"):
        await start(NEVER_CAME, is_label_unique=False)
    assert len(calls(server, "GET")) == 1


async def test_without_any_proof_it_is_sent_again_only_on_demand(start, server, world, job):
    run_id = await start(LOST, LOST, label=None, may_repeat=True)
    assert len(calls(server, "POST")) == 3
    assert runs_of(world, job) == [run_id]  # the service knows the Idempotency-Key


@pytest.mark.parametrize("status", [401, 403, 404, 422])
async def test_what_refuses_another_start_does_not_hide_that_the_first_may_have_worked(
    start, world, job, status
):
    refused = {"status": status, "times": None}
    with pytest.raises(errors.RunMayHaveStarted, match=r"each could be it: .*sent again, without success:"):
        await start(LOST, refused, label=None, may_repeat=True)
    assert len(runs_of(world, job)) == 1


async def test_what_refuses_a_start_is_told_as_such_once_the_first_is_proved_to_have_failed(
    start, world, job
):
    with pytest.raises(errors.Rejected, match="422"):
        await start(NEVER_CAME, {"status": 422, "times": None}, may_repeat=True)
    assert runs_of(world, job) == []


async def test_answers_that_are_always_lost_end_the_task_with_what_is_known(start, server, world, job):
    with pytest.raises(errors.NothingStarted, match=r"as its run history shows: .*503"):
        await start({"status": 503, "times": None})
    assert len(calls(server, "POST")) == 3
    assert runs_of(world, job) == []


@pytest.mark.parametrize("status", [401, 403, 404, 422])
async def test_a_history_that_something_else_refuses_proves_nothing(start, server, status):
    gateway = {"method": "GET", "status": status, "body": "<html>", "times": None}
    with pytest.raises(errors.RunMayHaveStarted, match=rf"its run history cannot be read \(.*{status}"):
        await start(LOST, gateway)
    assert len(calls(server, "POST")) == 1


async def test_a_history_that_cannot_be_read_proves_nothing(start, server):
    with pytest.raises(errors.RunMayHaveStarted, match=r"its run history cannot be read \(.*500"):
        await start(LOST, {"method": "GET", "status": 500, "times": None})
    assert len(calls(server, "POST")) == 1


KEY_IN_PROGRESS = {"status": 409, "body": {"message": "A request with this Idempotency-Key is in progress"}}
CONFLICT = {"status": 409, "body": {"message": "conflict"}}


class TestConflict:
    """A 409: the job cannot be run now, or an earlier request is still being carried out."""

    async def test_a_key_in_progress_is_as_good_as_a_lost_answer(self, start, server, world, job):
        run_id = await start({**KEY_IN_PROGRESS, "carry_out": True})
        assert runs_of(world, job) == [run_id]
        assert len(calls(server, "POST")) == 1

    @pytest.mark.parametrize(
        "body",
        [
            KEY_IN_PROGRESS["body"],
            {"error_code": "IDEMPOTENCY_CONFLICT", "message": "try later"},
            {"errors": [{"field": "header", "message": "the key is in use"}]},
        ],
    )
    async def test_without_a_proof_a_key_in_progress_is_uncertain(self, start, server, world, job, body):
        with pytest.raises(errors.RunMayHaveStarted, match="409"):
            await start({"status": 409, "body": body, "carry_out": True}, label=None)
        assert len(runs_of(world, job)) == len(calls(server, "POST")) == 1

    async def test_a_key_in_progress_that_leads_to_nothing_is_sent_again(self, start, server, world, job):
        assert [await start(KEY_IN_PROGRESS)] == runs_of(world, job)
        assert len(calls(server, "POST")) == 2

    async def test_any_other_conflict_means_that_nothing_was_started(self, start, server):
        with pytest.raises(errors.Rejected, match="409: conflict"):
            await start(CONFLICT)
        assert len(server.requests) == 1

    async def test_any_conflict_with_a_request_before_is_looked_for(self, start, server, world, job):
        run_id = await start(NEVER_CAME, {**CONFLICT, "carry_out": True})
        assert runs_of(world, job) == [run_id]
        assert [seen.method for seen in server.requests] == ["POST", "GET", "POST", "GET"]

    async def test_any_conflict_with_an_earlier_try_is_looked_for(self, start, server, world, job):
        run_id = await start({**CONFLICT, "carry_out": True}, sent_before=True)
        assert runs_of(world, job) == [run_id]
        assert [seen.method for seen in server.requests] == ["GET", "POST", "GET"]

    async def test_a_conflict_that_lasts_says_that_nothing_was_started(self, start, world, job):
        with pytest.raises(errors.NothingStarted, match=r"as its run history shows: .*409: conflict"):
            await start({**CONFLICT, "times": None}, sent_before=True)
        assert runs_of(world, job) == []


class TestAfterAnEarlierTry:
    """The task is retried, and nobody knows whether its earlier try sent the request."""

    async def test_its_run_is_adopted(self, start, server, world, job):
        run_id = another_run(world, job, label=LABEL)
        assert await start(sent_before=True) == run_id
        assert calls(server, "POST") == []

    async def test_nothing_is_sent_where_another_run_could_be_its(self, start, server, world, job):
        run_id = another_run(world, job)
        with pytest.raises(errors.RunMayHaveStarted, match=f"an earlier try of this task may .*{run_id}"):
            await start(sent_before=True)
        assert calls(server, "POST") == []

    async def test_it_is_sent_again_on_demand(self, start, server, world, job):
        another_run(world, job)
        assert await start(sent_before=True, may_repeat=True) == runs_of(world, job)[-1]

    async def test_a_history_without_a_new_run_lets_it_start(self, start, world, job):
        assert await start(sent_before=True) == runs_of(world, job)[0]

    async def test_a_history_that_is_refused_proves_nothing(self, start, server):
        with pytest.raises(errors.RunMayHaveStarted, match=r"its run history is refused .*403"):
            await start({"method": "GET", "status": 403}, sent_before=True)

    @pytest.mark.parametrize(
        "fault", [{"status": 503}, {"status": 403, "body": "<html>"}, {"status": 302}], ids=str
    )
    async def test_an_outage_is_left_to_the_next_try(self, start, server, fault):
        with pytest.raises(errors.DataRecsError, match="Nothing was started in this try") as caught:
            await start({"method": "GET", "times": None, **fault}, sent_before=True)
        assert type(caught.value) is errors.DataRecsError
        assert calls(server, "POST") == []

    async def test_a_refused_key_is_told_as_such(self, start, server):
        with pytest.raises(errors.Unauthorized, match=r"whether an earlier try .* could not be seen"):
            await start({"method": "GET", "status": 401}, sent_before=True)

    @pytest.mark.parametrize("status", [401, 403, 404, 422])
    async def test_what_refuses_another_start_does_not_hide_that_there_may_be_a_run(
        self, start, world, job, status
    ):
        run_id = another_run(world, job)
        refused = {"status": status, "times": None}
        with pytest.raises(errors.RunMayHaveStarted, match=f"each could be it: {run_id!r}.*without success:"):
            await start(refused, sent_before=True, may_repeat=True)


def page(*runs, cursor=None):
    """Spoil a list of runs: what they are and when they began, in seconds before now."""
    items = [
        {"id": run_id, "status": "RUNNING", "started_at": contract_time(time.time() - age)}
        for run_id, age in runs
    ]
    return {"method": "GET", "status": 200, "body": {"items": items, "next_cursor": cursor}}


def contract_time(moment):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


class TestPages:
    async def test_older_pages_are_left_alone_while_runs_come_newest_first(self, start, server):
        await start(NEVER_CAME, page(("r9", 700), ("r8", 800), cursor="2"))
        assert len(calls(server, "GET")) == 1

    async def test_a_history_in_another_order_is_read_to_its_end(self, start, server):
        with pytest.raises(errors.RunMayHaveStarted, match="each could be it: 'r3'"):
            await start(NEVER_CAME, page(("r1", 900), ("r2", 800), cursor="2"), page(("r3", 10)))
        assert len(calls(server, "GET")) == 2

    async def test_one_run_shows_no_order(self, start, server):
        with pytest.raises(errors.RunMayHaveStarted, match="each could be it: 'r2'"):
            await start(NEVER_CAME, page(("r1", 900), cursor="2"), page(("r2", 10)))

    async def test_an_empty_page_that_names_another_does_not_end_a_history(self, start, server, world, job):
        mine = another_run(world, job, label=LABEL)
        assert await start(NEVER_CAME, page(cursor="0")) == mine
        assert len(calls(server, "GET")) == 2
        assert len(calls(server, "POST")) == 1

    async def test_a_run_on_two_pages_is_one_run(self, start, server, world, job):
        mine = another_run(world, job, label=LABEL)
        (shown,) = [world.show(job.kind, run) for run in world.runs[job.kind]]
        twice = {"method": "GET", "status": 200, "body": {"items": [shown], "next_cursor": "0"}}
        assert await start(NEVER_CAME, twice) == mine
        assert len(calls(server, "GET")) == 2

    async def test_a_run_of_this_request_without_an_id_is_not_adopted(self, start, server):
        nameless = {"method": "GET", "status": 200, "body": [{"run_label": LABEL}]}
        with pytest.raises(errors.RunMayHaveStarted, match="each could be it: one without an id"):
            await start(NEVER_CAME, nameless)

    async def test_a_run_of_this_request_is_adopted_by_the_id_that_a_start_gives(self, start, server):
        two_ids = {"method": "GET", "status": 200, "body": [{"id": 7, "run_id": "r1", "run_label": LABEL}]}
        assert await start(NEVER_CAME, two_ids) == "r1"

    async def test_a_history_with_ever_new_pages_proves_nothing(self, start, server, monkeypatch):
        monkeypatch.setattr(start_module, "MAX_PAGES", 3)
        pages = [page(cursor=str(number)) for number in range(5)]
        with pytest.raises(errors.RunMayHaveStarted, match="cannot be read to the end"):
            await start(NEVER_CAME, *pages)
        assert len(calls(server, "GET")) == 3

    async def test_pages_without_end_prove_nothing(self, start, server):
        same = page(("r1", 900), ("r2", 900), cursor="2")
        with pytest.raises(errors.RunMayHaveStarted, match="cannot be read to the end"):
            await start(NEVER_CAME, {**same, "times": None})
        assert len(calls(server, "GET")) == 2

    async def test_a_run_without_an_id_may_be_it(self, start, server):
        nameless = {"method": "GET", "status": 200, "body": [{"run_label": LABEL}]}
        with pytest.raises(errors.RunMayHaveStarted, match="each could be it: one without an id"):
            await start(NEVER_CAME, nameless, is_label_unique=False)
