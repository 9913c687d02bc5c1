from __future__ import annotations

import json

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import Plan, Simulator, default_world, load_scenario
from airflow_provider_datarecs.simulator.scenario import ScenarioError, build_world

FULL = {
    "api_keys": [{"key": "one"}, {"key": "two", "read_only": True}],
    "rate_limit": {"requests": 5, "window": 10, "sliding": True},
    "behaviour": {"key_style": "camel", "page_size": 2},
    "workspaces": [
        {
            "id": "w1",
            "name": "Finance",
            "region": "eu",
            "jobs": [{"id": "j1", "name": "daily", "runs": {"status": "FAILED", "polls": 3}}],
            "job_groups": [{"id": "g1", "name": "all", "jobs": ["j1"]}],
        }
    ],
    "faults": [{"method": "GET", "status": 503, "times": None}],
}

YAML = """
api_keys: [{key: one}]
workspaces:
  - id: w1
    name: Finance
    jobs:
      - {id: j1, name: daily, runs: {queued: 0}}
"""


def test_all_that_a_scenario_can_say():
    world, faults = build_world(FULL)
    assert [(key.key, key.read_only) for key in world.api_keys] == [("one", False), ("two", True)]
    assert (world.rate_limit.requests, world.rate_limit.window, world.rate_limit.sliding) == (5, 10, True)
    assert (world.behaviour.key_style, world.behaviour.page_size) == ("camel", 2)
    assert world.workspaces == {"w1": {"id": "w1", "name": "Finance", "region": "eu"}}
    job = world.owners[TargetKind.JOB]["j1"]
    assert (job.name, job.workspace_id, job.plan) == ("daily", "w1", Plan(status="FAILED", polls=3))
    assert world.owners[TargetKind.JOB_GROUP]["g1"].job_ids == ["j1"]
    assert [(fault.method, fault.status, fault.times) for fault in faults] == [("GET", 503, None)]


def test_a_scenario_is_left_as_it_was():
    before = json.dumps(FULL)
    build_world(FULL)
    assert json.dumps(FULL) == before


def test_an_empty_scenario_is_an_empty_world_with_the_demos_key():
    world, faults = build_world({})
    assert ([key.key for key in world.api_keys], world.workspaces, faults) == (["demo-key"], {}, [])


@pytest.mark.parametrize("name", ["scenario.json", "scenario.yaml", "scenario.yml"])
def test_a_file_of_either_format(tmp_path, name):
    path = tmp_path / name
    path.write_text(json.dumps(FULL) if name.endswith("json") else YAML, encoding="utf-8")
    for given in (path, str(path)):
        assert load_scenario(given)[0].owners[TargetKind.JOB]["j1"].name == "daily"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"workspace": []}, "'workspace'"),
        ({"api_keys": [{"keys": "x"}]}, "api_keys"),
        ({"api_keys": ["my-key"]}, "api_keys.*object.*my-key"),
        ({"rate_limit": {"per_minute": 100}}, "per_minute"),
        ({"behaviour": {"style": "camel"}}, "style"),
        ({"faults": [{"statuscode": 500}]}, "statuscode"),
        ({"workspaces": [{"name": "Finance"}]}, "'id'"),
        ({"workspaces": [{"id": "w1"}]}, "'name'"),
        ({"workspaces": [{"id": "w1", "name": "F", "jobs": [{"name": "daily"}]}]}, "'id'"),
        ({"workspaces": [{"id": "w1", "name": "F", "jobs": [{"id": "j1"}]}]}, "'name'"),
        (
            {"workspaces": [{"id": "w1", "name": "F", "jobs": [{"id": "j", "name": "j", "plan": {}}]}]},
            "'plan'",
        ),
        (
            {
                "workspaces": [
                    {"id": "w1", "name": "F", "jobs": [{"id": "j", "name": "j", "runs": {"rows": 1}}]}
                ]
            },
            "job 'j'.*rows",
        ),
        ({"workspaces": [{"id": "w1", "name": "F", "job_groups": [{"id": "g", "name": "g"}]}]}, "'jobs'"),
        (
            {
                "workspaces": [
                    {"id": "w1", "name": "F", "job_groups": [{"id": "g", "name": "g", "jobs": ["j9"]}]}
                ]
            },
            "'j9'",
        ),
    ],
)
def test_what_is_not_understood_is_named(content, named):
    with pytest.raises(ScenarioError, match=named):
        build_world(content)


@pytest.mark.parametrize("text", ["", "[]", "just text"])
def test_a_file_without_an_object_is_not_understood(tmp_path, text):
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match="object"):
        load_scenario(path)


def test_the_demos_world():
    world = default_world()
    assert [workspace["name"] for workspace in world.workspaces.values()] == ["Production", "Staging"]
    names = [job.name for job in world.owners[TargetKind.JOB].values()]
    assert names.count("daily-balance-check") == 2
    assert [group.name for group in world.owners[TargetKind.JOB_GROUP].values()] == ["nightly"]
    assert {"demo-key", "read-only-key"} == {key.key for key in world.api_keys}


def test_every_default_world_is_a_new_one():
    one, two = Simulator(), Simulator()
    one.world.add_workspace("w9", "More")
    assert "w9" not in two.world.workspaces


def test_only_a_job_that_is_there_can_be_planned():
    with pytest.raises(LookupError, match=r"no job 'job_legder'.*job_ledger"):
        default_world().plan_runs("job_legder", Plan())
