"""Mixins: what tasks of several kinds share, below the operators and the sensors."""

from __future__ import annotations
