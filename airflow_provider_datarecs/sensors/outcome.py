"""Lets a wait end as its task wants it, in every mode and on every Airflow."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator

from airflow_provider_datarecs.compat import (
    AirflowException,
    AirflowRescheduleException,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_provider_datarecs.sensors.poke import WaitEnded

if TYPE_CHECKING:
    from airflow_provider_datarecs.compat import Context
    from airflow_provider_datarecs.sensors.base import RunSensor


@contextmanager
def outcome(sensor: RunSensor, context: Context) -> Iterator[None]:
    """
    Let every end but a COMPLETED skip the task where the user wants that, whatever Airflow does.

    :param sensor: the sensor
    :param context: the task's context
    """
    error: BaseException
    try:
        yield
    except WaitEnded as ended:
        error = ended.error
        ended.__cause__ = ended.__context__ = None  # Airflow 2.7 walks in circles otherwise
        if isinstance(error, AirflowSkipException):
            raise error from None
    except (AirflowSkipException, AirflowRescheduleException):
        raise
    except (AirflowException, AirflowTaskTimeout) as raised:
        error = raised
    else:
        return
    if isinstance(error, AirflowTaskTimeout) and sensor.in_process:
        error = AirflowTaskTimeout(sensor.in_process.timeout_message())
        sensor.push_result(context, sensor.in_process.nothing_ended())
    if sensor.soft_fail or getattr(sensor, "never_fail", False):  # the latter since Airflow 2.10
        sensor.log.error("The task is skipped where it would fail: %s", error)
        raise AirflowSkipException(str(error)) from None
    raise error from error.__cause__  # not in the context of what carried it here
