"""What is learned of a service outlives the waits that have shown it, and counts for no other service."""

from __future__ import annotations

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.polling import learned
from airflow_provider_datarecs.polling.durations import RunDurations
from airflow_provider_datarecs.simulator import Plan, Simulator

CONN_ID = "datarecs_default"
JOB = Target(TargetKind.JOB, "job_ledger", "ws_production")
DONE = Plan(queued=0, running=0)


@pytest.fixture(autouse=True)
def _nothing_learned(monkeypatch):
    monkeypatch.setattr(learned, "_by_conn_id", {})


def known_runs():
    """Give how many run times of the job are kept, and keep them."""
    known = learned.learned_of(CONN_ID)
    durations = known.recall(JOB)
    known.keep(JOB, durations)
    return 0 if durations is None else len(durations)


async def test_run_times_are_kept_when_the_last_wait_of_a_job_and_of_the_connection_ends(
    simulator, started, trigger_for, event_of
):
    for _ in range(3):
        started(DONE)
    await event_of(trigger_for(started(DONE)))
    assert known_runs() == 4
    await event_of(trigger_for(started(DONE)))
    assert known_runs() == 5


async def test_those_of_another_service_are_forgotten_although_nobody_waited_when_it_changed(
    simulator, connect, started, trigger_for, event_of, caplog
):
    for _ in range(3):
        started(DONE)
    await event_of(trigger_for(started(DONE)))
    with Simulator() as other:
        other.world.rate_limit.requests = 10**6
        connect(other.url)
        job = other.world.owners[TargetKind.JOB]["job_ledger"]
        job.plan = DONE
        run = other.world.start_run(TargetKind.JOB, job)
        assert (await event_of(trigger_for(run.id)))["outcome"] == "finished"
    assert known_runs() == 1
    assert "has changed" not in caplog.text  # while nobody waited, it is news to nobody


async def test_the_limit_is_known_to_the_next_wait(simulator, connect, started, trigger_for, event_of):
    simulator.world.rate_limit.requests = 5000
    connect(simulator.url, extra={"requests_per_minute": 100})
    await event_of(trigger_for(started(DONE)))
    assert learned.learned_of(CONN_ID).limits[100].limit == 5000


def test_the_jobs_that_nobody_has_waited_for_for_longest_are_forgotten_first(polling_config):
    polling_config(jobs_kept=2)
    known = learned.learned_of(CONN_ID)
    jobs = [Target(TargetKind.JOB, f"job_{number}", "w") for number in range(3)]
    for job in jobs:
        known.keep(job, RunDurations())
    assert [known.recall(job) is not None for job in jobs] == [False, True, True]
    known.keep(jobs[0], None)
    assert known.recall(jobs[0]) is None
