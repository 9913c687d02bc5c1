"""The hook: a connection of type ``datarecs``, and blocking calls for tasks."""

from __future__ import annotations
