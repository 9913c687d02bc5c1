"""Events as the simulator posts them, to a server that a test runs."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.simulator import Plan, Simulator, Webhook, World, build_world
from airflow_provider_datarecs.simulator.scenario import ScenarioError
from airflow_provider_datarecs.webhooks.events import hint_of, verify


class Endpoint:
    """Take what is posted, and answer with the next of some statuses, the last one for ever."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.posted = []
        self.changed = threading.Condition()

    def take(self, headers, body):
        with self.changed:
            self.posted.append((headers, body))
            self.changed.notify_all()
            return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.posted) >= count, 20), self.posted

    @property
    def run_ids(self):
        return [json.loads(body)["data"]["run_id"] for _, body in self.posted]


@contextmanager
def endpoint(*statuses):
    taken = Endpoint(*statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(taken.take(dict(self.headers), body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        taken.url = f"http://127.0.0.1:{server.server_port}/datarecs/events/c"
        yield taken
        server.shutdown()


@pytest.fixture
def world():
    world = World()
    world.add_workspace("w1", "Finance")
    world.add_job("j1", "daily", "w1", Plan(queued=0, running=1e9))
    world.add_job("j2", "weekly", "w1", Plan(queued=0, running=1e9))
    world.add_job_group("g1", "all", "w1", ["j1", "j2"])
    return world


def start(world, job_id="j1", kind=TargetKind.JOB):
    return world.start_run(kind, world.owners[kind][job_id])


@pytest.mark.parametrize(
    ("status", "end"),
    [("COMPLETED", "completed"), ("FAILED", "failed"), ("ERRORED", "errored"), ("CANCELLED", "cancelled")],
)
def test_the_end_of_a_run_is_a_signed_event(world, status, end):
    world.plan_runs("j1", Plan(status=status, queued=0, running=1e9))
    with endpoint(204) as taken, Simulator(world):
        world.webhooks.append(Webhook(taken.url, "s3cret"))
        run = start(world)
        world.finish_runs("j1")
        taken.wait_for(1)
    headers, body = taken.posted[0]
    assert headers["Content-Type"] == "application/json"
    assert verify(["s3cret"], body, headers["X-Datarecs-Signature"])
    event = json.loads(body)
    assert event["type"] == f"io.datarecs.reconciliation.run.{end}"
    assert event["data"] == {"run_id": run.id, "job_id": "j1", "workspace_id": "w1"}
    assert hint_of(body).event_id == event["id"]


@pytest.mark.parametrize("signature", ["hex", "base64", "sha256=hex", "sha256=base64"])
@pytest.mark.parametrize("key_style", ["snake", "camel"])
def test_every_way_to_write_an_event_is_read(world, signature, key_style):
    with endpoint(200) as taken, Simulator(world):
        world.webhooks.append(Webhook(taken.url, "s", signature=signature, key_style=key_style))
        run = start(world)
        world.finish_runs("j1")
        taken.wait_for(1)
    headers, body = taken.posted[0]
    assert ("sha256=" in headers["X-Datarecs-Signature"]) == ("sha256=" in signature)
    assert ("runId" in json.loads(body)["data"]) == (key_style == "camel")
    assert verify(["s"], body, headers["X-Datarecs-Signature"])
    assert hint_of(body)[:3] == (run.id, "j1", "w1")


def test_what_is_not_taken_comes_again(world):
    with endpoint(401, 503, 204) as taken, Simulator(world):
        webhook = Webhook(taken.url, "s", first_retry=0.05)
        world.webhooks.append(webhook)
        start(world)
        world.finish_runs("j1")
        webhook.wait_for_deliveries(3)
    assert len({body for _, body in taken.posted}) == 1
    assert [one.status for one in webhook.deliveries] == [401, 503, 204]
    first, second, third = (one.at for one in webhook.deliveries)
    assert third - second > second - first > 0.05


def test_an_endpoint_that_is_away_gets_it_when_it_is_back(world):
    webhook = Webhook("http://127.0.0.1:9/datarecs/events/c", "s", first_retry=0.05)
    world.webhooks.append(webhook)
    with endpoint(204) as taken, Simulator(world) as simulator:
        run = start(world)
        world.finish_runs("j1")
        simulator.world.webhooks[0].url = taken.url
        taken.wait_for(1)
    assert taken.run_ids == [run.id]


def test_events_are_lost_doubled_and_late_on_purpose(world):
    with endpoint(204) as taken, Simulator(world):
        lost, thrice = Webhook(taken.url, "s", lost=1.0), Webhook(taken.url, "s", times=3, late=0.3)
        world.webhooks += [lost, thrice]
        start(world)
        world.finish_runs("j1")
        thrice.wait_for_deliveries(3)
    ended = world.runs[TargetKind.JOB][0].over_at
    assert (lost.deliveries, len(thrice.deliveries)) == ([], 3)
    assert len({one.event_id for one in thrice.deliveries}) == 1
    assert min(one.at for one in thrice.deliveries) >= ended + 0.3


def test_a_group_run_has_events_of_its_job_runs_alone(world):
    with endpoint(204) as taken, Simulator(world):
        world.webhooks.append(Webhook(taken.url, "s"))
        group = start(world, "g1", TargetKind.JOB_GROUP)
        world.finish_runs("j1")
        world.finish_runs("j2")
        taken.wait_for(2)
    assert sorted(taken.run_ids) == sorted(part.id for part in group.parts)


def test_a_run_that_had_ended_before_the_simulator_started_has_none(world):
    start(world)
    world.finish_runs("j1")
    with endpoint(204) as taken, Simulator(world):
        world.webhooks.append(Webhook(taken.url, "s"))
        run = start(world, "j2")
        world.finish_runs("j2")
        taken.wait_for(1)
    assert taken.run_ids == [run.id]


def test_a_scenario_can_name_endpoints():
    world, _ = build_world({"webhooks": [{"url": "http://localhost/x", "secret": "s", "lost": 0.5}]})
    assert world.webhooks == [Webhook("http://localhost/x", "s", lost=0.5)]
    with pytest.raises(ScenarioError, match="webhooks"):
        build_world({"webhooks": [{"address": "x"}]})


def test_a_secret_is_in_no_repr():
    assert "s3cret" not in repr(Webhook("http://localhost", "s3cret"))


def test_what_does_not_come_is_said_in_time(world):
    with pytest.raises(TimeoutError, match="only 0 of 1"):
        Webhook("http://localhost", "s").wait_for_deliveries(1, timeout=0.01)
