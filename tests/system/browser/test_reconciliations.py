"""The page *Reconciliations* inside Airflow's own pages, for users who may read some of it."""

from __future__ import annotations

import csv
import json
import re
import secrets
import urllib.request

import pytest
from playwright.sync_api import expect
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from support import ROOT, reconciliations
from support.airflow import Airflow, is_open
from support.restricted import READERS
from support.results import Store, result

from airflow_provider_datarecs.reconciliations import PATH

pytestmark = pytest.mark.browser

HOSTILE = '"><img src=x onerror="top.hacked=1"><script>top.hacked=1</script>'
CONSOLE = "https://console.invalid/runs/run_1"
LIMIT = {"max_unmatched_rows": 20, "max_unmatched_ratio": None}
MINE = ("balances", "hostile", "payments")
THREE = len(MINE)
USERS = {
    "reader": {"dags": [*MINE, "no_xcoms"], "xcoms": MINE},
    "newcomer": {"dags": ["empty"], "xcoms": ["empty"]},
    "nobody": {"dags": [], "xcoms": []},
    "admin": None,  # as Airflow has it
    "painter": {"dags": reconciliations.DAGS, "xcoms": reconciliations.DAGS},
}
PASSWORD = secrets.token_hex(16)
BELOW = "/below/this"  # where a proxy may have Airflow's pages
JOBS = 400  # of the DAG with ten thousand results


def fill(store):
    for number in range(10_000):
        value = result(job_id=f"many_{number % JOBS}", run_id=f"many_{number}")
        store.add("many", value, ago=3600 + number, task_id="wait", run=f"many_{number}")
    for dag_id in ("no_xcoms", "theirs"):
        store.add(dag_id, result(job_id=dag_id))
    reconciliations.fill(store)
    for days in range(3):
        failed = {"status": "FAILED", "rows_unmatched": None, "error": "=1+1"}
        agreed = {"agreed": True, **LIMIT}
        value = result(
            run_id=f"run_{days}", job_name="Payments", job_id="job_pay", **(failed if days == 1 else agreed)
        )
        store.add("payments", value, ago=days * 86_400 + 60, run=f"day_{days}", task_id="wait")
    value = result(run_id="run_1", job_name="Balances", rows_unmatched=30, agreed=False, **LIMIT)
    store.add("balances", value, ago=30, run="manual/1?#", task_id="g.result", map_index=2, url=CONSOLE)
    names = dict.fromkeys(("job_name", "workspace_name", "job_id", "run_id", "error"), HOSTILE)
    store.add("hostile", result(status="FAILED", **names), ago=90, url=f"javascript:{HOSTILE}")
    store.write()


@pytest.fixture(scope="module")
def store(airflow):
    url = airflow.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    with Session(create_engine(url, connect_args={"timeout": 30})) as session:
        store = Store(session)
        fill(store)
        yield store


@pytest.fixture(scope="module")
def airflow(browser, tmp_path_factory):
    """Run the API server of an Airflow in which nothing but results is."""
    folder = tmp_path_factory.mktemp("reconciliations")
    (folder / "dags").mkdir()
    (folder / "passwords.json").write_text(json.dumps(dict.fromkeys(USERS, PASSWORD)))
    environ = {
        "PYTHONPATH": str(ROOT / "tests"),
        READERS: json.dumps(USERS),
        "AIRFLOW__CORE__AUTH_MANAGER": "support.restricted.RestrictedAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:viewer" for name in USERS),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
    }
    more = {"host": "http://127.0.0.1:1", "api_key": "key", "components": ("api-server",)}
    airflow = Airflow(folder / "airflow", folder / "dags", environ=environ, **more)
    airflow.environ["AIRFLOW__API__BASE_URL"] += BELOW
    with airflow:
        airflow.wait_until(lambda: is_open(airflow.port), "the pages are served")
        yield airflow


@pytest.fixture(scope="module")
def site(airflow, store):
    """Where its pages are, once there are results."""
    return f"{airflow.url}{BELOW}"


@pytest.fixture(scope="module")
def window_of(open_window, site):
    """Open a window for each user, who has logged in; Airflow's scripts are loaded once for each."""
    windows = {}

    def window_of(user):
        if user not in windows:
            body = json.dumps({"username": user, "password": PASSWORD}).encode()
            request = urllib.request.Request(f"{site}/auth/token", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request) as answer:
                token = json.load(answer)["access_token"]
            windows[user] = open_window(permissions=["clipboard-read", "clipboard-write"])
            windows[user].add_cookies([{"name": "_token", "value": token, "url": site}])
        return windows[user]

    yield window_of
    for window in windows.values():
        window.close()


@pytest.fixture
def open_tab(window_of):
    """Open tabs in the window of a user."""
    tabs = []

    def open_tab(user="reader", size=(1280, 860)):
        tabs.append(window_of(user).new_page())
        tabs[-1].set_viewport_size({"width": size[0], "height": size[1]})
        return tabs[-1]

    yield open_tab
    for tab in tabs:
        tab.close()


