"""Each transition of the one state machine that says whether a job's runs are asked for by its list."""

from __future__ import annotations

import logging
from itertools import product

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.polling.config import PollingConfig
from airflow_provider_datarecs.polling.list_state import JobList, ListState, Response, ServiceLists

NEW, LIST, DOUBTED, PROBE, RETRY, SINGLE = ListState
HELPED, GOES_ON, TOLD_NOTHING, REFUSED, RUN_SEEN, RUN_REFUSED = Response
NOW = 1_000.0
# How each state is reached.
WAY_TO = {
    NEW: [],
    LIST: [HELPED],
    DOUBTED: [TOLD_NOTHING],
    PROBE: [REFUSED],
    RETRY: [REFUSED, RUN_SEEN],
    SINGLE: [REFUSED, RUN_SEEN, REFUSED],
}
# A table of its own, as the states and answers mean it: whoever changes the other one changes both.
EXPECTED = {
    #         HELPED  GOES_ON TOLD_NOTHING REFUSED RUN_SEEN RUN_REFUSED
    NEW: (LIST, LIST, DOUBTED, PROBE, NEW, NEW),
    LIST: (LIST, LIST, DOUBTED, PROBE, LIST, LIST),
    DOUBTED: (LIST, LIST, DOUBTED, PROBE, LIST, DOUBTED),
    PROBE: (LIST, LIST, DOUBTED, PROBE, RETRY, NEW),
    RETRY: (LIST, LIST, DOUBTED, SINGLE, RETRY, RETRY),
    SINGLE: (SINGLE, SINGLE, SINGLE, SINGLE, SINGLE, SINGLE),
}


def target(number=0):
    return Target(TargetKind.JOB, f"j{number}", "w")


@pytest.fixture
def service():
    return ServiceLists("c")


def list_in(state, service, number=0):
    job_list = JobList(target(number), service)
    for response in WAY_TO[state]:
        job_list.note(response, NOW)
    assert job_list.state_at(NOW) is state
    return job_list


@pytest.mark.parametrize(("state", "response"), list(product(ListState, Response)), ids=lambda one: one.name)
def test_every_transition(service, state, response):
    job_list = list_in(state, service)
    job_list.note(response, NOW)
    assert job_list.state_at(NOW) is EXPECTED[state][list(Response).index(response)]


def test_every_state_and_answer_means_something_else():
    assert len({state.value for state in ListState}) == len(ListState)
    assert len({response.value for response in Response}) == len(Response)


def test_after_a_while_a_list_that_was_refused_is_as_new(service):
    job_list = list_in(SINGLE, service)
    assert job_list.state_at(NOW + PollingConfig.lists_again_after - 1) is SINGLE
    assert job_list.state_at(NOW + PollingConfig.lists_again_after) is NEW


@pytest.mark.parametrize(
    ("state", "response"), list(product([*WAY_TO][:-1], Response)), ids=lambda one: one.name
)
def test_a_list_counts_as_useless_only_where_its_runs_can_be_had(service, state, response):
    for number in range(PollingConfig.useless_lists):
        list_in(state, service, number).note(response, NOW)
    is_useless = (state, response) in {(DOUBTED, RUN_SEEN), (RETRY, REFUSED)}
    assert service.help(TargetKind.JOB, NOW) is not is_useless


def test_where_no_lists_help_a_job_is_asked_for_singly_whatever_its_own_list_is(service):
    job_list = list_in(LIST, service)
    for number in range(PollingConfig.useless_lists):
        list_in(RETRY, service, number).note(REFUSED, NOW)
    assert job_list.state_at(NOW) is SINGLE
    assert job_list.state_at(NOW + PollingConfig.lists_again_after) is LIST


def test_what_is_another_services_is_forgotten(service, caplog):
    caplog.set_level(logging.INFO, "airflow_provider_datarecs")
    lists = [list_in(SINGLE, service, number) for number in range(PollingConfig.useless_lists)]
    assert not service.help(TargetKind.JOB, NOW)
    assert len([line for line in caplog.messages if "do not help here" in line]) == 1
    service.forget()
    for job_list in lists:
        job_list.forget()
    assert service.help(TargetKind.JOB, NOW)
    assert {job_list.state_at(NOW) for job_list in lists} == {NEW}
