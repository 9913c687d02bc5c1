"""Task groups: what is used together, in one call."""

from __future__ import annotations
