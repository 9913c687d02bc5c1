"""
How a wait goes on and how it ends, the same for every mode of a sensor.

``watch`` judges each look at a run, ``events`` carries the verdict to the task, ``shared_client`` is what the
triggers on one connection look with.
"""

from __future__ import annotations
