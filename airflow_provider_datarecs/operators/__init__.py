"""Operators: short, synchronous tasks."""

from __future__ import annotations
