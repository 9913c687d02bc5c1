"""What Airflow's providers manager is told of this provider. Light, since every Airflow process loads it."""

from __future__ import annotations

from typing import Any

from airflow_provider_datarecs import __version__

CONN_TYPE = "datarecs"
HOOK_NAME = "DataRecs"
DEFAULT_CONN_ID = "datarecs_default"
CONFIG_SECTION = "datarecs"  # of airflow.cfg
HEARTBEAT_INTERVAL = ("heartbeat_interval", 900.0)  # option and default
FREEZE_WAITS = ("freeze_waits", 0.0)  # the same
WEBHOOKS = ("webhooks", "False")  # the same
END_FROM_TRIGGER = ("end_from_trigger", False)  # the same
START_FROM_TRIGGER = ("start_from_trigger", False)  # the same
RECONCILIATIONS_PAGE = ("reconciliations_page", "True")  # the same

CONN_FIELDS: dict[str, Any] = {
    "tenant": {
        "label": "Tenant",
        "description": "The tenant's slug; only for API keys that belong to several tenants",
        "schema": {"type": ["string", "null"]},
    },
    "allow_insecure_http": {
        "label": "Allow insecure HTTP",
        "description": "Send the API key over plain http to a host that is not this machine",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
    "console_url": {
        "label": "Console URL",
        "description": "Where you look at runs, for the link on the pages of tasks; default no link",
        "schema": {"type": ["string", "null"]},
    },
    "webhook_secret": {
        "label": "Webhook secret",
        "description": "With which DataRecs signs events; several with commas, while it changes",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "requests_per_minute": {
        "label": "Requests per minute",
        "description": "What DataRecs allows the API key, for all waits on it together; default 100",
        "schema": {"type": ["number", "null"]},
    },
    "share_left_free": {
        "label": "Share left free",
        "description": "The part of it, 0 to 0.9, that waits leave to operators; default 0.2",
        "schema": {"type": ["number", "null"]},
    },
    "max_concurrent_requests": {
        "label": "Max concurrent requests",
        "description": "How many requests of waits may be on their way at once; default 8",
        "schema": {"type": ["integer", "null"]},
    },
}


def ui_field_behaviour() -> dict[str, Any]:
    """
    Describe the standard fields of the connection form.

    Airflow 3.2 and later read it as it is, and never import the hook for it; the hook translates for earlier
    ones.
    """
    # Here, since Airflow asks for all this while it is being imported, perhaps by that very module.
    from airflow_provider_datarecs.compat.version import pages_test_no_connection_without_a_port

    hidden = ["schema", "login"]
    placeholders = {"host": "https://api.datarecs.io"}
    if pages_test_no_connection_without_a_port():
        placeholders["port"] = "443, or the one in Host; Test needs it"
    else:
        hidden.append("port")
    return {"hidden-fields": hidden, "relabeling": {"password": "API Key"}, "placeholders": placeholders}


def get_provider_info() -> dict[str, Any]:
    """Describe this provider to Airflow; the schema is ``provider_info.schema.json`` of each release."""
    return {
        "package-name": "apache-airflow-provider-datarecs",
        "name": "DataRecs",
        "description": "Start DataRecs data reconciliations, wait for them and act on their outcome.",
        "versions": [__version__],
        # Where the class is defined: Airflow 2 takes no other.
        "extra-links": ["airflow.provider.datarecs.links.run.DataRecsRunLink"],
        "cli": ["airflow.provider.datarecs.cli.get_commands"],
        "connection-types": [
            {
                "connection-type": CONN_TYPE,
                # Under airflow.provider (singular): from a distribution whose name starts with
                # "apache-airflow", Airflow accepts no class that lives elsewhere, and drops the connection
                # type with a mere warning.
                "hook-class-name": "airflow.provider.datarecs.hooks.datarecs.DataRecsHook",
                "hook-name": HOOK_NAME,
                "conn-fields": CONN_FIELDS,
                "ui-field-behaviour": ui_field_behaviour(),
            }
        ],
        "config": {
            CONFIG_SECTION: {
                "description": "Settings of the DataRecs provider for all of a deployment.",
                "options": {
                    HEARTBEAT_INTERVAL[0]: {
                        "description": (
                            "Seconds between two lines in the log of a task that waits for a run, while "
                            "nothing changes.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "300.0",
                        "default": str(HEARTBEAT_INTERVAL[1]),
                    },
                    FREEZE_WAITS[0]: {
                        "description": (
                            "How many waits a triggerer must have to call gc.freeze() after each full "
                            "garbage collection; 0 for never.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": "1000",
                        "default": "0",
                    },
                    WEBHOOKS[0]: {
                        "description": (
                            "Whether Airflow takes the events that DataRecs posts: True for all connections "
                            "that have a\nwebhook_secret, or the ids of some, with commas between them.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "datarecs_default",
                        "default": WEBHOOKS[1],
                    },
                    END_FROM_TRIGGER[0]: {
                        "description": (
                            "Whether waits whose run is COMPLETED end on the triggerer, without a worker, "
                            "unless their\ntask says otherwise.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": "True",
                        "default": str(END_FROM_TRIGGER[1]),
                    },
                    START_FROM_TRIGGER[0]: {
                        "description": (
                            "Whether waits begin on the triggerer, without a worker, unless their task says "
                            "otherwise;\nfrom Airflow 3.3 on.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": "True",
                        "default": str(START_FROM_TRIGGER[1]),
                    },
                    RECONCILIATIONS_PAGE[0]: {
                        "description": (
                            "Whether Airflow 3.1 and later show the page Reconciliations, below Browse.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": "False",
                        "default": RECONCILIATIONS_PAGE[1],
                    },
                },
            }
        },
    }
