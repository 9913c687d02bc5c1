"""A sensor in reschedule mode is a new object at each look; what it must remember, Airflow keeps."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
from airflow.models.dag import DAG

from airflow_provider_datarecs.compat import (
    AIRFLOW_VERSION,
    AirflowException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    first_reschedule,
)
from airflow_provider_datarecs.exceptions import DataRecsConfigException, DataRecsRunNotSeen
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Fault

pytestmark = pytest.mark.compat

if AIRFLOW_VERSION >= (3, 2):
    from airflow.sdk.exceptions import AirflowRescheduleException
else:
    from airflow.exceptions import AirflowRescheduleException


@pytest.fixture
def sensor(request):
    with DAG(dag_id=request.node.name, schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)):
        return JobRunSensor(
            task_id="wait",
            job_id="job_ledger",
            workspace_id="ws_production",
            run_id="no-such-run",
            deferrable=False,
            mode="reschedule",
            timeout=3600,
            retries=2,
        )


if AIRFLOW_VERSION >= (3, 0):

    @pytest.fixture
    def polled(ti, sensor):
        """Let the sensor's first look be some time ago, and give its context."""

        def polled(*seconds_ago):
            first = datetime.now(timezone.utc) - timedelta(seconds=seconds_ago[0]) if seconds_ago else None
            ti.get_first_reschedule_date = lambda context: first
            return {"ti": ti}

        return polled

else:

    @pytest.fixture
    def polled(airflow_db, sensor):
        """Let the sensor's looks be some time ago, and give its context."""
        from airflow.models.taskreschedule import TaskReschedule
        from airflow.utils.session import create_session
        from airflow.utils.state import DagRunState

        def polled(*seconds_ago, max_tries=2, try_number=1):
            sensor.dag.sync_to_db()
            now = datetime.now(timezone.utc)
            run = sensor.dag.create_dagrun(
                run_id="manual", execution_date=now, state=DagRunState.RUNNING, data_interval=(now, now)
            )
            ti = run.get_task_instance("wait")
            ti.max_tries = max_tries
            task = {"task": sensor} if AIRFLOW_VERSION < (2, 10) else {"task_id": "wait", "dag_id": ti.dag_id}
            one = {"run_id": "manual", "end_date": now, "reschedule_date": now, **task}
            with create_session() as session:
                for ago in seconds_ago:
                    moment = now - timedelta(seconds=ago)
                    session.add(TaskReschedule(try_number=try_number, start_date=moment, **one))
            return {"ti": ti}

        return polled

    def test_looks_from_before_a_clear_do_not_count(sensor, polled):
        # A clear after the first try grants all retries anew, and keeps the rows of that try.
        assert first_reschedule(sensor, polled(90, max_tries=3)) is None

    def test_a_first_try_that_failed_before_it_looked_leaves_the_next_one_to_count(sensor, polled):
        found = first_reschedule(sensor, polled(90, try_number=2))
        assert found == pytest.approx(time.time() - 90, abs=20)


def test_before_the_first_look_there_is_none(sensor, polled):
    assert first_reschedule(sensor, polled()) is None


def test_the_first_look_of_several_counts(sensor, polled):
    found = first_reschedule(sensor, polled(90, 60, 30))
    assert found == pytest.approx(time.time() - 90, abs=20)


def test_a_run_that_is_not_visible_yet_is_waited_for(simulator, sensor, polled):
    with pytest.raises(AirflowRescheduleException):
        sensor.execute(polled(20))
    assert len(simulator.requests) == 1


def test_a_run_that_stays_unknown_fails_a_minute_after_the_first_look_of_all(simulator, sensor, polled):
    with pytest.raises(AirflowException, match="Resource not found: run 'no-such-run'"):
        sensor.execute(polled(90))


def test_a_connection_that_cannot_be_read_before_the_first_look_ends_the_wait(sensor, polled):
    with pytest.raises(AirflowNotFoundException, match="Create connection 'datarecs_default'"):
        sensor.execute(polled())


def test_one_that_cannot_be_read_later_is_a_failed_look(
    simulator, sensor, polled, monkeypatch, caplog, capsys
):
    monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")  # as where a secrets backend is away
    with pytest.raises(AirflowRescheduleException):
        sensor.execute(polled(20))
    assert simulator.requests == []
    told = caplog.text + capsys.readouterr().out  # the latter on Airflow 3
    assert "Cannot be seen since" in told
    assert "Airflow could not give connection 'datarecs_default'" in told


def test_one_that_cannot_be_right_later_ends_the_wait(connect, sensor, polled):
    connect("ftp://api.test")
    with pytest.raises(DataRecsConfigException, match="neither http nor https"):
        sensor.execute(polled(20))


def test_one_that_cannot_be_read_at_the_end_leaves_the_run_unseen(simulator, sensor, polled, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_DATARECS_DEFAULT")
    with pytest.raises(DataRecsRunNotSeen, match="Airflow could not give connection"):
        sensor.execute(polled(3700))


def test_the_timeout_counts_from_the_first_look_of_all_and_comes_after_a_last_look(simulator, sensor, polled):
    simulator.faults.append(Fault(times=None, status=503))
    with pytest.raises(AirflowSensorTimeout):
        sensor.execute(polled(3700))
    assert len(simulator.requests) == 1
