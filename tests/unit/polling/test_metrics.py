"""What is reported of a connection's load."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from airflow_provider_datarecs.api import errors
from airflow_provider_datarecs.api.runs import Run
from airflow_provider_datarecs.polling.config import PollingConfig
from airflow_provider_datarecs.polling.metrics import Load, PollerMetrics

CALM = Load(waits=3, requests=2, wanted=8.0, possible=80.0, limit=100.0, longest=9.0)
STRETCHED = Load(waits=900, requests=200, wanted=1200.0, possible=80.0, limit=100.0, longest=600.0)
ANSWER = Run("r", "RUNNING", {})
LIMITED = errors.RateLimited("GET /x", "no", 1.0)


class Stats:
    """Takes down what it gets, as Airflow's own would."""

    def __init__(self):
        self.got = []
        self.threads = set()

    def _note(self, kind):
        def note(stat, value, *, tags):
            self.threads.add(threading.get_ident())
            self.got.append((kind, stat, value, tags))

        return note

    def __getattr__(self, name):
        return self._note(name)

    def take(self, kind):
        taken = [(stat, value) for one, stat, value, _ in self.got if one == kind]
        self.got = [entry for entry in self.got if entry[0] != kind]
        return taken


@pytest.fixture
def stats(monkeypatch):
    stats = Stats()
    monkeypatch.setattr("airflow_provider_datarecs.polling.metrics.load_stats", lambda: stats)
    return stats


@pytest.fixture
def metrics(stats):
    return PollerMetrics("c")


async def test_requests_and_429s_are_counted_since_the_last_report(metrics, stats):
    for answer in (ANSWER, LIMITED, ANSWER, errors.Unavailable("GET /x", 503, "no"), LIMITED):
        metrics.count(answer)
    await metrics.report(CALM, 0.0)
    assert stats.take("incr") == [("datarecs.requests", 5), ("datarecs.rate_limited", 2)]
    metrics.count(ANSWER)
    await metrics.report(CALM, 10.0)
    assert stats.take("incr") == [("datarecs.requests", 1)]
    await metrics.report(CALM, 20.0)
    assert stats.take("incr") == []


async def test_gauges_tell_the_waits_and_the_part_of_the_limit_that_was_used_in_the_last_minute(
    metrics, stats
):
    for now, requests, used in (
        (0.0, 10, 0.1),
        (30.0, 20, 0.3),
        (59.0, 5, 0.35),
        (60.0, 0, 0.25),
        (200.0, 0, 0),
    ):
        for _ in range(requests):
            metrics.count(ANSWER)
        await metrics.report(CALM, now)
        assert stats.take("gauge") == [("datarecs.waits", 3), ("datarecs.budget_used", pytest.approx(used))]


async def test_each_time_to_notice_is_sent_once_in_milliseconds(metrics, stats):
    metrics.noticed(1.5)
    metrics.noticed(0.25)
    await metrics.report(CALM, 0.0)
    assert stats.take("timing") == [("datarecs.time_to_notice", 1500.0), ("datarecs.time_to_notice", 250.0)]
    await metrics.report(CALM, 10.0)
    assert stats.take("timing") == []


async def test_everything_is_tagged_with_the_connection(metrics, stats):
    metrics.count(LIMITED)
    metrics.noticed(1.0)
    await metrics.report(CALM, 0.0)
    assert len(stats.got) == 5
    assert [tags for *_, tags in stats.got] == [{"conn_id": "c"}] * 5


async def test_metrics_are_sent_off_the_event_loop(metrics, stats):
    metrics.count(LIMITED)
    metrics.noticed(1.0)
    await metrics.report(CALM, 0.0)
    assert len(stats.threads) == 1
    assert threading.get_ident() not in stats.threads