@pytest.fixture
def show(open_tab, site):
    """Show the page by itself to a user."""

    def show(user="reader", lines=THREE, **more):
        page = open_tab(user, **more)
        page.goto(f"{site}{PATH}/")
        expect(page.locator(".lines > li")).to_have_count(lines)
        return page

    return show


@pytest.fixture
def show_inside(open_tab, site):
    """Show the page inside Airflow's to a user, and give the tab and the frame in it."""

    def show_inside(user="reader", lines=THREE, **more):
        page = open_tab(user, **more)
        page.goto(f"{site}/plugin/datarecs-reconciliations")
        frame = page.frame_locator("iframe[title=Reconciliations]")
        expect(frame.locator(".lines > li")).to_have_count(lines)
        return page, frame

    return show_inside


def test_the_menu_leads_to_it(open_tab, site):
    page = open_tab()
    page.goto(site)
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Reconciliations").click()
    frame = page.frame_locator("iframe[title=Reconciliations]")
    expect(frame.get_by_role("heading", name="Reconciliations")).to_be_visible()
    expect(frame.locator(".lines > li")).to_have_count(len(MINE))


def test_each_job_has_a_line_the_newest_first_with_what_came_out(show):
    page = show()
    assert page.locator(".lines .name").all_inner_texts() == ["Balances", "Payments", HOSTILE]
    first, second, _ = page.locator(".lines > li").all()
    for told in ("Disagrees", "30 unmatched", "3%", "limit 20 rows", "balances · g · ws_1"):
        expect(first).to_contain_text(told)
    expect(second.locator(".pill")).to_have_text("Agrees")
    expect(second).to_contain_text(re.compile(r"for \d+ minutes?since"))
    expect(second.locator(".bars")).to_have_attribute("aria-label", "Last 3 results: 2 agrees, 1 failed")
    expect(second.locator(".bars path.sign.failed")).to_have_count(1)


def test_whatever_is_in_a_result_is_shown_as_text(show):
    page = show()
    page.locator(".toggle").last.click()
    expect(page.locator("td.error")).to_have_text(HOSTILE)
    expect(page.locator("img, .lines script, a[href^=javascript]")).to_have_count(0)
    assert page.evaluate("window.hacked") is None


def test_filters_show_some_of_it(show):
    page = show()
    page.get_by_label("Disagreeing only").check()
    expect(page.locator(".lines .name")).to_have_text(["Balances"])
    page.get_by_label("DAG", exact=True).select_option("payments")
    expect(page.get_by_text("Nothing fits this filter")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Job", exact=True).fill("PAYM")
    expect(page.locator(".lines .name")).to_have_text(["Payments"])
    page.get_by_label("Job", exact=True).fill("")
    page.get_by_role("button", name="1 failed or unknown").click()
    expect(page.locator(".lines .name")).to_have_text([HOSTILE])


def test_a_line_opens_to_its_history(show):
    page = show()
    page.locator(".toggle").nth(1).click()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("Failed")
    expect(page.locator(".plot path.limit")).to_have_count(1)
    page.locator(".plot").hover()  # amid which the failed one is
    expect(page.locator("#tip")).to_contain_text("error: =1+1")
    expect(rows.nth(1)).to_have_class("hot")
    axis = page.locator(".plot text")
    expect(axis.first).to_have_text("0")
    page.get_by_role("button", name="Share").click()
    expect(axis.first).to_have_text("0%")


@pytest.mark.parametrize("over", ["https", "http"])
def test_a_history_can_be_copied(show, over):
    page = show()
    if over == "http":  # as which a page from another host has no clipboard of its own
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.locator(".toggle").nth(1).click()
    page.get_by_role("button", name="Copy as CSV").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    page.reload()
    rows = list(csv.DictReader(page.evaluate("navigator.clipboard.readText()").splitlines()))
    assert [(row["run_id"], row["result"], row["rows_unmatched"], row["error"]) for row in rows] == [
        ("run_0", "agreed", "10", ""),
        ("run_1", "failed", "", "'=1+1"),  # no formula to a spreadsheet
        ("run_2", "agreed", "10", ""),
    ]


def test_a_line_leads_to_its_task_in_airflow_and_to_its_run_at_datarecs(show_inside, site):
    page, frame = show_inside()
    page.context.route("https://console.invalid/**", lambda route: route.fulfill(body="the run"))
    with page.context.expect_page() as opened:
        frame.get_by_role("link", name="DataRecs").click()
    opened.value.wait_for_url(CONSOLE)
    opened.value.close()
    frame.get_by_role("link", name="Task").first.click()
    page.wait_for_url(f"{site}/dags/balances/runs/manual%2F1%3F%23/tasks/g.result/mapped/2**")


def test_it_is_used_by_keyboard(show):
    page = show()
    page.keyboard.press("/")
    expect(page.get_by_label("Job", exact=True)).to_be_focused()
    page.locator(".toggle").first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".toggle").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.keyboard.press("Tab")  # to the link of the task
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Share")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".detail")).to_have_count(0)
    expect(page.locator(".toggle").nth(1)).to_be_focused()


