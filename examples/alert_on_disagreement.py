"""Tell a chat and a mailbox, with the figures, when the data disagree or a run does not end well."""

from __future__ import annotations

from datetime import datetime
from html import escape

from airflow.providers.datarecs.exceptions import DataRecsRowsUnmatched, DataRecsRunUnsuccessful
from airflow.providers.datarecs.task_groups.reconcile import reconcile

try:
    from airflow.sdk import DAG, BaseHook
except ImportError:  # Airflow 2
    from airflow.hooks.base import BaseHook
    from airflow.models.dag import DAG


def alert_about(context):
    """Give subject and text, or None for a failure that says nothing of the data."""
    error = context.get("exception")
    if not isinstance(error, DataRecsRunUnsuccessful):
        return None
    disagrees = isinstance(error, DataRecsRowsUnmatched)
    found = "the data disagree" if disagrees else f"no verdict, {error.status}"
    figures = [
        f"{name.replace('_', ' ')}: {error.result.get(name)}"
        for name in ("rows_processed", "rows_matched", "rows_unmatched")
    ]
    return f"{context['ti'].dag_id}: {found}", "\n".join([*figures, "", str(error)])


def tell_chat(context):
    """Post it to an incoming webhook, such as Slack's, whose URL is the password."""
    alert = alert_about(context)
    if alert:
        import requests

        subject, text = alert
        url = BaseHook.get_connection("data_alerts").password
        requests.post(url, json={"text": f"*{subject}*\n{text}"}, timeout=30).raise_for_status()


def tell_mailbox(context):
    """Send it by the connection smtp_default, which has the sender."""
    alert = alert_about(context)
    if alert:
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        subject, text = alert
        with SmtpHook() as smtp:
            smtp.send_email_smtp(
                to="data-team@example.com",
                subject=subject,
                html_content=f"<pre>{escape(text)}</pre>",
            )


with DAG(
    dag_id="alert_on_disagreement",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
):
    reconcile(
        "balances",
        workspace_name="Production",
        job_name="daily-balance-check",
        max_unmatched_rows=0,
        poke_interval=30,
        timeout=7200,
        default_args={"on_failure_callback": [tell_chat, tell_mailbox]},
    )
