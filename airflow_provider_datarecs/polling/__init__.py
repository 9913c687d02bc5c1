"""
How a wait goes on and how it ends.

The same for every mode of a sensor: ``watch`` judges each look at a run, and ``events`` carries the
verdict to the task. On the triggerer, ``poller`` looks for all waits on a connection together: ``jobs``
groups what is waited for into questions, ``schedule`` says which to ask next, by the ``forecast`` of
when runs end, ``budget`` when to ask it within the rate limit; ``connection`` asks, ``looks`` reads the
answer, ``telemetry`` reports.
"""

from __future__ import annotations
