"""The connection form, as each Airflow gives it to its pages."""

from __future__ import annotations

import sys

import pytest
from airflow.providers_manager import ProvidersManager

from airflow_provider_datarecs.compat import AIRFLOW_VERSION

pytestmark = pytest.mark.compat

EXTRAS = {
    "tenant": "Tenant",
    "allow_insecure_http": "Allow insecure HTTP",
    "console_url": "Console URL",
    "webhook_secret": "Webhook secret",
    "requests_per_minute": "Requests per minute",
    "share_left_free": "Share left free",
    "max_concurrent_requests": "Max concurrent requests",
}

if AIRFLOW_VERSION >= (3, 0):

    @pytest.fixture
    def form(monkeypatch):
        """Ask as the API server does, which has stand-ins for the libraries of forms if they are missing."""
        from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

        monkeypatch.setattr(sys, "modules", dict(sys.modules))
        (found,) = (hook for hook in HookMetaService.hook_meta_data() if hook.connection_type == "datarecs")
        assert found.hook_name == "DataRecs"
        return found


if AIRFLOW_VERSION >= (3, 1):

    def test_the_fields_are_those_that_mean_something(form):
        fields = form.standard_fields
        assert fields.password.title == "API Key"
        assert fields.host.placeholder == "https://api.datarecs.io"
        assert (fields.url_schema.hidden, fields.login.hidden) == (True, True)

    def test_port_is_shown_where_airflow_tests_no_connection_without_one(form):
        port = form.standard_fields.port
        shown = {(3, 3): (False, "443, or the one in Host; Test needs it")}
        assert (bool(port.hidden), port.placeholder) == shown.get(AIRFLOW_VERSION, (True, None))

    def test_each_extra_has_a_field(form):
        assert {name: field["schema"]["title"] for name, field in form.extra_fields.items()} == EXTRAS

elif AIRFLOW_VERSION >= (3, 0):

    def test_the_type_is_there_without_a_form_of_its_own(form):
        # Airflow 3.0 has no such form for any provider, unless the FAB provider is installed.
        assert (form.standard_fields, form.extra_fields) == (None, None)

else:

    def test_the_fields_are_those_that_mean_something():
        behaviour = ProvidersManager().field_behaviours["datarecs"]
        assert behaviour["relabeling"] == {"password": "API Key"}
        assert behaviour["placeholders"]["host"] == "https://api.datarecs.io"
        assert set(behaviour["hidden_fields"]) == {"schema", "login", "port"}

    def test_each_extra_has_a_field():
        widgets = ProvidersManager().connection_form_widgets
        shown = {
            widget.field_name: str(widget.field.args[0])
            for name, widget in widgets.items()
            if name.startswith("extra__datarecs__")
        }
        assert shown == EXTRAS
