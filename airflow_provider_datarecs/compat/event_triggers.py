"""What differs between Airflow versions for triggers that make the events of assets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_datarecs.compat import AIRFLOW_VERSION

__all__ = ["BaseEventTrigger", "asset_state"]

if TYPE_CHECKING or AIRFLOW_VERSION >= (3, 0):
    from airflow.triggers.base import BaseEventTrigger
else:  # where no trigger can update an asset
    from airflow.triggers.base import BaseTrigger as BaseEventTrigger


def asset_state(trigger: Any) -> Any:
    """
    Give the store of the asset that a trigger is watched for, with ``aget`` and ``aset``, None before 3.3.

    :param trigger: a trigger that makes events for assets
    """
    stores = getattr(trigger, "asset_state_store", None)
    if stores is None:
        return None
    # One trigger may be watched for several assets; nothing public gives the store of one of them.
    by_name: dict[str, Any] = getattr(stores, "_by_name", {})
    return by_name[min(by_name)] if by_name else None
