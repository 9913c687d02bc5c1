"""The key of a start: one for all of its tries, another for every other start."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from support.fakes import FakeStore, FakeTaskInstance

from airflow_provider_datarecs.compat import AIRFLOW_VERSION, deployment
from airflow_provider_datarecs.operators.start_state import StartState, Try

HAS_STORE = AIRFLOW_VERSION >= (3, 3)
CLEARS_ARE_COUNTED = AIRFLOW_VERSION >= (3, 2)  # in a DAG run that goes on; before, only in one that is over


class Task:
    """A task instance in a scheduler's hands, as far as tries and clears go."""

    def __init__(self, retries=2, *, is_test=False, **ids):
        self.retries = retries
        self.ti = FakeTaskInstance(max_tries=retries, try_number=0, **ids)
        self.store = FakeStore()
        date = datetime(2024, 1, 2, tzinfo=timezone.utc)
        started = date if is_test else datetime.now(timezone.utc)
        self.dag_run = SimpleNamespace(start_date=started, logical_date=date, clear_number=0)

    def next_try(self):
        """Begin the next try, and give what it knows of the start."""
        self.ti.try_number += 1
        context = {"ti": self.ti, "dag_run": self.dag_run}
        if HAS_STORE:
            context["task_state_store"] = self.store
        return StartState(context, Try(context, self.retries))

    def key(self):
        """Give the key of the next try, which sends its request."""
        start_state = self.next_try()
        start_state.note_sent()
        return start_state.key

    def clear(self, *, is_over=False):
        """Clear the task, in a DAG run that goes on or is over."""
        self.ti.max_tries = self.ti.try_number + self.retries
        self.clear_another(is_over=is_over)

    def clear_another(self, *, is_over=False):
        """Clear another task of the DAG run."""
        if is_over or CLEARS_ARE_COUNTED:
            self.dag_run.clear_number += 1
        if is_over:
            self.dag_run.start_date += timedelta(hours=1)


def test_all_tries_have_one_key():
    task = Task()
    assert len({task.key() for _ in range(3)}) == 1


def test_what_is_cleared_beside_a_task_leaves_its_key():
    task = Task()
    first = task.key()
    task.clear_another()
    assert task.key() == first


@pytest.mark.parametrize("is_over", [True, False])
@pytest.mark.parametrize("retries", [0, 1, 2, 3])
@pytest.mark.parametrize("tries", [1, 2, 3])
def test_a_clear_makes_a_new_key_whatever_retries_are_by_then(is_over, retries, tries):
    task = Task(retries=2)
    (before,) = {task.key() for _ in range(tries)}
    task.retries = retries
    task.clear(is_over=is_over)
    (after,) = {task.key() for _ in range(retries + 1)}
    assert after != before


def test_no_clear_gives_an_old_key_again():
    task, keys = Task(retries=3), []
    for retries in (3, 2, 1, 0, 3, 0, 1):
        task.retries = retries
        task.clear()
        keys.append(task.key())
    assert len(set(keys)) == len(keys)


def test_raising_retries_between_the_first_tries_leaves_the_key():
    task = Task(retries=1)
    first = task.key()
    task.retries = 5
    assert task.key() == first


@pytest.mark.parametrize("field", ["dag_id", "run_id", "task_id", "map_index"])
def test_another_task_instance_has_another_key(field):
    task = Task()
    other = Task(**{field: 7 if field == "map_index" else "other"})
    other.dag_run = task.dag_run
    assert other.key() != task.key()


def test_a_dag_run_that_is_made_again_has_other_keys():
    first, second = Task(), Task()
    second.dag_run.start_date = first.dag_run.start_date + timedelta(microseconds=1)
    assert first.key() != second.key()


@pytest.fixture
def base_url(monkeypatch):
    """Set the URL of Airflow's pages."""
    section = "API" if AIRFLOW_VERSION >= (3, 0) else "WEBSERVER"
    return lambda url: monkeypatch.setenv(f"AIRFLOW__{section}__BASE_URL", url)


def test_another_deployment_has_other_keys(base_url):
    first, second = Task(), Task()
    second.dag_run = first.dag_run
    base_url("https://one.example")
    key = first.key()
    base_url("https://two.example")
    assert second.key() != key


@pytest.mark.parametrize("url", ["", "http://localhost:8080", "http://localhost:8080/"])
def test_a_url_that_every_airflow_has_tells_none_from_another(base_url, url):
    base_url(url)
    assert deployment() == ""


def test_a_test_of_a_dag_that_is_run_again_has_other_keys():
    keys = []
    for _ in range(3):
        task = Task(is_test=True)
        (key,) = {task.key() for _ in range(3)}
        keys.append(key)
    assert len(set(keys)) == 3


def test_the_formula_is_the_one_that_it_says(base_url):
    base_url("https://airflow.example")
    task = Task()
    task.dag_run.start_date = datetime(2024, 1, 2, 3, 4, 5, 6, timezone.utc)
    # Where this changes, FORMULA does.
    assert task.key() == "137d71b1-7107-5830-b97e-596d6089be48"


if HAS_STORE:

    def test_lowering_retries_between_two_tries_leaves_the_key():
        for retries in (0, 1, 2):
            task = Task(retries=3)
            first = task.key()
            task.retries = retries
            assert {task.key(), task.key()} == {first}

    def test_what_another_release_has_kept_is_gone_on_with():
        task = Task()
        task.key()
        (kept,) = task.store.values()
        kept["key"] = "of another formula"
        assert task.key() == "of another formula"

    def test_what_was_sent_is_looked_for_where_a_clear_cannot_be_told_from_a_retry():
        task = Task(retries=2)
        task.key()
        task.retries = 1
        task.clear_another()
        start_state = task.next_try()
        assert start_state.sent_at is not None

    def test_a_run_from_before_a_clear_is_not_taken_for_the_new_one():
        task = Task(retries=2)
        task.next_try().keep({"run_id": "old"})
        task.retries = 1
        task.clear()
        start_state = task.next_try()
        assert start_state.ids is None
        assert start_state.sent_at is None

    def test_a_try_that_has_kept_nothing_has_sent_nothing():
        task = Task()
        task.next_try()
        assert task.next_try().sent_at is None