async def test_what_comes_while_a_report_is_sent_counts_for_the_next(metrics, stats, monkeypatch):
    send = metrics._send

    def send_slowly(*arguments):
        metrics.count(ANSWER)
        metrics.noticed(2.0)
        send(*arguments)

    monkeypatch.setattr(metrics, "_send", send_slowly)
    await metrics.report(CALM, 0.0)
    assert stats.take("incr") == stats.take("timing") == []
    monkeypatch.setattr(metrics, "_send", send)
    await metrics.report(CALM, 10.0)
    assert stats.take("incr") == [("datarecs.requests", 1)]
    assert stats.take("timing") == [("datarecs.time_to_notice", 2000.0)]


async def test_the_first_report_writes_a_line(metrics, lines):
    for answer in (ANSWER, ANSWER, LIMITED):
        metrics.count(answer)
    await metrics.report(CALM, 0.0)
    (line,) = lines()
    assert line == (
        "Connection c: 3 waits, 2 requests for one poll of each; 3 requests in the last minute, 1 of them "
        "refused with 429; the limit is 100"
    )


async def test_nothing_is_written_while_nothing_changes(metrics, lines):
    for number in range(100):
        metrics.count(ANSWER)
        await metrics.report(CALM, 10.0 * number)
    assert len(lines()) == 1


async def test_however_much_changes_there_is_one_line_a_minute(metrics, lines):
    for number in range(61):
        await metrics.report(replace(CALM, waits=number), 10.0 * number)
    assert [int(message.split()[2]) for message in lines()] == list(range(0, 61, 6))


@pytest.mark.parametrize(
    "change", [{"waits": 4}, {"requests": 3}, {"possible": 1.0}], ids=["waits", "requests", "stretch"]
)
async def test_a_change_is_written_when_the_minute_is_over_unless_it_has_passed(metrics, lines, change):
    changed = replace(CALM, **change)
    await metrics.report(CALM, 0.0)
    await metrics.report(changed, PollingConfig.line_every - 20.0)
    await metrics.report(CALM, PollingConfig.line_every)
    assert len(lines()) == 1
    await metrics.report(changed, PollingConfig.line_every + 10.0)
    assert len(lines()) == 2


async def test_429s_are_written_when_they_begin_and_when_they_are_over(metrics, lines):
    await metrics.report(CALM, 0.0)
    for number in range(1, 40):
        for answer in (ANSWER, LIMITED) if number < 20 else (ANSWER,):
            metrics.count(answer)
        await metrics.report(CALM, 10.0 * number)
    assert [message.partition("minute, ")[2] for message in lines()] == [
        f"{count} of them refused with 429; the limit is 100" for count in (0, 6, 0)
    ]


async def test_that_looks_cannot_come_as_often_as_wanted_is_told_when_it_begins(metrics, lines):
    await metrics.report(STRETCHED, 0.0)
    (line,) = lines()
    assert line == (
        "Connection c: the 900 waits take 200 requests for one poll of each. As they are set, that is every "
        "10 s on average, 1200 requests a minute; the rate limit leaves 80. So polls come every 150 s on "
        "average, more often when runs usually end, and after 600 s at the latest"
    )
    for number in range(1, 10):
        await metrics.report(replace(STRETCHED, waits=900 + number), PollingConfig.line_every * number)
    assert len(lines()) == 10
    assert sum("As they are set" in message for message in lines()) == 1


async def test_a_stretch_that_begins_again_is_told_again(metrics, lines):
    for number, load in enumerate((STRETCHED, CALM, STRETCHED)):
        await metrics.report(load, PollingConfig.line_every * number)
    assert ["As they are set" in message for message in lines()] == [True, False, True]


async def test_a_stretch_that_begins_between_two_lines_is_told_with_the_next(metrics, lines):
    await metrics.report(CALM, 0.0)
    await metrics.report(STRETCHED, 10.0)
    assert len(lines()) == 1
    await metrics.report(STRETCHED, PollingConfig.line_every)
    assert "As they are set" in lines()[1]


@pytest.mark.parametrize(("wanted", "stretched"), [(79.0, False), (80.0, False), (81.0, True)])
def test_a_load_is_stretched_when_more_is_wanted_than_possible(wanted, stretched):
    assert replace(CALM, wanted=wanted).is_stretched is stretched
