"""All numbers that tune polling, in one object; tests and benchmarks take another one for a while."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Iterator, Tuple


@dataclass(frozen=True)
class PollingConfig:
    """Say how often, how soon and for how long runs are polled. Times are in seconds."""

    # --- one wait ---

    first_poll: Tuple[float, float] = (8.0, 12.0)
    """From and to when a triggerer first polls for a wait that it has taken up. An event that comes within a
    second or two of deferring races the executor's report that the worker has exited, and Airflow then fails
    the task. Spread, so that a restarted triggerer does not burst."""
    slow_exit: float = 2.0
    """The same at least, as a multiple of the time that the worker took from the task's start to its
    deferral. On a busy machine, reports that took more than 8 s took up to 1.6 times as long as that."""
    slowest_exit: float = 60.0
    """Which that is at most."""
    min_poke_interval: float = 1.0
    """The least time between two polls for a wait, whatever the sensor asks for."""
    last_poll_within: float = 300.0
    """How long after its deadline a wait goes on, if it has to queue for its last poll or that one fails."""
    last_poll_again: float = 5.0
    """From a first last poll that failed to the next one; later ones are farther apart."""
    reread_after_failures: int = 3
    """Polls in a row that fail, after which the connection is read again, since it may be another by now."""
    reread_pause: float = 30.0
    """The least time between two such readings."""

    # --- what ends a wait only when it is confirmed ---

    confirm_after: float = 7.0
    """Until the poll that is to confirm what would end a wait, on the connection as it is then."""
    unforeseen_for: float = 600.0
    """For which every poll must have met what nobody foresaw before it ends a wait."""
    unforeseen_polls: int = 3
    """How many these polls must be at least."""

    # --- run histories: the lists of a job's runs ---

    max_pages: int = 20
    """Pages of a list that are read in search of a run; then it is asked for by itself."""
    useless_lists: int = 3
    """Jobs whose lists did not help, and none in between whose list did, until no more are asked for."""
    lists_again_after: float = 1800.0
    """After which lists that did not help are tried again."""
    learnt_from: int = 50
    """Runs at either end of a list from which run times are learnt; the newest are at one."""

    # --- when runs are expected to end ---

    durations_kept: int = 20
    """The newest run times that count: a page of a run history has at least as many."""
    jobs_kept: int = 10_000
    """Jobs whose run times are kept while nobody waits for a run of theirs, on each connection."""
    unknown_duration: float = 600.0
    """How long runs usually take, where nothing is known."""
    duration_margin: float = 0.01
    """How far beyond the extremes the next run time may well fall, as a part of the usual one."""
    margin_of_one: float = 0.3
    """The same where but one run time is known; a quarter of that where there are two."""
    beyond: Tuple[float, ...] = (0.0, 1 / 3, 1.0, 3.0, 9.0)
    """A run that outlasts all known run times goes on for about as long again: the edges of equally likely
    spans of what remains, in parts of what it has taken and usually takes."""
    forecast_spans_of_one: int = 7
    """Spans of time between its job's run times in which a run's end is forecast, at most: more of them tell
    hardly more (``benchmarks/scheduling.py``)."""
    forecast_runs: int = 30
    """Runs of a request whose ends are forecast: enough to say when to send it, however many it has."""
    forecast_spans: int = 120
    """Spans of time for all of these together, of which each has a few at least."""

    # --- which request comes next ---

    max_rounds: float = 4.0
    """However sure it seems that nothing has ended, each request is sent before this many rounds are over; a
    round is the time it takes to send each request once."""
    urgent_in_a_row: int = 4
    """Urgent requests after which one comes that is overdue by these rounds, so that webhook events, however
    many, do not keep all other ends from being noticed."""
    evenness: int = 4
    """How much an even distribution counts against asking where most is lost: what has not been sent for a
    round counts twice, and hardly more than once for half a round. Where histories tell nothing, this makes
    the schedule as good as taking turns (``benchmarks/scheduling.py``)."""
    compared: int = 16
    """Requests that are compared with each other for a choice, at most: those that have reached a level."""
    placed_anew: int = 8
    """Requests of which, with each choice, it is found anew when they reach the level, once it is much lower
    than where they were placed for."""
    guesses: int = 2
    """At when a request reaches the level; the last is right to within some hundredths of a round."""
    max_sleep: float = 60.0
    """After which it is seen again what to send, in case a clock jumps."""
    pause_after_mistake: float = 10.0
    """Until the next request after an exception that nobody foresaw."""
    told_at_once: int = 50
    """Waits that are told the same before the event loop has its turn."""

    # --- the pace of requests; parts are of the pause between two requests, or of the limit's window ---

    first_pause: float = 4.0
    """The first pause of a process, as a multiple of the pause of an even pace."""
    calming: float = 0.9
    """No pause is shorter than this part of the one before."""
    quick_calming: float = 0.6
    """The same, where much more is left of the limit than an even pace would have left, and for requests that
    are urgent, which are few."""
    spared: float = 0.1
    """Which part of the limit is left free beside, by polls that are only a safety net, since webhooks say
    when runs have ended."""
    made_up_for: float = 0.1
    """Seconds by which a request may be late without those after it being later as well: a timer is late by a
    millisecond or two, and an event loop has other work."""
    jitter: float = 0.1
    """The part of a pause by which it is longer or shorter at random."""
    sharing: float = 0.15
    """Which part of the share that is left free must be missing for the pace to halve."""
    least_sharing: float = 0.03
    """Which part of the limit that must be at least: the requests of several processes at an even pace are
    off by as much anyway, however little is left free."""
    max_halvings: float = 10.0
    """How often it is halved at most."""
    refused_factor: float = 2.0
    """By which each 429 lengthens pauses; answers calm that down again."""
    max_refused_factor: float = 16.0
    """By which they lengthen them at most."""
    longest_pause: float = 0.5
    """The longest pause as a part of the window, unless it is known when more requests come."""
    fresh_window: float = 0.95
    """What is left of a window that has just begun."""
    fresh_windows_kept: int = 5
    """Windows from whose beginnings the limit is learnt."""
    smoothing: float = 0.05
    """How much the last pause counts in the usual one."""

    # --- webhook events, which are hints to poll a run now ---

    read_hints_every: float = 1.0
    """Between two readings of the hints that a receiver has left."""
    read_hints_again_within: float = 60.0
    """The same at most, where readings fail."""
    hint_failures: int = 3
    """Readings in a row that fail, after which runs are polled as without events."""
    event_within: float = 60.0
    """For the event of an end that a poll has found; without it, events are doubted."""
    events_doubted_for: float = 3600.0
    """For which runs are polled as without events after one that did not come."""
    events_proven_after: int = 5
    """Ends in a row of which events came until the time between polls doubles; and again until each further
    doubling."""
    max_interval_factor: float = 16.0
    """By how much longer than a task's interval it becomes at most."""
    event_counts_for: float = 600.0
    """For which an event counts of a run that nobody waited for when it came."""
    events_kept: int = 20_000
    """Events that are remembered, to know what came before and what comes twice."""

    # --- runs that nobody here has started ---

    ends_kept: int = 200
    """Ended runs of a job that are known to have been told of, beside those on the page just read."""
    told_after: float = 5.0
    """Seconds after which an event that was fired counts as told, and until the next one: by then Airflow has
    usually started the DAG. An event that comes before that stays until there is another one
    (``AssetEvent.timestamp <= triggered_date`` in its scheduler)."""

    # --- beginning and ending a task on the triggerer ---

    begin_within: float = 60.0
    """For its templates to be rendered and its connection to be read; else a worker begins it."""

    push_within: float = 240.0
    """For Airflow to take the XComs of a task, those of all tasks before it included; else a worker ends it.
    Less than what is left of Airflow's own timeout after the last poll of a wait."""

    # --- reports ---

    report_every: float = 10.0
    """Between two reports to Airflow's metrics."""
    line_every: float = 60.0
    """Between two lines in the triggerer's log, at least."""

    # --- cancelling the runs of tasks that a user has ended ---

    ask_airflow_within: float = 5.0
    """For Airflow to say what became of tasks; a triggerer of Airflow 3 that stops gives no answer."""
    airflow_turn_within: float = 60.0
    """Until Airflow can be asked, where others ask it something."""
    kills_together: float = 0.2
    """In which kills come about which Airflow is asked together."""
    kills_at_once: int = 50
    """Tasks that it is asked about at once."""
    cancel_within: float = 1800.0
    """For DataRecs to be asked to cancel a run, where many are killed together."""
    on_kill_within: float = 30.0
    """In a task's own process, for all of that; Airflow 2 gives a task a minute."""
    cancel_in_process_within: float = 20.0
    """In a task's own process, for DataRecs to be asked."""
    cancel_attempts: int = 3
    """At a request to cancel, those that met the rate limit (429) not counted."""
    cancel_pause: float = 2.0
    """Between two of these attempts."""


_current = PollingConfig()


def current() -> PollingConfig:
    """Give the numbers that count now."""
    return _current


@contextmanager
def override(**changes: Any) -> Iterator[None]:
    """
    Let other numbers count for a while, in this process.

    :param changes: fields of :class:`PollingConfig`
    """
    global _current  # noqa: PLW0603 - the one place that holds it
    before, _current = _current, replace(_current, **changes)
    try:
        yield
    finally:
        _current = before
