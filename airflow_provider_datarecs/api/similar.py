"""Says what was meant by a name that is not there."""

from __future__ import annotations

import difflib
from typing import Iterable

MOST_LISTED = 10  # names that a message lists


def nearest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """
    Give the known names that are like a name, the nearest first.

    :param name: the name that is not there
    :param known: those that are
    :param most: how many to give at most
    """
    # Case and the marks between words are what people get wrong; several names may differ in nothing else.
    plain: dict[str, list[str]] = {}
    for one in known:
        plain.setdefault(_plain(one), []).append(one)
    found = difflib.get_close_matches(_plain(name), plain, n=most)
    return [one for key in found for one in sorted(plain[key])][:most]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """
    Ask for the nearest of the known names, for the middle of a sentence; empty where none is near.

    :param name: the name that is not there
    :param known: those that are
    """
    return "".join(f"; did you mean {one!r}?" for one in nearest(name, known, most=1))


def listed(name: str, known: Iterable[str]) -> str:
    """
    List the known names, those like a name first, and the number of those that are left out.

    :param name: the name that is not there
    :param known: those that are
    """
    names = set(known)
    first = nearest(name, names)
    ordered = [*first, *sorted(names.difference(first))]
    left_out = len(ordered) - MOST_LISTED
    text = ", ".join(map(repr, ordered[:MOST_LISTED]))
    return f"{text} and {left_out} more" if left_out > 0 else text


def _plain(name: str) -> str:
    return "_".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())
