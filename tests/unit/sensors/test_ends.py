"""Every end of a wait is the same in every mode: same exception, same message, same skip."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
import time
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import (
    AIRFLOW_VERSION,
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_provider_datarecs.exceptions import (
    DataRecsConfigException,
    DataRecsRunCancelled,
    DataRecsRunFailed,
    DataRecsRunNotSeen,
)
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Fault, Plan

pytestmark = pytest.mark.compat

if AIRFLOW_VERSION >= (3, 2):
    from airflow.sdk.exceptions import TaskDeferred
else:
    from airflow.exceptions import TaskDeferred

GOES_ON = Plan(queued=0, running=3600)
DONE = Plan(queued=0, running=0)
DEFERRED, POKE, RESCHEDULE = "deferred", "poke", "reschedule"

# The run's plan, what goes wrong, the sensor's timeout, how it ends and with what words.
ENDS = {
    "failed": (
        Plan(queued=0, running=0, status="FAILED", error="disk full"),
        None,
        60,
        DataRecsRunFailed,
        "^FAILED: run 'RUN' of job 'job_ledger' in workspace 'ws_production'. Error: disk full",
    ),
    "cancelled": (
        Plan(queued=0, running=0, status="CANCELLED"),
        None,
        60,
        DataRecsRunCancelled,
        "^CANCELLED: run 'RUN' of job 'job_ledger' in workspace 'ws_production'. Error: none given",
    ),
    "timeout": (
        GOES_ON,
        None,
        0.2,
        AirflowSensorTimeout,
        r"^RUNNING, and did not finish within T \(the task's timeout\): run 'RUN' of job",
    ),
    "not seen": (
        GOES_ON,
        {"status": 503},
        0.2,
        DataRecsRunNotSeen,
        "could not be seen for the last T, .*unknown; look at DataRecs",
    ),
    "not its own": (
        GOES_ON,
        {"status": 404, "body": "default backend - 404"},
        0.2,
        DataRecsRunNotSeen,
        "could not be seen for the last T, .*default backend - 404.*unknown; look at DataRecs",
    ),
    "revoked": (GOES_ON, {"status": 401}, 60, DataRecsConfigException, "Invalid or expired API key"),
    "forbidden": (GOES_ON, {"status": 403}, 60, AirflowFailException, "lacks the permission"),
}
EACH_END = pytest.mark.parametrize("name", ENDS)


@pytest.fixture
def end_of(airflow_db, simulator, connect, ti, context, polling_config):
    """Wait in a mode until the end, and give the exception that it is, or the result."""
    simulator.world.rate_limit.requests = 10**6
    connect(simulator.url, extra={"requests_per_minute": 10**6})  # no pace to wait for
    polling_config(min_poke_interval=0.0)
    ti.start_date = datetime.now(timezone.utc)

    async def event_of(trigger):
        (event,) = [event async for event in trigger.run()]
        return event.payload

    def wait(sensor):
        try:
            return sensor.execute(context)
        except TaskDeferred as deferred:
            event = asyncio.run(event_of(deferred.trigger))
            return sensor.resume_execution(deferred.method_name, {"event": event}, context)

    def end_of(plan, mode, fault=None, **more):
        job = simulator.world.owners[TargetKind.JOB]["job_ledger"]
        job.plan = plan
        run_id = simulator.world.start_run(TargetKind.JOB, job).id
        simulator.faults[:] = [Fault(times=None, method="GET", **fault)] if fault else []
        sensor = JobRunSensor(
            task_id="wait",
            job_id="job_ledger",
            workspace_id="ws_production",
            run_id=run_id,
            deferrable=mode == DEFERRED,
            mode=POKE if mode == DEFERRED else mode,
            **{"poke_interval": 0.1, **more},
        )
        try:
            return wait(sensor)
        except BaseException as error:  # noqa: BLE001 - they are what is tested
            return error

    return end_of


def words_of(error):
    """Give a message without what differs from run to run, and without the request that it names."""
    words = re.sub(r"run_\d+", "RUN", re.sub(r" \(GET [^)]*\)", "", str(error)))
    return re.sub(r"\d+:\d\d:\d\d", "T", words)


@EACH_END
def test_an_end_is_the_same_deferred_and_without(end_of, name):
    plan, fault, timeout, kind, words = ENDS[name]
    ends = [end_of(plan, mode, fault, timeout=timeout) for mode in (DEFERRED, POKE)]
    assert [type(end) for end in ends] == [kind, kind]
    (said,) = set(map(words_of, ends))
    assert re.search(words, said)


@pytest.mark.parametrize("mode", [DEFERRED, POKE, RESCHEDULE])
@EACH_END
def test_whatever_a_wait_ends_with_its_task_says_whose_run_it_was(end_of, ti, name, mode):
    if mode == RESCHEDULE and name in ("timeout", "not seen", "not its own"):
        pytest.skip("ends in a later process")
    plan, fault, timeout, _, _ = ENDS[name]
    end = end_of(plan, mode, fault, timeout=timeout)
    known = ti.xcoms["run_result"]
    assert (known["job_id"], known["workspace_id"]) == ("job_ledger", "ws_production")
    shown = {"failed": "FAILED", "cancelled": "CANCELLED", "timeout": "RUNNING"}
    assert known["status"] == shown.get(name, "")
    assert known["error"] == ("disk full" if name == "failed" else None)
    if name in ("failed", "cancelled"):
        assert (end.result, end.run_id, end.status) == (known, known["run_id"], known["status"])


@pytest.mark.parametrize("name", ["failed", "cancelled", "revoked", "forbidden"])
def test_an_end_is_the_same_in_reschedule_mode(end_of, name):
    plan, fault, timeout, kind, _ = ENDS[name]
    ends = [end_of(plan, mode, fault, timeout=timeout) for mode in (POKE, RESCHEDULE)]
    assert [type(end) for end in ends] == [kind, kind]
    assert len(set(map(words_of, ends))) == 1


@EACH_END
@pytest.mark.parametrize("mode", [DEFERRED, POKE])
def test_an_end_does_not_lead_back_to_itself(end_of, name, mode):
    plan, fault, timeout, _, _ = ENDS[name]
    pending, seen = [end_of(plan, mode, fault, timeout=timeout)], []
    while pending:
        error = pending.pop()
        assert error not in seen
        seen.append(error)
        pending += {error.__cause__, error.__context__} - {None}


FLAGS = ["soft_fail", "never_fail"] if AIRFLOW_VERSION >= (2, 10) else ["soft_fail"]


@EACH_END
@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("mode", [DEFERRED, POKE])
def test_soft_fail_and_never_fail_skip_on_every_end_and_the_log_says_which(
    end_of, caplog, capfd, name, flag, mode
):
    plan, fault, timeout, _, words = ENDS[name]
    end = end_of(plan, mode, fault, timeout=timeout, **{flag: True})
    assert isinstance(end, AirflowSkipException)
    assert re.search(words, words_of(end))
    told = caplog.text + "".join(capfd.readouterr())
    assert "The task is skipped where it would fail" in told


@pytest.mark.parametrize("mode", [DEFERRED, POKE, RESCHEDULE])
def test_soft_fail_leaves_a_completed_run_a_success(end_of, mode):
    assert end_of(DONE, mode, soft_fail=True)["status"] == "COMPLETED"


@pytest.mark.parametrize("name", ["failed", "cancelled", "revoked", "forbidden"])
@pytest.mark.parametrize("mode", [DEFERRED, POKE, RESCHEDULE])
def test_silent_fail_swallows_no_end_of_a_run(end_of, name, mode):
    plan, fault, _, kind, _ = ENDS[name]
    assert type(end_of(plan, mode, fault, timeout=5, silent_fail=True)) is kind


@pytest.mark.parametrize("soft_fail", [False, True])
def test_the_execution_timeout_ends_a_deferred_wait_with_what_is_known(end_of, soft_fail):
    # All of it, or half where some is left for the task to resume in.
    end = end_of(GOES_ON, DEFERRED, execution_timeout=timedelta(seconds=1.3), soft_fail=soft_fail)
    assert isinstance(end, AirflowSkipException if soft_fail else AirflowTaskTimeout)
    assert "RUNNING, and did not finish within 0:00:01 (the task's execution_timeout)" in str(end)


def test_an_execution_timeout_after_the_timeout_does_not_count(end_of):
    end = end_of(GOES_ON, DEFERRED, timeout=0.2, execution_timeout=timedelta(hours=1))
    assert type(end) is AirflowSensorTimeout


@contextlib.contextmanager
def airflow_times_out(seconds):
    """Interrupt a task as Airflow does when its execution_timeout is over."""

    def over(number, frame):
        raise AirflowTaskTimeout(f"Timeout, PID: {number}")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("soft_fail", [False, True])
def test_the_execution_timeout_ends_a_poking_task_with_the_same_words(end_of, ti, soft_fail):
    began = time.monotonic()
    with airflow_times_out(1.0):
        end = end_of(GOES_ON, POKE, poke_interval=600, soft_fail=soft_fail)
    assert time.monotonic() - began < 60
    assert ti.xcoms["run_result"]["status"] == "RUNNING"
    assert isinstance(end, AirflowSkipException if soft_fail else AirflowTaskTimeout)
    assert "RUNNING, and did not finish within 0:00:01 (the task's execution_timeout)" in str(end)


def test_a_deferral_that_no_triggerer_ended_says_so(simulator, context):
    sensor = JobRunSensor(task_id="wait", job_id="j", workspace_id="w", run_id="r")
    reason = "Trigger timeout" if AIRFLOW_VERSION >= (3, 0) else "Trigger/execution timeout"
    with pytest.raises(AirflowSensorTimeout, match="no triggerer has ended this wait in time"):
        sensor.resume_execution("__fail__", {"error": reason}, context)


def test_a_trigger_that_failed_fails_the_task(simulator, context, caplog):
    caplog.set_level(logging.ERROR)
    sensor = JobRunSensor(task_id="wait", job_id="j", workspace_id="w", run_id="r")
    with pytest.raises(AirflowException, match="Trigger failure"):
        sensor.resume_execution("__fail__", {"error": "Trigger failure"}, context)
