"""What a sensor that waits in its own process looks at twice before it ends."""

from __future__ import annotations

import contextlib
import json

import pytest

from airflow_provider_datarecs.api.client import DataRecsClient
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AirflowException, AirflowSensorTimeout, AirflowTaskTimeout
from airflow_provider_datarecs.exceptions import DataRecsRunNotSeen
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.polling.client import BlockingPoller
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import ApiKey, Fault, Plan, Simulator

DONE = Plan(queued=0, running=0)
GOES_ON = Plan(queued=0, running=36_000)


@pytest.fixture(autouse=True)
def no_floor(polling_config):
    polling_config(min_poke_interval=0.0)


@pytest.fixture(params=["poke", "reschedule"])
def sensor(request, airflow_db):
    """Make a sensor that waits in its process."""

    def sensor(run_id, timeout=3600.0):
        ids = {"job_id": "job_ledger", "workspace_id": "ws_production", "run_id": run_id}
        more = {"deferrable": False, "mode": request.param, "poke_interval": 0.01}
        return JobRunSensor(task_id="wait", timeout=timeout, **ids, **more)

    return sensor


@pytest.mark.parametrize(("status", "times"), [(400, 1), (401, 1), (401, 2), (403, 1), (404, 1), (422, 1)])
def test_what_is_refused_for_a_moment_ends_nothing(
    simulator, sensor, context, started, status, times, monkeypatch
):
    monkeypatch.setattr("airflow_provider_datarecs.api.contract.NOT_VISIBLE_GRACE", 0.0)
    run_id = started(DONE)
    simulator.faults.append(Fault(times=times, status=status, body={"message": "no"}))
    assert sensor(run_id).execute(context)["status"] == "COMPLETED"
    assert len(simulator.requests) == times + 1


@pytest.mark.parametrize(("status", "polls"), [(400, 2), (401, 3), (403, 2), (422, 2)])
def test_what_is_refused_again_ends_the_wait(simulator, sensor, context, started, status, polls):
    run_id = started(DONE)
    simulator.faults.append(Fault(times=None, status=status, body={"message": "no"}))
    with pytest.raises(AirflowException, match=r"no|Invalid or expired API key"):
        sensor(run_id).execute(context)
    assert len(simulator.requests) == polls


@pytest.mark.parametrize("refusal", ["unknown there", "key refused there"])
def test_what_confirms_is_asked_on_the_connection_as_it_is_then(
    simulator, sensor, connect, context, started, refusal, monkeypatch
):
    started(GOES_ON)
    monkeypatch.setattr("airflow_provider_datarecs.api.contract.NOT_VISIBLE_GRACE", 0.0)
    with Simulator() as other:
        job = other.world.owners[TargetKind.JOB]["job_ledger"]
        job.plan = DONE
        run_id = [other.world.start_run(TargetKind.JOB, job).id for _ in range(2)][-1]
        waiting = sensor(run_id)
        waiting.hook.read_settings()  # as an earlier look did
        connect(other.url)
        if refusal == "key refused there":
            simulator.world.api_keys[:] = [ApiKey("another")]
        assert waiting.execute(context)["status"] == "COMPLETED"


def test_while_the_connection_cannot_be_read_nothing_is_confirmed(
    simulator, connect, context, started, monkeypatch
):
    run_id = started(DONE)
    where = {"job_id": "job_ledger", "workspace_id": "ws_production", "run_id": run_id}
    sensor = JobRunSensor(task_id="wait", deferrable=False, **where)
    content = {"conn_type": "datarecs", "host": simulator.url, "password": "demo-key"}
    simulator.faults.append(Fault(times=None, status=403, body={"message": "no"}))
    sensor.hook.read_settings()
    monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")
    assert [sensor.poke(context) for _ in range(3)] == [False] * 3
    monkeypatch.setenv("AIRFLOW_CONN_DATARECS_DEFAULT", json.dumps(content))
    simulator.faults.clear()
    assert sensor.poke(context).xcom_value["status"] == "COMPLETED"


