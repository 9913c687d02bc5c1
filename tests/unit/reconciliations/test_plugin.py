"""The plugin of the page, which every Airflow process loads."""

from __future__ import annotations

import pytest
from support.loading import loaded_by

from airflow_provider_datarecs.compat import PAGES_SHOW_VIEWS
from airflow_provider_datarecs.reconciliations import PATH
from airflow_provider_datarecs.reconciliations.plugin import DataRecsReconciliationsPlugin

pytestmark = pytest.mark.compat

OPTION = "AIRFLOW__DATARECS__RECONCILIATIONS_PAGE"


def given():
    plugin = DataRecsReconciliationsPlugin()
    return plugin.fastapi_apps, plugin.external_views


def test_loading_it_loads_nothing_of_the_page():
    assert loaded_by("airflow_provider_datarecs.reconciliations.plugin") <= {
        "airflow_provider_datarecs",
        "airflow_provider_datarecs.reconciliations",
        "airflow_provider_datarecs.reconciliations.plugin",
    }


@pytest.mark.parametrize("option", ["False", "no idea"])
def test_it_gives_nothing_where_it_is_off_or_nobody_can_tell(monkeypatch, option):
    monkeypatch.setenv(OPTION, option)
    assert given() == ([], [])


@pytest.mark.parametrize("option", [None, "True"])
def test_it_gives_the_page_to_airflows_that_show_it(monkeypatch, option):
    monkeypatch.delenv(OPTION, raising=False)
    if option:
        monkeypatch.setenv(OPTION, option)
    apps, views = given()
    if not PAGES_SHOW_VIEWS:
        assert (apps, views) == ([], [])
        return
    assert [one["url_prefix"] for one in apps] == [PATH]
    assert [one["href"] for one in views] == [f"{PATH[1:]}/"]


if PAGES_SHOW_VIEWS:

    def test_a_mistake_in_it_stops_no_server(monkeypatch, caplog):
        from airflow_provider_datarecs.reconciliations import app

        def fail():
            raise RuntimeError("a mistake")

        monkeypatch.setattr(app, "make_app", fail)
        assert DataRecsReconciliationsPlugin().fastapi_apps == []
        assert "This server shows no page of DataRecs's reconciliations" in caplog.text
        assert "a mistake" in caplog.text
