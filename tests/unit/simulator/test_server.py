from __future__ import annotations

import json
import socket
import threading
import urllib.request

import pytest

from airflow_provider_datarecs.simulator import ApiKey, Fault, Simulator, World


def workspaces(url):
    request = urllib.request.Request(f"{url}/workspaces", headers={"Authorization": "Bearer demo-key"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as response:
        return response.status


@pytest.fixture
def serving():
    """Give the threads that serve now and did not before the test."""
    before = set(threading.enumerate())
    return lambda: [one for one in threading.enumerate() if one not in before and "simulator" in one.name]


def test_it_answers_as_soon_as_it_has_started_and_no_longer_when_stopped(serving):
    with Simulator() as simulator:
        assert workspaces(simulator.url) == 200
    assert serving() == []
    with pytest.raises(OSError, match="refused"):
        workspaces(simulator.url)


@pytest.mark.parametrize(("keys", "password"), [(["one", "two"], "one"), ([], "no key is let in")])
def test_a_connection_that_leads_there(keys, password):
    world = World(api_keys=[ApiKey(key) for key in keys])
    with Simulator(world) as simulator:
        assert json.loads(simulator.connection) == {
            "conn_type": "datarecs",
            "host": simulator.url,
            "password": password,
        }


def test_several_serve_side_by_side():
    with Simulator() as one, Simulator() as two:
        assert one.url != two.url
        assert (workspaces(one.url), workspaces(two.url)) == (200, 200)
        assert (len(one.requests), len(two.requests)) == (1, 1)


def test_it_can_be_started_again_with_what_it_knew():
    simulator = Simulator()
    for _ in range(2):
        simulator.start()
        assert workspaces(simulator.url) == 200
        simulator.stop()
    assert len(simulator.requests) == 2


def test_stopping_twice_or_before_starting_does_nothing(serving):
    simulator = Simulator()
    simulator.stop()
    with simulator:
        pass
    simulator.stop()
    assert serving() == []


@pytest.mark.filterwarnings("error")
def test_a_taken_port_is_told_and_leaves_nothing_behind(serving):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        simulator = Simulator(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="address already in use"):
            simulator.start()
    simulator.stop()
    assert serving() == []


def test_a_given_host_and_port_are_in_the_url():
    assert Simulator(port=8790).url == "http://127.0.0.1:8790"
    assert Simulator(host="::1", port=8790).url == "http://[::1]:8790"


def test_a_slow_answer_does_not_hold_up_stopping(slow_answer, serving):
    with Simulator(faults=[slow_answer]) as simulator:
        host, port = simulator.url[len("http://") :].split(":")
        waiting = socket.create_connection((host, int(port)))
        waiting.sendall(b"GET /workspaces HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow_answer.begun.wait(10)
    assert serving() == []
    assert waiting.recv(1) == b""
    waiting.close()


def test_faults_may_be_given_at_first_and_later():
    with Simulator(faults=[Fault(status=200, body={"first": True})]) as simulator:
        simulator.faults.append(Fault(status=204))
        assert [workspaces(simulator.url) for _ in range(3)] == [200, 204, 200]
