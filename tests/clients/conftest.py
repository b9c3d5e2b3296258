"""One broker for all client tests of a run: dlog, or with --against=kafka the real Kafka."""

import pathlib
import sys
import uuid

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))
sys.path.insert(0, str(HERE))


def pytest_addoption(parser):
    parser.addoption("--against", choices=["dlog", "kafka"], default="dlog", help="the broker to test")


# Groups of the new protocol move at their members' heartbeats; a new group waits less long for more members. Without
# any wait kafka-python's members can be left without partitions on a loaded machine.
BRISK = {"group.initial.rebalance.delay.ms": "1000", "group.consumer.heartbeat.interval.ms": "500"}


def start_broker(kind: str, folder: pathlib.Path):
    if kind == "kafka":
        from apache_kafka import Kafka

        return Kafka(folder / "kafka", {**BRISK, "group.consumer.min.heartbeat.interval.ms": "500"}, heap="512m")
    from node import Node

    return Node(folder, {name.replace(".", "-"): value for name, value in BRISK.items()})


@pytest.fixture(scope="session")
def broker(request, tmp_path_factory):
    with start_broker(request.config.getoption("--against"), tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def own_broker(request, tmp_path):
    """A broker that the test may stop and start."""
    with start_broker(request.config.getoption("--against"), tmp_path) as running:
        yield running


@pytest.fixture
def topic(request):
    """A topic name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"
