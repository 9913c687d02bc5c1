"""Sensors: wait for runs, by deferring unless told otherwise."""

from __future__ import annotations
