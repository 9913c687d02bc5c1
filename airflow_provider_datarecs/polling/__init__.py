"""
How a wait for a run goes on and how it ends.

The same for every mode of a sensor: ``monitor`` judges what each poll shows, ``progress`` tells the task's
log of it, ``confirmation`` asks again before an error ends a wait, and ``events`` carries the end to the
task.

On the triggerer, ``poller`` polls for all waits on a connection together. ``registry`` holds the ``waits``;
``lookup`` plans the requests (``request``) about each job and reads their answers, by the list of the job's
runs or one by one as ``list_state`` says; ``schedule`` picks the next one, by when runs are expected to end
(``durations``); ``pacer`` says when it may go, and ``sender`` sends it through the ``client``, which reads
the ``connection`` again where it may have changed. What is no poll waits for its turn in ``queue``, such as
what ``kill`` sends; ``metrics`` reports. ``trigger_log`` and ``freezing`` keep the event loop from being held
up. All numbers that tune this are in ``config``, and those of airflow.cfg in ``settings``.
"""

from __future__ import annotations
