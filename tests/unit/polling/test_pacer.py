"""The pace of requests, against a rate limit and by a clock that only the tests move."""

from __future__ import annotations

import heapq
import itertools
import random
from types import SimpleNamespace

import pytest

from airflow_provider_datarecs.api import rate_limit
from airflow_provider_datarecs.api.rate_limit import RateLimitConfig, RateLimitState
from airflow_provider_datarecs.polling.config import PollingConfig
from airflow_provider_datarecs.polling.pacer import RequestPacer
from airflow_provider_datarecs.simulator.rate_limit import RateLimit

NUMBERS = PollingConfig()

REMAINING, RESET = "X-RateLimit-Remaining", "X-RateLimit-Reset"
EVEN = 60.0 / 80  # seconds: 80 of 100 requests a minute, spread evenly

both_windows = pytest.mark.parametrize("sliding", [False, True], ids=["fixed", "sliding"])


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, as a list of one that the test may change."""
    now = [0.0]
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture(params=range(3))
def seed(request):
    random.seed(request.param)
    return request.param


class Processes:
    """
    Let processes that share a key ask as often as their budgets let them, and operators now and then.

    :param others: requests a minute that others send, from the fifth minute on
    :param seconds: until an answer comes, on average
    :param starts: seconds within which the processes start
    """

    def __init__(self, clock, limit, count=1, *, others=0, headers=True, seconds=0.05, starts=0.0):
        self.clock = clock
        self.limit = limit
        self.headers = headers
        self.seconds = seconds
        self.budgets = [RequestPacer(RateLimitState()) for _ in range(count)]
        self.sent = []  # when, by which process, and whether it was let through
        self.others = []
        self._order = itertools.count()
        self._coming = []
        for pacer in self.budgets:
            self._at(random.uniform(0.0, starts), self._send, pacer)
        if others:
            self._at(300.0, self._send_other, others)

    def _at(self, time, action, *arguments):
        heapq.heappush(self._coming, (time, next(self._order), action, arguments))

    def run(self, minutes):
        while self._coming[0][0] < 60.0 * minutes:
            self.clock[0], _, action, arguments = heapq.heappop(self._coming)
            action(*arguments)
        return self

    def _send(self, pacer):
        now = self.clock[0]
        if pacer.opens_at() > now:
            self._at(pacer.opens_at(), self._send, pacer)
            return
        pacer.sent(now)
        taken = self.limit.take("key", now)
        self.sent.append((now, self.budgets.index(pacer), taken))
        reset = self.limit.shown(self.limit.seconds_left("key", now))
        headers = {REMAINING: str(self.limit.remaining("key", now)), RESET: reset} if self.headers else {}
        comes = now + self.seconds * random.uniform(0.2, 2.0)
        self._at(comes, self._answer, pacer, headers, None if taken else float(reset))

    def _answer(self, pacer, headers, wait):
        now = self.clock[0]
        pacer.state.note(headers)
        pacer.answered(now)
        if wait is not None:
            pacer.refused(now, wait)
        self._at(max(now, pacer.opens_at()), self._send, pacer)

    def _send_other(self, others):
        now = self.clock[0]
        self.others.append((now, None, self.limit.take("key", now)))
        self._at(now + random.expovariate(others / 60.0), self._send_other, others)

    @property
    def refused(self):
        """The part of the requests that met a 429."""
        return sum(not taken for _, _, taken in self.sent) / len(self.sent)

    def per_minute(self, first, last, process=None):
        """How many requests a minute there were, from one minute to another."""
        times = [time for time, which, _ in self.sent if process in (None, which)]
        return sum(60.0 * first <= time < 60.0 * last for time in times) / (last - first)

    def most_within(self, seconds):
        times = [time for time, _, _ in self.sent]
        return max(
            sum(start <= time < start + seconds for time in times[at : at + 200])
            for at, start in enumerate(times)
        )


# --- one process ---


@both_windows
@pytest.mark.usefixtures("seed")
def test_one_process_uses_the_limit_but_for_the_share_left_free_and_never_bursts(clock, sliding):
    processes = Processes(clock, RateLimit(sliding=sliding)).run(20)
    assert processes.refused == 0
    assert 70 <= processes.per_minute(5, 20) <= 81
    assert processes.most_within(5.0) <= 8


@both_windows
@pytest.mark.usefixtures("seed")
def test_a_start_is_slower_than_an_even_pace(clock, sliding):
    processes = Processes(clock, RateLimit(sliding=sliding)).run(2)
    starts = [time for time, _, _ in processes.sent]
    assert starts[1] >= (1 - NUMBERS.jitter) * NUMBERS.calming * NUMBERS.first_pause * EVEN
    assert 40 <= processes.per_minute(0, 1) < 75


@both_windows
@pytest.mark.parametrize("limit", [50, 300])
@pytest.mark.usefixtures("seed")
def test_another_limit_is_learnt_from_the_headers(clock, sliding, limit):
    processes = Processes(clock, RateLimit(limit, sliding=sliding)).run(15)
    assert processes.refused == 0
    assert 0.9 * limit <= processes.budgets[0].limit <= limit
    assert 0.7 * limit <= processes.per_minute(5, 15) <= 0.81 * limit


@both_windows
@pytest.mark.usefixtures("seed")
def test_without_headers_the_pace_is_even(clock, sliding):
    processes = Processes(clock, RateLimit(sliding=sliding), headers=False).run(15)
    assert processes.refused == 0
    assert 78 <= processes.per_minute(5, 15) <= 82
    assert processes.most_within(5.0) <= 8


# --- with others ---


@both_windows
@pytest.mark.parametrize("starts", [0.0, 60.0], ids=["at once", "one by one"])
@pytest.mark.usefixtures("seed")
def test_three_processes_share_alike(clock, sliding, starts):
    processes = Processes(clock, RateLimit(sliding=sliding), 3, starts=starts).run(20)
    assert processes.refused == 0
    total = processes.per_minute(10, 20)
    assert 70 <= total <= 90
    for process in range(3):
        assert 0.22 * total <= processes.per_minute(10, 20, process) <= 0.45 * total


@both_windows
@pytest.mark.parametrize("free", [0.05, 0.1, 0.2])
@pytest.mark.usefixtures("seed")
def test_two_processes_use_the_limit_however_little_is_left_free(clock, sliding, free):
    processes = Processes(clock, RateLimit(sliding=sliding), 2, starts=60.0)
    for pacer in processes.budgets:
        pacer.configure(RateLimitConfig(share_left_free=free))
    processes.run(20)
    assert processes.refused == 0
    assert processes.per_minute(5, 20) >= 85.0 * (1.0 - free)


@both_windows
@pytest.mark.usefixtures("seed")
def test_ten_processes_stay_within_the_limit(clock, sliding):
    processes = Processes(clock, RateLimit(sliding=sliding), 10).run(20)
    assert processes.refused < 0.01
    total = processes.per_minute(10, 20)
    assert 60 <= total <= 95
    for process in range(10):
        assert 0.04 * total <= processes.per_minute(10, 20, process) <= 0.2 * total


@both_windows
@pytest.mark.parametrize(("count", "refused"), [(1, 0), (3, 0.01)])
@pytest.mark.usefixtures("seed")
def test_operators_that_take_much_of_the_limit_are_made_way_for(clock, sliding, count, refused):
    processes = Processes(clock, RateLimit(sliding=sliding), count, others=40).run(20)
    assert sum(not taken for _, _, taken in processes.others) <= refused * len(processes.others)
    assert processes.refused < 0.01
    assert len(processes.others) > 500
    assert 15 <= processes.per_minute(10, 20) <= 55 < 65 <= processes.per_minute(2, 5)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.usefixtures("seed")
def test_answers_that_take_long_slow_the_pace_rather_than_meet_the_limit(clock, count):
    assert Processes(clock, RateLimit(), count, seconds=5.0).run(10).refused == 0


# --- one answer ---


@pytest.fixture
def calm_pacer(clock):
    """A pacer that has sent evenly for a while, without headers."""
    pacer = RequestPacer(RateLimitState())
    for _ in range(30):
        clock[0] = pacer.opens_at() if clock[0] else 1_000.0
        pacer.sent(clock[0])
        pacer.answered(clock[0])
    assert pacer.pauses.usual == pytest.approx(EVEN)
    return pacer


@pytest.mark.usefixtures("seed")
def test_after_a_429_nothing_goes_for_as_long_as_it_says_nor_much_longer(calm_pacer, clock):
    calm_pacer.sent(clock[0])
    calm_pacer.answered(clock[0])
    calm_pacer.refused(clock[0], 42.0)
    assert clock[0] + 42.0 <= calm_pacer.opens_at() <= clock[0] + 42.0 * (1 + NUMBERS.jitter)


def test_after_a_429_the_pace_is_slower_and_then_calm_again(calm_pacer, clock):
    calm_pacer.refused(clock[0], 1.0)
    pauses = []
    for _ in range(20):
        clock[0] = calm_pacer.opens_at()
        calm_pacer.sent(clock[0])
        pauses.append(calm_pacer.pauses.usual)
        calm_pacer.answered(clock[0])
    assert pauses[0] == pytest.approx(2.0 * EVEN)
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[-1] == pytest.approx(EVEN)


def test_many_429s_do_not_slow_it_down_for_ever(calm_pacer, clock):
    for _ in range(50):
        calm_pacer.refused(clock[0], 0.0)
    calm_pacer.sent(clock[0])
    assert calm_pacer.pauses.usual <= NUMBERS.max_refused_factor * EVEN


@pytest.mark.parametrize("took", [0.0, 5.0])
@pytest.mark.parametrize("reset", [1, 5, 20, 40, 55])
def test_where_nothing_remains_the_next_request_waits_until_the_reset(calm_pacer, clock, reset, took):
    for seed in range(10):
        random.seed(seed)
        clock[0] = max(clock[0], calm_pacer.opens_at())
        calm_pacer.sent(clock[0])
        clock[0] += took
        calm_pacer.state.note({REMAINING: "0", RESET: str(reset)})
        calm_pacer.answered(clock[0])
        assert clock[0] + reset <= calm_pacer.opens_at() <= clock[0] + 70.0


def test_no_pause_is_much_shorter_than_the_one_before(calm_pacer, clock):
    calm_pacer.state.note({REMAINING: "1", RESET: "20"})
    calm_pacer.answered(clock[0])
    slow = calm_pacer.pauses.usual
    assert slow > 5.0
    clock[0] = calm_pacer.opens_at()
    calm_pacer.sent(clock[0])
    calm_pacer.state.note({REMAINING: "99", RESET: "60"})
    calm_pacer.answered(clock[0])
    assert calm_pacer.pauses.usual == pytest.approx(NUMBERS.calming * slow)


def sent_and_answered(pacer, clock, remaining, reset):
    clock[0] = pacer.opens_at()
    pacer.sent(clock[0])
    pacer.state.note({REMAINING: str(remaining), RESET: str(reset)})
    pacer.answered(clock[0])


def test_after_a_long_pause_what_is_urgent_soon_goes_evenly_again(calm_pacer, clock):
    sent_and_answered(calm_pacer, clock, 1, 20)
    assert calm_pacer.opens_for_urgent_at() == calm_pacer.opens_at() > clock[0] + 5.0
    pauses = []
    for _ in range(9):
        sent_and_answered(calm_pacer, clock, 99, 55)
        pauses.append(calm_pacer.pauses.urgent)
        assert calm_pacer.opens_for_urgent_at() <= calm_pacer.opens_at()
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[-1] == pytest.approx(EVEN)
    assert calm_pacer.pauses.usual > 5.0


def test_what_others_can_do_without_waits_for_more_of_the_limit_to_be_left(calm_pacer, clock):
    assert calm_pacer.opens_for_spare_at() == calm_pacer.opens_at()  # nothing is known
    for remaining, is_longer in ((75, False), (65, True), (52, True)):
        sent_and_answered(calm_pacer, clock, remaining, 30)  # an even pace would have left 60
        assert (calm_pacer.opens_for_spare_at() > calm_pacer.opens_at()) is is_longer


@pytest.mark.parametrize("remaining", [0, 50])
def test_nothing_goes_where_nothing_remains_however_urgent_it_is(calm_pacer, clock, remaining):
    sent_and_answered(calm_pacer, clock, remaining, 30)
    assert (calm_pacer.opens_for_urgent_at() >= clock[0] + 30.0) is (remaining == 0)


def test_requests_that_are_not_answered_yet_count_as_taken(clock):
    def pause_with(unanswered):
        pacer = RequestPacer(RateLimitState())
        for _ in range(30):
            clock[0] += EVEN
            pacer.sent(clock[0])
            pacer.answered(clock[0])
        pacer.state.note({REMAINING: "99", RESET: "60"})
        for _ in range(unanswered):
            pacer.sent(clock[0])
        return pacer.pauses.usual

    pauses = [pause_with(unanswered) for unanswered in (1, 5, 9)]
    assert pauses == sorted(set(pauses))


def test_what_was_said_of_a_window_that_is_over_does_not_count(calm_pacer, clock):
    calm_pacer.state.note({REMAINING: "0", RESET: "1"})
    clock[0] += 2.0
    calm_pacer.sent(clock[0])
    assert calm_pacer.pauses.usual == pytest.approx(EVEN)


# --- what the user says ---


@pytest.mark.parametrize(
    ("limits", "even"),
    [
        (RateLimitConfig(requests_per_minute=600), 0.125),
        (RateLimitConfig(requests_per_minute=10), 7.5),
        (RateLimitConfig(share_left_free=0.0), 0.6),
        (RateLimitConfig(share_left_free=0.5), 1.2),
    ],
)
def test_other_limits_count_from_when_they_are_known(calm_pacer, clock, limits, even):
    calm_pacer.configure(limits)
    assert calm_pacer.config == limits
    assert calm_pacer.limit == limits.requests_per_minute
    assert calm_pacer.pauses.usual == pytest.approx(NUMBERS.first_pause * even)
    for _ in range(30):
        clock[0] = calm_pacer.opens_at()
        calm_pacer.sent(clock[0])
        calm_pacer.answered(clock[0])
    assert calm_pacer.pauses.usual == pytest.approx(even)
    assert calm_pacer.usual_pause == pytest.approx(even, rel=0.8)


def test_what_the_answers_say_counts_more_than_what_the_user_says(clock):
    processes = Processes(clock, RateLimit(50))
    processes.budgets[0].configure(RateLimitConfig(requests_per_minute=40))
    processes.run(10)
    assert processes.refused == 0
    assert 35 <= processes.per_minute(5, 10) <= 41
