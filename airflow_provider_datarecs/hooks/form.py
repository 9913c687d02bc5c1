"""The connection form of Airflow before 3.2; later ones read the provider info."""

from __future__ import annotations

from typing import Any

from airflow_provider_datarecs.provider_info import CONN_FIELDS


def form_widgets() -> dict[str, Any]:
    """Give the form fields for the connection's extras."""
    # Airflow 3 has neither package of its own, so they are imported only when it asks.
    from wtforms import BooleanField, PasswordField, StringField  # type: ignore[import-untyped]

    # Numbers are text here: Airflow 3.1 knows no decimal field, and an empty one must stay empty.
    kinds = {
        "boolean": BooleanField,
        "string": StringField,
        "number": StringField,
        "integer": StringField,
        "password": PasswordField,
    }
    return {
        name: kinds[conn_field["schema"].get("format", conn_field["schema"]["type"][0])](
            conn_field["label"], description=conn_field["description"]
        )
        for name, conn_field in CONN_FIELDS.items()
    }
