"""Paths that Airflow accepts this distribution's classes from: they begin with its name, dashes as dots."""

from __future__ import annotations
