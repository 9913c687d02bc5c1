"""Whether the hooks of pre-commit are the linters of ``make lint``, in the same versions."""

from __future__ import annotations

import json
import re

import yaml
from support import ROOT

CONFIG = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
HOOKS = [hook for repo in CONFIG["repos"] for hook in repo["hooks"]]


def test_a_hook_runs_each_linter():
    section = (ROOT / "tox.toml").read_text().partition("[env.lint]\n")[2].partition("\n[")[0]
    commands = json.loads(re.search(r"^commands = (\[\[.*\]\])$", section, re.MULTILINE).group(1))
    linters = [" ".join(word for word in command if not word.startswith("-")) for command in commands]
    assert [hook["entry"] for hook in HOOKS] == linters


def test_the_versions_are_those_of_the_pins():
    pins = (ROOT / "dev" / "pins" / "lint.txt").read_text().splitlines()
    versions = [one for hook in HOOKS for one in hook["additional_dependencies"]]
    wrong = [one for one in versions if one.lower() not in pins]
    assert not wrong, f".pre-commit-config.yaml: {wrong} differ from dev/pins/lint.txt"
