"""The callbacks of ``docs/alerting.md``, with what tasks raise, against a webhook and a mail server."""

from __future__ import annotations

import json
import runpy

import pytest
from support import EXAMPLES
from support.servers import Chat, Mailbox

from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.simulator import Plan

DISAGREES = Plan(queued=0, running=0, rows_processed=1000, rows_matched=988, rows_unmatched=12)
BROKEN = Plan(queued=0, running=0, status="FAILED", error="the ledger is locked")


@pytest.fixture(scope="module")
def callbacks():
    return runpy.run_path(str(EXAMPLES / "alert_on_disagreement.py"))


@pytest.fixture
def chat(monkeypatch):
    with Chat() as chat:
        connection = {"conn_type": "http", "password": chat.url}
        monkeypatch.setenv("AIRFLOW_CONN_DATA_ALERTS", json.dumps(connection))
        yield chat


@pytest.fixture
def mailbox(monkeypatch):
    pytest.importorskip("airflow.providers.smtp", reason="Airflow 2.7 comes without it")
    with Mailbox() as mailbox:
        extra = {"disable_tls": True, "disable_ssl": True, "from_email": "airflow@example.com"}
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": mailbox.port, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
        yield mailbox


@pytest.fixture
def failed(started, context):
    """Let a task fail over a run that goes by a plan, and give the context that its callback gets."""

    def failed(plan):
        get = GetJobRunResultOperator(
            task_id="result",
            job_id="job_ledger",
            workspace_id="ws_production",
            run_id=started(plan),
            max_unmatched_rows=0,
        )
        with pytest.raises(Exception, match="Look at the run") as raised:
            get.execute(context)
        return {**context, "exception": raised.value}

    return failed


def test_a_chat_is_told_the_figures(callbacks, chat, failed):
    callbacks["tell_chat"](failed(DISAGREES))
    (posted,) = chat.posted
    assert posted["text"].startswith("*dag: the data disagree*\nrows processed: 1000\n")
    assert "rows unmatched: 12\n" in posted["text"]
    assert "12 of 1,000 rows are unmatched, over max_unmatched_rows=0" in posted["text"]


def test_a_mailbox_is_told_the_figures(callbacks, mailbox, failed):
    callbacks["tell_mailbox"](failed(DISAGREES))
    (mail,) = mailbox.mails
    assert (mail["To"], mail["Subject"]) == ("data-team@example.com", "dag: the data disagree")
    text = mail.get_body(("html",)).get_content()
    assert "rows unmatched: 12\n" in text
    assert "over max_unmatched_rows=0" in text


def test_a_run_without_a_verdict_is_told_as_such(callbacks, chat, failed):
    callbacks["tell_chat"](failed(BROKEN))
    (posted,) = chat.posted
    assert posted["text"].startswith("*dag: no verdict, FAILED*\n")


@pytest.mark.parametrize("error", [None, "killed from outside", ValueError("a typing error")], ids=repr)
def test_any_other_failure_sends_nothing(callbacks, chat, mailbox, context, error):
    callbacks["tell_chat"]({**context, "exception": error})
    callbacks["tell_mailbox"]({**context, "exception": error})
    assert (chat.posted, mailbox.mails) == ([], [])
