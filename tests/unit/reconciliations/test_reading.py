"""What is read of Airflow's database, and for whom."""

from __future__ import annotations

import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from support.results import result

from airflow_provider_datarecs.reconciliations import JOB_KEY, reading

DAY = 86_400
URL = "https://console.example/runs/1"

pytestmark = pytest.mark.compat


class Manager:
    """An auth manager: who may read which DAGs, and of which their XComs."""

    def __init__(self, dags=(), xcoms=(), in_general=False):
        self.dags, self.xcoms, self.in_general = set(dags), set(xcoms), in_general
        self.asked = []

    def get_authorized_dag_ids(self, *, user, method):
        assert (user, method) == ("ada", "GET")
        return self.dags

    def is_authorized_dag(self, *, method, access_entity, user, details=None):
        assert (user, method, access_entity) == ("ada", "GET", DagAccessEntity.XCOM)
        if details is None:
            return self.in_general
        self.asked.append(details.id)
        return details.id in self.xcoms


def read(dag_ids, session, **more):
    return [(one.dag_id, one.value["run_id"]) for one in reading.read_results(dag_ids, session, **more)]


def test_results_are_read_with_their_task_and_link_the_newest_first(store, session):
    store.add("a", result(run_id="old"), ago=60, run="first")
    store.add("a", result(run_id="new"), run="second", task_id="g.wait", map_index=3, url=URL)
    store.write()
    new, old = reading.read_results(["a"], session)
    assert (old.value["run_id"], old.dag_run_id, old.task_id, old.map_index, old.url) == (
        "old", "first", "wait", -1, None,
    )  # fmt: skip
    assert (new.value["run_id"], new.dag_run_id, new.task_id, new.map_index, new.url) == (
        "new", "second", "g.wait", 3, URL,
    )  # fmt: skip


def test_nothing_is_read_of_other_dags_and_other_xcoms(store, session):
    store.add("a", result(run_id="mine"))
    store.add("a", result(run_id="returned"), key="return_value")
    store.add("b", result(run_id="theirs"))
    store.write()
    assert read(["a"], session) == [("a", "mine")]
    assert read([], session) == []


def test_the_names_of_jobs_are_read_of_the_same_dags_the_newest_first(store, session):
    for ago, (dag_id, name) in enumerate([("a", "new"), ("b", "theirs"), ("a", "old")]):
        store.add(dag_id, {"job_name": name}, ago=ago, key=JOB_KEY)
    store.add("a", {"job_name": "too old"}, ago=(reading.MOST_DAYS + 1) * DAY, key=JOB_KEY)
    store.write()
    assert reading.read_jobs(["a"], session) == [{"job_name": "new"}, {"job_name": "old"}]


def test_what_is_read_is_bounded_in_days_and_number(store, session):
    store.add("a", result(run_id="too old"), ago=(reading.MOST_DAYS + 1) * DAY)
    for number in range(5):
        store.add("a", result(run_id=str(number)), ago=number)
    store.write()
    assert read(["a"], session, most=3) == [("a", "0"), ("a", "1"), ("a", "2")]
    assert len(read(["a"], session)) == 5


@pytest.fixture
def four(store):
    for dag_id in ("a", "b", "c"):
        store.add(dag_id, result())
    store.add("past", result(), ago=(reading.MOST_DAYS + 1) * DAY)
    store.write()


@pytest.mark.parametrize(
    ("dags", "xcoms", "readable"),
    [
        ("abc", "abc", {"a", "b", "c"}),
        ("ab", "bc", {"b"}),
        ("ab", "ab", {"a", "b"}),
    ],
)
def test_a_user_reads_what_both_the_dag_and_its_xcoms_are_theirs(session, four, dags, xcoms, readable):
    assert reading.readable_dag_ids(Manager(dags, xcoms), "ada", session) == readable


def test_only_dags_with_results_are_asked_about(session, four):
    manager = Manager({"a", "past", "no results"}, {"a", "past", "no results"})
    assert reading.readable_dag_ids(manager, "ada", session) == {"a"}
    assert manager.asked == ["a"]


def test_who_may_read_no_xcom_at_all_is_told_so(session, four):
    with pytest.raises(reading.NotPermitted):
        reading.readable_dag_ids(Manager("abc"), "ada", session)
    with pytest.raises(reading.NotPermitted):
        reading.readable_dag_ids(Manager(xcoms="abc"), "ada", session)


def test_who_may_read_xcoms_sees_nothing_where_there_is_nothing(session):
    assert reading.readable_dag_ids(Manager(in_general=True), "ada", session) == set()
