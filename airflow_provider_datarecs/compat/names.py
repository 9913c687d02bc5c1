"""The classes that moved between Airflow 2.7 and 3.3, from where each keeps them without a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_datarecs.compat import AIRFLOW_VERSION

if TYPE_CHECKING or AIRFLOW_VERSION >= (3, 1):
    from airflow.sdk import (
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        PokeReturnValue,
        TaskGroup,
    )
elif AIRFLOW_VERSION >= (3, 0):
    from airflow.hooks.base import BaseHook
    from airflow.sdk import BaseOperator, BaseOperatorLink, BaseSensorOperator, PokeReturnValue, TaskGroup
else:
    from airflow.hooks.base import BaseHook
    from airflow.models.baseoperator import BaseOperator
    from airflow.sensors.base import BaseSensorOperator, PokeReturnValue
    from airflow.utils.task_group import TaskGroup

    if AIRFLOW_VERSION >= (2, 8):
        from airflow.models.baseoperatorlink import BaseOperatorLink
    else:
        from airflow.models.baseoperator import BaseOperatorLink

if TYPE_CHECKING or AIRFLOW_VERSION >= (3, 2):
    from airflow.exceptions import AirflowConfigException as _CoreConfigException
    from airflow.sdk.exceptions import AirflowConfigException as _SdkConfigException
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralError,
    )

    # Unrelated classes since 3.2; users catch either.
    CONFIG_EXCEPTIONS: tuple[type[Exception], ...] = (_CoreConfigException, _SdkConfigException)
else:
    from airflow.exceptions import (
        AirflowConfigException,
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralError,
    )

    CONFIG_EXCEPTIONS = (AirflowConfigException,)

__all__ = [
    "CONFIG_EXCEPTIONS",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "PokeReturnValue",
    "TaskDeferralError",
    "TaskGroup",
]
