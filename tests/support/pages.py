"""Airflow's pages, as a person finds the way through them: how those of 2.11 and 3.3 differ is here alone."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus

from playwright.sync_api import expect

from support.airflow import IS_AIRFLOW_3, USER

CONNECTION_TYPE = "DataRecs"
# What was logged, after its time, and on 2.11 the place in the code.
LOG_LINE = re.compile(r"\[[^]]+\] (?:\{[^}]*\} )?(?:INFO|WARNING|ERROR) - (?P<message>.*)")


class Pages:
    """
    Open pages, and read and fill in what is on them.

    :param page: the browser's
    :param url: where they are
    """

    def __init__(self, page, url):
        self.page = page
        self.url = url

    def fill(self, label, value):
        """Fill in a field of the connection form, or tick it."""
        if value is True:
            self.tick(label)
        else:
            self.field(label).fill(str(value))

    def link(self, name):
        """Find a link on the page of a task; one that leads nowhere, which 2.11 shows in grey, is none."""
        return self.page.locator("a[href^=http]").filter(has_text=name)

    def messages(self, until):
        """Give what the log on the page shows unfolded, once that holds a text."""
        log = self.log()
        expect(log).to_contain_text(until)
        found = map(LOG_LINE.search, log.inner_text().splitlines())
        return [line["message"].strip() for line in found if line]


class Airflow2(Pages):
    """Those of the web server of 2.11."""

    own_fields = ("Connection Id", "Connection Type", "Description", "Extra")
    yes, no = "", ""  # it shows what the test says alone, and alike for both
    form_height = 1560  # pixels

    def log_in(self):
        self.page.goto(f"{self.url}/login/")
        self.page.get_by_label("Username").fill(USER["username"])
        self.page.get_by_label("Password").fill(USER["password"])
        self.page.get_by_role("button", name="Sign In").click()
        self.page.wait_for_url(f"{self.url}/home")

    def new_connection(self, conn_id):
        """Open the form for a new connection to DataRecs."""
        self.page.goto(f"{self.url}/connection/add")
        self.page.get_by_label("Connection Id").fill(conn_id)
        self.page.locator("#conn_type + .select2").click()
        self.page.get_by_role("option", name=CONNECTION_TYPE, exact=True).last.click()
        expect(self.field("API Key")).to_be_visible()

    def labels(self):
        """Give the labels of all fields of the form."""
        return self.page.locator("#model_form label:visible").all_inner_texts()

    def field(self, label):
        return self.page.get_by_label(label, exact=True)

    def tick(self, label):
        self.field(label).check()

    def save(self):
        """Save the connection."""
        self.page.get_by_role("button", name="Save").click()
        self.page.wait_for_url(lambda url: "/connection/add" not in url)

    def test(self, conn_id, fields):
        """Test a connection that is filled in but not saved, and give what the page says."""
        self.new_connection(conn_id)
        self.fill("Host", fields["host"])
        self.fill("API Key", fields.get("password", ""))
        if fields.get("extra", {}).get("allow_insecure_http"):
            self.tick("Allow insecure HTTP")
        with self.page.expect_response("**/connections/test"):
            self.page.get_by_role("button", name="Test").click()
        said = self.page.locator(".alert:visible").first
        expect(said).not_to_contain_text("Fields that are currently populated")
        said.scroll_into_view_if_needed()
        return said.inner_text()

    def open_task(self, dag_id, run_id, task_id, tab):
        """Open the page of a task, with its tab ``details`` or ``logs``."""
        query = f"dag_run_id={quote_plus(run_id)}&task_id={task_id}&tab={tab}"
        self.page.goto(f"{self.url}/dags/{dag_id}/grid?{query}")

    def log(self):
        return self.page.get_by_role("tabpanel", name="Logs").locator("code")


class Airflow3(Pages):
    """Those of the API server of 3.3."""

    own_fields = ("Connection ID", "Connection Type", "Description")
    yes, no = "Test Connection Successful", "Test Connection Failed"
    form_height = 1240  # pixels

    def log_in(self):
        self.page.goto(self.url)

    @property
    def form(self):
        return self.page.get_by_role("dialog")

    def find(self, conn_id):
        """Open the list of connections, with the one alone."""
        self.page.goto(f"{self.url}/connections?name_pattern={conn_id}")

    def new_connection(self, conn_id):
        """Open the form for a new connection to DataRecs."""
        self.find(conn_id)
        self.page.get_by_role("button", name="Add Connection").click()
        self.form.get_by_label("Connection ID").fill(conn_id)
        self.form.get_by_role("combobox", name="Connection Type").fill(CONNECTION_TYPE)
        self.page.get_by_role("option", name=CONNECTION_TYPE, exact=True).click()
        expect(self.field("API Key")).to_be_visible()

    def labels(self):
        """Give the labels of all fields of the form, of which it shows one part at a time."""
        found = {}
        for part in ("Standard Fields", "Extra Fields"):
            self.show(part)
            found.update(dict.fromkeys(filter(None, self.form.locator("label:visible").all_inner_texts())))
        return list(found)

    def show(self, part):
        button = self.form.get_by_role("button", name=part, exact=True)
        if button.get_attribute("aria-expanded") != "true":
            button.click()
        expect(button).to_have_attribute("aria-expanded", "true")

    def field(self, label):
        # Not by its label alone, which those for extras that are texts are not tied to.
        named = self.page.get_by_text(label, exact=True)
        return self.form.get_by_role("group").filter(has=named).locator("input")

    def fill(self, label, value):
        self.show("Standard Fields" if label in ("Host", "Port", "API Key") else "Extra Fields")
        super().fill(label, value)

    def tick(self, label):
        self.form.get_by_role("group").filter(has=self.page.get_by_text(label, exact=True)).locator(
            "[data-part=control]"
        ).click()
        expect(self.field(label)).to_be_checked()

    def save(self):
        """Save the connection."""
        self.form.get_by_role("button", name="Save").click()
        expect(self.form).to_be_hidden()

    def test(self, conn_id, fields):
        """Test a connection that is saved, and give what the page says."""
        self.find(conn_id)
        row = self.page.get_by_role("row").filter(has=self.page.get_by_role("cell", name=conn_id, exact=True))
        row.get_by_role("button", name="Test Connection").click()
        said = self.page.get_by_role("status")
        expect(said).to_be_visible()
        return said.inner_text()

    def open_task(self, dag_id, run_id, task_id, tab):
        """Open the page of a task, with its tab ``details`` or ``logs``."""
        part = "" if tab == "logs" else f"/{tab}"
        self.page.goto(f"{self.url}/dags/{dag_id}/runs/{quote(run_id)}/tasks/{task_id}{part}")

    def log(self):
        return self.page.get_by_test_id("virtualized-list")


PAGES = Airflow3 if IS_AIRFLOW_3 else Airflow2
