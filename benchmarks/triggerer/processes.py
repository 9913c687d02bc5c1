"""The service that all triggers ask, and what a triggerer takes, each with its processes."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent


class Service:
    """
    The service that all ask, in a process of its own.

    :param folder: where its certificate is
    :param begin: epoch seconds of the first end
    :param within: seconds in which all runs end
    """

    def __init__(self, folder: Path, begin: float, within: float) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable, str(HERE.parent / "answering.py"), "--begin", str(begin),
                "--within", str(within), "--certificate", str(folder / "service.pem"),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.port = int(json.loads(self._process.stdout.readline())["port"])

    def asked(self, since: float) -> dict[str, Any]:
        """Give how many jobs were asked for since a time, and when the requests came after it."""
        with urllib.request.urlopen(f"https://127.0.0.1:{self.port}/asked?since={since}") as answer:
            return dict(json.load(answer))

    def stop(self) -> None:
        """Stop the service."""
        self._process.communicate("")


class Usage:
    """
    What a triggerer with all its processes takes.

    :param pid: the id of the first of them
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def cpu(self) -> float:
        """Give the seconds of CPU until now."""
        times = [one.cpu_times() for one in self._all()]
        return sum(one.user + one.system for one in times)

    def memory(self) -> float:
        """Give the MB of memory; what processes share is divided among them."""
        return sum(one.memory_full_info().pss for one in self._all()) / 1e6

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]
