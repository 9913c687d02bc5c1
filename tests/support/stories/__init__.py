"""Stories: tasks that start a run and wait for it, while everything that can go wrong does."""

from __future__ import annotations