def test_it_follows_airflow_from_light_to_dark(show_inside):
    page, frame = show_inside()
    expect(frame.locator("html")).to_have_attribute("data-theme", "light")
    page.evaluate("document.documentElement.classList.add('dark')")
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")


def test_times_are_in_the_zone_that_the_user_has_chosen_in_airflow(show):
    page = show()
    told = page.locator(".since").last
    before = told.inner_text()
    page.evaluate("""localStorage.setItem("timezone", '"Asia/Kathmandu"')""")  # as Airflow keeps it
    page.reload()
    expect(told).to_contain_text("since")
    assert told.inner_text() != before
    page.evaluate("localStorage.removeItem('timezone')")


def test_it_fits_a_narrow_window(show):
    page = show(size=(360, 800))
    page.locator(".toggle").nth(1).click()
    expect(page.locator("tbody tr")).to_have_count(3)
    wide, there = page.locator("html").evaluate("html => [html.scrollWidth, html.clientWidth]")
    assert wide <= there


def test_a_user_who_may_read_nothing_is_told_so(show):
    page = show("nobody", lines=0)
    expect(page.get_by_role("alert")).to_contain_text("You may not read the XComs of any DAG")
    expect(page.locator("#content")).to_be_hidden()


def test_who_has_no_results_yet_is_told_what_to_do(show):
    page = show("newcomer", lines=0)
    expect(page.get_by_role("heading", name="No reconciliations yet")).to_be_visible()
    expect(page.locator("pre")).to_contain_text("reconcile(")


def test_who_has_not_logged_in_gets_nothing(open_window, site):
    window = open_window()
    for path in ("/", "/results"):
        assert window.request.get(f"{site}{PATH}{path}").status == 401
    window.close()


def test_whose_login_has_ended_sees_the_results_no_more(show):
    page = show()
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert")).to_contain_text("You are no longer logged in")
    expect(page.locator(".lines > li")).to_have_count(0)
    page.context.add_cookies(cookies)
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator(".lines > li")).to_have_count(THREE)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_what_cannot_be_read_for_a_while_stays_and_is_said_to_be_old(show):
    page = show()
    page.route("**/results", lambda route: route.fulfill(status=503, body="a proxy's page"))
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert")).to_contain_text("Airflow answers 503")
    expect(page.locator(".lines > li")).to_have_count(THREE)


def test_ten_thousand_results_are_shown_in_parts(show):
    page = show("admin", lines=100)
    expect(page.locator("#count")).to_contain_text("and 10,000 results")
    page.get_by_label("Job", exact=True).fill("many_")
    expect(page.locator("#count")).to_contain_text(f"{JOBS} of ")
    page.get_by_role("button", name="Show 100 more of 400").click()
    expect(page.locator(".lines > li")).to_have_count(200)


def test_new_results_come_by_themselves_and_leave_what_is_open(open_tab, site, store):
    page = open_tab()
    page.clock.install()
    page.goto(f"{site}{PATH}/")
    payments = page.locator("li").filter(has=page.locator(".name", has_text="Payments"))
    payments.locator(".toggle").click()
    rows = payments.locator("tbody tr")
    expect(rows).to_have_count(3)
    payments.get_by_role("button", name="Share").click()
    payments.locator(".toggle").focus()
    store.add("payments", result(job_id="job_new", job_name="Just in"), ago=-1, run="new")
    failed = result(
        run_id="run_9", job_name="Payments", job_id="job_pay", status="FAILED", rows_unmatched=None
    )
    store.add("payments", failed, ago=-2, run="day_9")
    store.write()
    page.clock.fast_forward(31_000)
    expect(rows).to_have_count(4)
    expect(page.locator(".lines .name")).to_have_text(["Payments", "Just in", "Balances", HOSTILE])
    expect(payments.locator(".pill").first).to_have_text("Failed")
    expect(payments.locator(".toggle")).to_be_focused()
    expect(payments.get_by_role("button", name="Share")).to_have_attribute("aria-pressed", "true")


def test_pictures(request, show_inside, take_of):
    if not request.config.getoption("--screenshots"):
        pytest.skip("no pictures are asked for")
    lines = len(reconciliations.JOBS)
    page, frame = show_inside("painter", lines)
    take_of(page, "reconciliations", height=860)
    frame.locator(".toggle").nth(1).click()
    expect(frame.locator("tbody tr")).to_have_count(46)
    frame.locator("li.open").evaluate("item => item.scrollIntoView()")
    take_of(page, "reconciliations-history", height=860)
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    expect(frame.locator(".lines > li")).to_have_count(lines)
    take_of(page, "reconciliations-dark", height=860)
