"""What is asked next, by a clock that only the tests move."""

from __future__ import annotations

import random

import pytest

from airflow_provider_datarecs.polling.schedule import ROUNDS, Question, Schedule

NEVER = [(1e9, 2e9, 1.0)]


def question(*runs, now=0.0, known=True, **fields):
    made = Question(now)
    made.new = not known
    for name, value in fields.items():
        setattr(made, name, value)
    made.expect(runs)
    return made


def schedule_of(*questions):
    schedule = Schedule()
    schedule.questions.update(questions)
    return schedule


def ended(spans, time):
    """How many of the runs are expected to have ended by a time."""
    return sum(
        weight * (1.0 if time >= high else max(0.0, time - low) / (high - low)) for low, high, weight in spans
    )


# --- what it costs not to ask ---


def test_nothing_is_lost_before_anything_can_have_ended():
    one = question([(100.0, 200.0, 1.0)])
    assert [one.loss(now) for now in (0.0, 99.0, 100.0)] == [0.0, 0.0, 0.0]
    assert one.loss(101.0) > 0.0


def test_nothing_is_lost_where_nothing_is_expected():
    assert question().loss(1e6) == 0.0


def test_an_end_that_is_sure_costs_a_second_a_second():
    one = question([(100.0, 100.0, 1.0)])
    assert one.loss(150.0) == pytest.approx(50.0, abs=0.001)
    assert one.loss(1_100.0) - one.loss(1_000.0) == pytest.approx(100.0)


def test_two_ends_that_are_sure_cost_two():
    one = question([(10.0, 20.0, 1.0)], [(15.0, 30.0, 0.5), (30.0, 40.0, 0.5)])
    assert one.loss(200.0) - one.loss(100.0) == pytest.approx(200.0)


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
    one = question(*runs)
    spans = [span for run in runs for span in run]
    step, loss = 0.25, 0.0
    for number in range(5_000):
        middle = 900.0 + (number + 0.5) * step
        loss += step * ended(spans, middle)
        assert one.loss(middle + step / 2) == pytest.approx(loss, rel=1e-3, abs=1e-3)


def test_what_is_expected_anew_replaces_what_was():
    one = question([(10.0, 10.0, 1.0)])
    one.expect([NEVER])
    assert one.loss(1_000.0) == 0.0


# --- how much it should be asked ---


def test_the_rank_grows_with_the_weight_and_falls_with_the_interval():
    spans = [(0.0, 100.0, 1.0)]
    usual = question(spans).rank(50.0, 100.0)
    assert question(spans, weight=3.0).rank(50.0, 100.0) == pytest.approx(3.0 * usual)
    assert question(spans, interval=4.0).rank(50.0, 100.0) == pytest.approx(usual / 4.0)


def test_what_waits_a_round_counts_twice_and_hardly_more_for_half_of_one():
    one = question([(0.0, 0.0, 1.0)])
    assert one.rank(100.0, 100.0) == pytest.approx(2.0 * one.loss(100.0))
    assert one.rank(50.0, 100.0) < 1.1 * one.loss(50.0)


def test_the_likeliest_end_is_asked_for_first():
    likely, unlikely = question([(0.0, 10.0, 1.0)]), question([(0.0, 1_000.0, 1.0)])
    assert schedule_of(unlikely, likely).next(20.0, 100.0)[0] is likely


def test_what_is_urgent_comes_first_however_sure_others_are():
    sure = question([(0.0, 0.0, 1.0)], weight=100.0)
    urgent = question(NEVER, urgent=True)
    for now in (0.0, 1.0, 300.0):
        assert schedule_of(sure, urgent).next(now, 1_000.0)[0] is urgent


def test_of_two_that_are_urgent_the_one_that_has_waited_longer_comes_first():
    first, second = question(NEVER, urgent=True), question(NEVER, urgent=True, now=5.0)
    assert schedule_of(second, first).next(10.0, 100.0)[0] is first


def test_what_nothing_is_known_about_comes_before_what_cannot_have_ended():
    new, known = question(known=False), question(NEVER)
    assert schedule_of(known, new).next(1.0, 100.0)[0] is new


def test_of_two_new_ones_the_one_that_has_waited_longer_comes_first():
    first, second = question(known=False), question(known=False, now=5.0)
    assert schedule_of(second, first).next(10.0, 100.0)[0] is first


def test_what_is_sure_to_have_ended_longer_ago_comes_before_a_new_one():
    new, sure = question(known=False), question([(0.0, 0.0, 1.0)])
    assert schedule_of(new, sure).next(10.0, 100.0)[0] is sure


# --- what is due ---


def test_what_is_not_due_is_never_given_and_it_is_told_when_something_is():
    later = question([(0.0, 0.0, 1.0)], due=30.0, urgent=True)
    latest = question([(0.0, 0.0, 1.0)], due=50.0)
    schedule = schedule_of(later, latest)
    assert schedule.next(29.9, 0.001) == (None, 30.0)
    assert schedule.next(30.0, 0.001) == (later, 50.0)


def test_a_question_that_costs_nothing_is_given_if_there_is_no_other():
    idle = question(NEVER)
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
        schedule.questions.add(one)
    for second in range(rounds * count):
        now = float(second)
        one, _ = schedule.next(now, float(count))
        number = owner.pop(one)
        gaps[number].append(now - one.asked)
        schedule.questions.discard(one)
        again = make(number, now)
        owner[again] = number
        schedule.questions.add(again)
    for one, number in owner.items():
        gaps[number].append(rounds * count - one.asked)  # that has not been asked since
    return gaps


@pytest.mark.parametrize("sure", [1, 20, 100, 199])
def test_nothing_waits_longer_than_some_rounds_however_little_it_has_to_tell(sure):
    random.seed(sure)
    count = 200

    def make(number, now):
        return question([(now, now, 1.0)], now=now) if number < sure else question(NEVER, now=now)

    gaps = asked_over(make, count, rounds=20)
    assert max(map(max, gaps)) <= ROUNDS * count + 10  # some may run out of patience at once


@pytest.mark.parametrize("known", [True, False])
def test_where_all_are_alike_they_take_turns(known):
    random.seed(1)
    count = 100

    def make(_number, now):
        return question([(now, now + 1e6, 1.0)], now=now, known=known)

    gaps = asked_over(make, count, rounds=10)
    assert max(map(max, gaps)) <= 1.1 * count


def test_what_may_have_ended_is_asked_more_often():
    random.seed(1)
    count = 100

    def make(number, now):
        return question([(now, now + 100.0, 1.0)] if number < 20 else NEVER, now=now)

    gaps = asked_over(make, count, rounds=20)
    often, seldom = (sum(map(len, part)) / len(part) for part in (gaps[:20], gaps[20:]))
    assert often > 5 * seldom
