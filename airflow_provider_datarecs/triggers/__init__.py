"""Triggers: what sensors defer to, on the triggerer."""

from __future__ import annotations
