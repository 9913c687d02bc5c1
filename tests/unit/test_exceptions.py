"""What users catch, for each error of the API client."""

from __future__ import annotations

import pickle

import airflow.exceptions
import pytest

from airflow_provider_datarecs.api import errors
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.targets import Target
from airflow_provider_datarecs.compat import CONFIG_EXCEPTIONS, AirflowException, AirflowFailException
from airflow_provider_datarecs.exceptions import (
    DataRecsConfigException,
    DataRecsCountsMissing,
    DataRecsRowsUnmatched,
    DataRecsRunCancelled,
    DataRecsRunFailed,
    DataRecsRunUncertain,
    DataRecsRunUnsuccessful,
    as_airflow_exceptions,
    by_meaning,
    meaning_of,
    message_of,
)

pytestmark = pytest.mark.compat

JOB = Target(TargetKind.JOB, "j", "w")
CALL = "GET /jobs/j/runs/r"
MEANINGS = [
    (errors.NothingStarted(JOB, "no answer"), AirflowException),
    (errors.Unauthorized(CALL, 401, "Invalid or expired API key"), DataRecsConfigException),
    (errors.InvalidSettings("Host is empty"), DataRecsConfigException),
    (errors.InvalidInput("job_id is empty"), AirflowFailException),
    (errors.Forbidden(CALL, 403, "no"), AirflowFailException),
    (
        errors.RunMayHaveStarted(JOB, "no answer"),
        DataRecsRunUncertain,
    ),
    (errors.NotFound(CALL, 404, "Resource not found: run 'r'"), AirflowException),
    (errors.Rejected(CALL, 422, "no"), AirflowException),
    (errors.RateLimited(CALL, "slow down", None), AirflowException),
    (errors.LimitUsedUp(CALL, "not sent: the rate limit is used up", 9.0), AirflowException),
    (errors.Unavailable(CALL, 503, "away"), AirflowException),
    (errors.Redirected(CALL, 302, "elsewhere"), AirflowException),
    (errors.NeverArrived(CALL, "no connection"), AirflowException),
    (errors.NameUnresolved(CALL, "no connection"), AirflowException),
    (errors.MaybeArrived(CALL, "no answer"), AirflowException),
    (errors.UnreadableAnswer(CALL, "<html>"), AirflowException),
    (errors.ForeignAnswer(CALL, 401, "<html>"), AirflowException),
    (errors.ConnectionUnreadable("Airflow could not give connection 'c'"), AirflowException),
    (errors.Unforeseen(ValueError("odd")), AirflowException),
    (errors.EndlessList(CALL, "still goes on"), AirflowException),
    (errors.NameNotFound("Job 'x' not found"), AirflowException),
    (errors.NameNotUnique("Multiple jobs named 'x' found"), AirflowException),
]
EACH = pytest.mark.parametrize(
    ("error", "meant"), MEANINGS, ids=[type(error).__name__ for error, _ in MEANINGS]
)


@EACH
def test_an_error_is_raised_as_what_it_means_with_its_words(error, meant):
    with pytest.raises(meant) as caught, as_airflow_exceptions("my_conn"):
        raise error
    assert type(caught.value) is meant
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)
    assert str(error).rstrip(".") in str(caught.value)


@EACH
def test_a_meaning_survives_the_way_from_triggerer_to_worker(error, meant):
    assert by_meaning(meaning_of(error)) is meant


@pytest.mark.parametrize("name", ["", "None", "ValueError", "ExceptionOfANewerRelease"])
def test_a_meaning_that_is_not_known_is_still_a_failure(name):
    assert by_meaning(name) is AirflowException


def test_every_error_of_the_client_has_its_meaning_tested():
    def family(cls):
        return {cls}.union(*map(family, cls.__subclasses__()))

    roots = {errors.DataRecsError, errors.RequestError, errors.AnsweredWithError}
    known = {cls for cls in family(errors.DataRecsError) if cls.__module__ == errors.__name__}
    assert known - roots == {type(error) for error, _ in MEANINGS}


@pytest.mark.parametrize("kind", [*CONFIG_EXCEPTIONS, AirflowFailException, AirflowException])
def test_a_config_error_is_caught_by_every_documented_class(kind):
    assert issubclass(DataRecsConfigException, kind)


def test_the_config_exception_that_users_import_is_among_them():
    assert airflow.exceptions.AirflowConfigException in CONFIG_EXCEPTIONS


def test_a_run_that_may_exist_is_not_retried():
    assert issubclass(DataRecsRunUncertain, AirflowFailException)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            errors.Unauthorized(CALL, 401, "Invalid or expired API key"),
            (
                f"Invalid or expired API key ({CALL}). Connection: 'my_conn'. "
                "Put a valid one into the connection's API Key."
            ),
        ),
        (errors.InvalidSettings("Host is empty."), "Host is empty. Connection: 'my_conn'."),
        (errors.InvalidInput("job_id is empty"), "job_id is empty."),
        (errors.NameNotFound("Job 'x' not found."), "Job 'x' not found."),
    ],
)
def test_the_message_names_the_connection_where_that_helps(error, told):
    assert message_of(error, "my_conn") == told


def test_other_exceptions_pass_through():
    with pytest.raises(KeyError), as_airflow_exceptions("my_conn"):
        raise KeyError("x")


UNSUCCESSFUL = [DataRecsRunFailed, DataRecsRunCancelled, DataRecsRowsUnmatched, DataRecsCountsMissing]


@pytest.mark.parametrize("kind", UNSUCCESSFUL)
@pytest.mark.parametrize("target", [JOB, Target(TargetKind.JOB_GROUP, "g", "w")], ids=["job", "group"])
def test_the_end_of_a_run_tells_callbacks_which_run_and_how_wherever_it_goes(kind, target):
    result = {**target.ids_of("r"), "status": "FAILED", "error": {"code": "E1"}}
    error = pickle.loads(pickle.dumps(kind("what happened", result=result, url="https://c/r")))
    assert isinstance(error, DataRecsRunUnsuccessful)
    assert isinstance(error, AirflowFailException)
    assert str(error) == "what happened"
    ids = {"job_id": None, "job_group_id": None, **target.ids_of("r")}
    assert {name: getattr(error, name) for name in ids} == ids
    assert (error.status, error.error, error.result) == ("FAILED", {"code": "E1"}, result)
    assert error.url == "https://c/r"


@pytest.mark.parametrize("kind", UNSUCCESSFUL)
def test_the_end_of_a_run_can_be_made_of_a_message_alone(kind):
    error = kind("what happened")
    assert (error.run_id, error.job_id, error.status, error.result, error.url) == ("", None, "", {}, None)