def test_looks_that_fail_again_and_again_have_the_connection_read_anew(simulator, connect, context, started):
    started(DONE)
    with Simulator() as other:
        job = other.world.owners[TargetKind.JOB]["job_ledger"]
        job.plan = DONE
        run_id = other.world.start_run(TargetKind.JOB, job).id
        where = {"job_id": "job_ledger", "workspace_id": "ws_production", "run_id": run_id}
        sensor = JobRunSensor(task_id="wait", deferrable=False, **where)
        sensor.hook.read_settings()
        simulator.faults.append(Fault(times=None, status=503))
        connect(other.url)
        assert [sensor.poke(context) for _ in range(3)] == [False] * 3
        assert sensor.poke(context).xcom_value["status"] == "COMPLETED"


@pytest.fixture
def time_for_last_looks(polling_config):
    """Give last looks the time that even a busy machine needs for them."""
    polling_config(last_poll_within=60.0)


@pytest.mark.usefixtures("time_for_last_looks")
def test_a_run_that_ended_before_the_deadline_is_seen_behind_a_503(simulator, sensor, context, started):
    run_id = started(DONE)
    simulator.faults.append(Fault(times=3, status=503))
    assert sensor(run_id, timeout=0.0).execute(context)["status"] == "COMPLETED"
    assert len(simulator.requests) == 4


@pytest.mark.usefixtures("time_for_last_looks")
def test_a_429_at_the_deadline_is_waited_out_where_that_takes_no_longer_than_a_last_look_may(
    simulator, sensor, context, started, monkeypatch
):
    monkeypatch.setattr("airflow_provider_datarecs.api.retry.MIN_LIMIT_WAIT", 0.02)
    run_id = started(DONE)
    simulator.faults.append(Fault(status=429, headers={"Retry-After": "0"}))
    assert sensor(run_id, timeout=0.0).execute(context)["status"] == "COMPLETED"


def test_last_looks_that_all_fail_leave_the_fate_unknown(simulator, sensor, context, started):
    run_id = started(DONE)
    simulator.faults.append(Fault(times=None, status=503))
    with pytest.raises(DataRecsRunNotSeen, match="Whether it has ended is unknown"):
        sensor(run_id, timeout=0.0).execute(context)
    assert len(simulator.requests) > 2


def test_a_last_look_that_shows_the_run_going_on_is_the_last(simulator, sensor, context, started):
    run_id = started(GOES_ON)
    with pytest.raises(AirflowSensorTimeout, match=r"^RUNNING, and did not finish"):
        sensor(run_id, timeout=0.0).execute(context)
    assert len(simulator.requests) == 1


@contextlib.contextmanager
def surprise(error):
    """Let asking for a run raise something."""

    async def get_run(client, *_):
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DataRecsClient, "get_run", get_run)
        yield


@pytest.mark.parametrize(
    "error", [ValueError("demo-key"), RuntimeError("demo-key"), UnicodeError("demo-key")]
)
def test_what_nobody_foresaw_is_a_failed_look_with_its_traceback_in_the_log(
    context, started, caplog, capfd, error
):
    where = {"job_id": "job_ledger", "workspace_id": "ws_production", "run_id": started(DONE)}
    sensor = JobRunSensor(task_id="wait", deferrable=False, **where)
    with surprise(error):
        assert [sensor.poke(context) for _ in range(5)] == [False] * 5
    told = caplog.text + "".join(capfd.readouterr())
    assert f"{type(error).__name__}, which this provider did not foresee" in told
    assert "Traceback" in told
    assert "demo-key" not in told
    assert sensor.poke(context).xcom_value["status"] == "COMPLETED"


@pytest.mark.parametrize("error", [AirflowException("Task received SIGTERM signal"), AirflowTaskTimeout()])
def test_what_airflow_ends_a_task_with_is_no_failed_look(simulator, started, error):
    hook, run_id = DataRecsHook(), started(DONE)
    job = hook.target(TargetKind.JOB, "job_ledger", "ws_production")
    with surprise(error), pytest.raises(type(error)):
        BlockingPoller(hook).send(lambda client: client.get_run(job, run_id))
