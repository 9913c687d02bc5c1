"""What is asked next, by a clock that only the tests move."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from airflow_provider_datarecs.polling import schedule as schedule_module
from airflow_provider_datarecs.polling.config import PollingConfig
from airflow_provider_datarecs.polling.durations import RunDurations
from airflow_provider_datarecs.polling.losses import LossCurve
from airflow_provider_datarecs.polling.schedule import Schedule, draw_max_rounds

NEVER = [(1e9, 2e9, 1.0)]
ROUNDS = PollingConfig.max_rounds


@dataclass(eq=False)
class Asked:
    """Something that is asked again and again."""

    curve: LossCurve
    asked_at: float = 0.0
    due: float = 0.0
    interval: float = 1.0
    is_urgent: bool = False
    max_rounds: float = field(default_factory=draw_max_rounds)


def asked(*runs, now=0.0, weight=1.0, **fields):
    curve = LossCurve([span for spans in runs for span in spans], weight)
    return Asked(curve, **{"asked_at": now, "due": now, **fields})


def unknown(now=0.0):
    """Something of which nothing is known: as likely over as not."""
    return asked([(now, now, 0.5)], now=now)


def schedule_of(*candidates):
    schedule = Schedule()
    for candidate in candidates:
        schedule.add(candidate)
    return schedule


def ended(spans, time):
    """How many of the runs are expected to have ended by a time."""
    return sum(
        weight * (1.0 if time >= high else max(0.0, time - low) / (high - low)) for low, high, weight in spans
    )


# --- what it costs not to ask ---


def test_nothing_is_lost_before_anything_can_have_ended():
    one = asked([(100.0, 200.0, 1.0)])
    assert [one.curve.loss(now) for now in (0.0, 99.0, 100.0)] == [0.0, 0.0, 0.0]
    assert one.curve.loss(101.0) > 0.0


def test_nothing_is_lost_where_nothing_is_expected():
    assert asked().curve.loss(1e6) == 0.0


def test_an_end_that_is_sure_costs_a_second_a_second():
    one = asked([(100.0, 100.0, 1.0)])
    assert one.curve.loss(150.0) == pytest.approx(50.0, abs=0.001)
    assert one.curve.loss(1_100.0) - one.curve.loss(1_000.0) == pytest.approx(100.0)


def test_two_ends_that_are_sure_cost_two():
    one = asked([(10.0, 20.0, 1.0)], [(15.0, 30.0, 0.5), (30.0, 40.0, 0.5)])
    assert one.curve.loss(200.0) - one.curve.loss(100.0) == pytest.approx(200.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_the_integral_of_the_probability(seed):
    chances = random.Random(seed)
    runs = []
    for _ in range(chances.randint(1, 4)):
        edges = sorted(chances.uniform(1_000.0, 2_000.0) for _ in range(8))
        weights = [chances.random() for _ in range(7)]
        runs.append(
            [
                (low, high, weight / sum(weights))
                for low, high, weight in zip(edges, edges[1:], weights)
                if chances.random() < 0.8  # with gaps
            ]
        )
    one = asked(*runs)
    spans = [span for run in runs for span in run]
    step, loss = 0.25, 0.0
    for number in range(5_000):
        middle = 900.0 + (number + 0.5) * step
        loss += step * ended(spans, middle)
        assert one.curve.loss(middle + step / 2) == pytest.approx(loss, rel=1e-3, abs=1e-3)


# --- how much it should be asked ---


@pytest.mark.parametrize(
    ("more", "less"),
    [
        (asked([(0.0, 100.0, 1.0)], weight=3.0), asked([(0.0, 100.0, 1.0)], weight=2.9)),
        (asked([(0.0, 100.0, 1.0)], interval=4.0), asked([(0.0, 100.0, 1.0)], interval=4.1)),
        # What waits a round counts twice, and hardly more for half of one.
        (asked([(0.0, 0.0, 1.0)]), asked([(-99.0, -99.0, 1.0)], now=99.0)),
        (asked([(-101.0, -101.0, 1.0)], now=99.0), asked([(0.0, 0.0, 1.0)])),
        (asked([(46.0, 46.0, 1.0)], now=99.0), asked([(50.0, 50.0, 1.0)], now=50.0)),
    ],
    ids=["weight", "interval", "a round", "no more for it", "half a round"],
)
def test_what_counts_more_is_asked_first(more, less):
    for candidates in ((more, less), (less, more)):
        assert schedule_of(*candidates).next(100.0, 100.0)[0] is more


def test_the_likeliest_end_is_asked_for_first():
    likely, unlikely = asked([(0.0, 10.0, 1.0)]), asked([(0.0, 1_000.0, 1.0)])
    assert schedule_of(unlikely, likely).next(20.0, 100.0)[0] is likely


def test_what_is_urgent_comes_first_however_sure_others_are():
    sure = asked([(0.0, 0.0, 1.0)], weight=100.0)
    urgent = asked(NEVER, is_urgent=True)
    for now in (0.0, 1.0, 300.0):
        assert schedule_of(sure, urgent).next(now, 1_000.0)[0] is urgent


def test_of_two_that_are_urgent_the_one_that_has_waited_longer_comes_first():
    first, second = asked(NEVER, is_urgent=True), asked(NEVER, is_urgent=True, now=5.0)
    assert schedule_of(second, first).next(10.0, 100.0)[0] is first


def test_what_is_urgent_comes_before_what_is_overdue():
    overdue, urgent = asked(NEVER), asked(NEVER, is_urgent=True, now=9_999.0)
    assert schedule_of(overdue, urgent).next(10_000.0, 1.0)[0] is urgent


def test_what_has_just_become_urgent_comes_after_what_has_been_so_for_longer():
    first, second = asked(NEVER, is_urgent=True, now=50.0), asked(NEVER, is_urgent=True)
    second.due = 90.0  # though it was not asked for longer
    assert schedule_of(second, first).next(100.0, 1_000.0)[0] is first


def test_however_much_is_urgent_what_is_overdue_has_its_turns():
    now, urgent_ones = 10_000.0, [asked(NEVER, is_urgent=True, due=n) for n in range(20)]
    overdue, idle = [asked(NEVER), asked(NEVER)], asked(NEVER, now=now)
    schedule, order = schedule_of(*urgent_ones, *overdue, idle), []
    while len(schedule):
        order.append(schedule.next(now, 100.0)[0])
        schedule.take_out(order[-1])
    turns = PollingConfig.urgent_in_a_row
    assert [order.index(one) for one in sorted(overdue, key=order.index)] == [turns, 2 * turns + 1]
    assert order[-1] is idle


def test_where_only_what_is_urgent_may_be_asked_nothing_else_is():
    sure, later = asked([(0.0, 0.0, 1.0)], weight=100.0), asked(NEVER, is_urgent=True, due=70.0)
    schedule = schedule_of(sure, later)
    assert schedule.next(50.0, 100.0, only_urgent=True) == (None, 70.0)
    assert schedule.next(70.0, 100.0, only_urgent=True)[0] is later
    assert schedule.next(50.0, 100.0)[0] is sure


def test_what_nothing_is_known_about_comes_before_what_cannot_have_ended():
    new, known = unknown(), asked(NEVER)
    assert schedule_of(known, new).next(1.0, 100.0)[0] is new


def test_of_two_new_ones_the_one_that_has_waited_longer_comes_first():
    first, second = unknown(), unknown(5.0)
    assert schedule_of(second, first).next(10.0, 100.0)[0] is first


def test_what_is_sure_to_have_ended_longer_ago_comes_before_a_new_one():
    new, sure = unknown(), asked([(0.0, 0.0, 1.0)])
    assert schedule_of(new, sure).next(10.0, 100.0)[0] is sure


# --- what is due ---


def test_what_is_not_due_is_never_given_and_it_is_told_when_something_is():
    later = asked([(0.0, 0.0, 1.0)], due=30.0, is_urgent=True)
    latest = asked([(0.0, 0.0, 1.0)], due=50.0)
    schedule = schedule_of(later, latest)
    assert schedule.next(29.9, 0.001) == (None, 30.0)
    assert schedule.next(30.0, 0.001) == (later, 50.0)


def test_a_question_that_costs_nothing_is_given_if_there_is_no_other():
    idle = asked(NEVER)
    assert schedule_of(idle).next(1.0, 100.0) == (idle, float("inf"))


def test_an_empty_schedule_has_nothing_to_wait_for():
    assert Schedule().next(0.0, 1.0) == (None, float("inf"))


# --- over time ---


def asked_over(make, count, *, rounds):
    """Ask one of so many questions each second; give the gaps between the times that each was asked."""
    schedule, gaps, owner = Schedule(), [[] for _ in range(count)], {}
    for number in range(count):
        one = make(number, 0.0)
        owner[one] = number
        schedule.add(one)
    for second in range(rounds * count):
        now = float(second)
        one, _ = schedule.next(now, float(count))
        number = owner.pop(one)
        gaps[number].append(now - one.asked_at)
        schedule.discard(one)
        again = make(number, now)
        owner[again] = number
        schedule.add(again)
    for one, number in owner.items():
        gaps[number].append(rounds * count - one.asked_at)  # that has not been asked since
    return gaps


@pytest.mark.parametrize("sure", [1, 20, 100, 199])
def test_nothing_waits_longer_than_some_rounds_however_little_it_has_to_tell(sure):
    random.seed(sure)
    count = 200

    def make(number, now):
        return asked([(now, now, 1.0)], now=now) if number < sure else asked(NEVER, now=now)

    gaps = asked_over(make, count, rounds=20)
    assert max(map(max, gaps)) <= ROUNDS * count + 10  # some may run out of patience at once


@pytest.mark.parametrize("known", [True, False])
def test_where_all_are_alike_they_take_turns(known):
    random.seed(1)
    count = 100

    def make(_number, now):
        return asked([(now, now + 1e6, 1.0)], now=now) if known else unknown(now)

    gaps = asked_over(make, count, rounds=10)
    assert max(map(max, gaps)) <= 1.1 * count


def test_what_may_have_ended_is_asked_more_often():
    random.seed(1)
    count = 100

    def make(number, now):
        return asked([(now, now + 100.0, 1.0)] if number < 20 else NEVER, now=now)

    gaps = asked_over(make, count, rounds=20)
    often, seldom = (sum(map(len, part)) / len(part) for part in (gaps[:20], gaps[20:]))
    assert often > 5 * seldom


def test_once_all_that_was_unknown_is_known_what_may_have_ended_is_found_soon():
    # While they were unknown, each cost much not to ask; when those are through, others cost far less.
    random.seed(1)
    count = 400
    schedule = schedule_of(*(unknown() for _ in range(count)))
    for now in range(1, count + 1):
        one, _ = schedule.next(float(now), count)
        schedule.discard(one)
        ends = now + 100.0 + 7.0 * (now % 97)
        schedule.add(asked([(ends, ends + 50.0, 1.0)], now=now, max_rounds=1e9))
    overdue = []
    for now in range(count + 1, 2 * count + 1):
        one, _ = schedule.next(float(now), count)
        schedule.discard(one)
        overdue.append(one.curve.loss(now) > 0.0)
        schedule.add(asked(NEVER, now=now, max_rounds=1e9))
    assert sum(overdue[:200]) > 150


def work_of_a_choice(count, monkeypatch):
    """How many ranks are found for each choice among so many that all are due, once they have settled."""
    random.seed(1)
    chances, ranks = random.Random(1), []

    def rank(*arguments):
        ranks.append(arguments)
        return find_rank(*arguments)

    find_rank = schedule_module._rank
    monkeypatch.setattr(schedule_module, "_rank", rank)

    durations = []
    for _ in range(count):
        durations.append(RunDurations())
        for number in range(20):
            durations[-1].learn(str(number), ended=number, seconds=chances.gauss(1e6, 1e5))

    def make(job, now, seen):
        one = asked(durations[job].spans(-60.0, seen), now=now)
        owner[one] = job
        return one

    owner = {}
    schedule = schedule_of(*(make(job, -chances.uniform(0.0, count), 0.0) for job in range(count)))
    for now in range(4 * count):
        if now == 3 * count:
            ranks.clear()
        one, _ = schedule.next(float(now), float(count))
        schedule.take_out(one)
        schedule.add(make(owner.pop(one), float(now), float(now)))
    return len(ranks) / count


def test_the_work_of_a_choice_hardly_grows_with_how_many_are_due(monkeypatch):
    with monkeypatch.context() as patches:
        few = work_of_a_choice(200, patches)
    with monkeypatch.context() as patches:
        many = work_of_a_choice(5_000, patches)
    assert many < 1.4 * few
