"""Client quotas: set and described by Kafka's own administration client, felt by real clients."""

import atexit
import functools
import itertools
import subprocess
import time

import confluent_kafka
import pytest
from drivers import CACHE, HERE, is_newer, run, soon

RATE = 100_000
SPAN_S = 8


@functools.cache
def java(bootstrap: str) -> subprocess.Popen:
    jars, classes, source = CACHE / "jars/clients", CACHE / "probe-java", HERE / "java/Quotas.java"
    if not is_newer(classes / "Quotas.class", source):
        run(["javac", "-d", str(classes), "-cp", f"{jars}/*", str(source)])
    options = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    command = ["java", *options, "-cp", f"{classes}:{jars}/*", "Quotas", bootstrap]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.kill)
    return process


def quotas(verb: str, broker, *words: str) -> str:
    process = java(broker.bootstrap)
    process.stdin.write(" ".join([verb, *words]) + "\n")
    process.stdin.flush()
    lines = iter(process.stdout.readline, "")
    return "".join(itertools.takewhile(lambda line: line != ".\n", lines))


def listed(broker, conditions: str = "-", is_strict: bool = False) -> list[tuple[str, str, float]]:
    found = [line.split("\t") for line in quotas("list", broker, conditions, str(is_strict).lower()).splitlines()]
    return [(entity, key, float(value)) for entity, key, value in found]


def set_quota(broker, entity: str, *changes: str) -> None:
    assert quotas("alter", broker, entity, *changes) == ""


@pytest.mark.parametrize(
    "entity",
    ["client-id=c", "client-id", "user=u", "user", "client-id=c+user=u", "client-id+user=u", "client-id+user"],
)
def test_javas_client_sets_finds_changes_and_deletes_a_quota(broker, entity):
    set_quota(broker, entity, "producer_byte_rate=1024", "request_percentage=12.5")
    first = [(entity, "producer_byte_rate", 1024), (entity, "request_percentage", 12.5)]
    assert soon(lambda: listed(broker) == first)
    assert listed(broker, entity, True) == first
    set_quota(broker, entity, "producer_byte_rate", "consumer_byte_rate=5")
    second = [(entity, "consumer_byte_rate", 5), (entity, "request_percentage", 12.5)]
    assert soon(lambda: listed(broker) == second)
    set_quota(broker, entity, "request_percentage", "consumer_byte_rate")
    assert soon(lambda: listed(broker) == [])


def test_javas_client_sets_a_quota_of_mutations_and_waits_its_turn(broker, topic):
    """KIP-599: Java's client comes again when it is told that it was refused."""
    set_quota(broker, "user", "controller_mutation_rate=10.5")
    try:
        assert soon(lambda: listed(broker) == [("user", "controller_mutation_rate", 10.5)])
        # So many take 19 seconds to pay for, of which 11 are free.
        assert quotas("create", broker, f"{topic}-a", "200") == ""
        assert quotas("create-once", broker, f"{topic}-b", "1") == "ThrottlingQuotaExceededException\n"
        assert quotas("create", broker, f"{topic}-b", "1") == ""
    finally:
        set_quota(broker, "user", "controller_mutation_rate")
    assert soon(lambda: listed(broker) == [])


def test_a_filter_finds_by_name_default_and_type(broker):
    entities = ["client-id=c", "client-id=c+user=u", "user", "user=u"]
    for entity in [*entities, "ip=192.0.2.1"]:
        set_quota(broker, entity, "connection_creation_rate=50" if "ip" in entity else "consumer_byte_rate=1000000000")
    try:
        assert soon(lambda: len(listed(broker)) == 5)
        names = lambda *words: [entity for entity, _, _ in listed(broker, *words)]  # noqa: E731
        assert names("user=u") == ["client-id=c+user=u", "user=u"]
        assert names("user=u", True) == ["user=u"]
        assert names("user") == ["user"]
        assert names("user=*") == ["client-id=c+user=u", "user", "user=u"]
        assert names("user=*+client-id=c", True) == ["client-id=c+user=u"]
        assert names("ip=*") == ["ip=192.0.2.1"]
        assert names("-", True) == []
    finally:
        for entity in entities:
            set_quota(broker, entity, "consumer_byte_rate")
        set_quota(broker, "ip=192.0.2.1", "connection_creation_rate")
    assert soon(lambda: listed(broker) == [])


@pytest.mark.parametrize(
    ("entity", "change"),
    [
        ("client-id=c", "producer_byte_rate=0"),
        ("client-id=c", "producer_byte_rate=-5"),
        ("client-id=c", "producer_byte_rate=1.5"),
        ("client-id=c", "no_such_rate=5"),
        ("client-id=c", "connection_creation_rate=5"),
        ("client-id=", "producer_byte_rate=5"),
        ("group=g", "producer_byte_rate=5"),
        ("ip=192.0.2.1+user=u", "connection_creation_rate=5"),
        ("ip=no.such.host.invalid", "connection_creation_rate=5"),
        ("ip=192.0.2.1", "producer_byte_rate=5"),
        ("-", "producer_byte_rate=5"),
    ],
)
def test_a_quota_that_makes_no_sense_is_refused(broker, entity, change):
    assert quotas("alter", broker, entity, change).strip() == "InvalidRequestException"


def test_validating_a_quota_does_not_set_it(broker):
    assert quotas("validate", broker, "user=u", "producer_byte_rate=5") == ""
    assert quotas("validate", broker, "user=u", "producer_byte_rate=0").strip() == "InvalidRequestException"
    assert listed(broker) == []


@pytest.mark.parametrize(
    ("conditions", "error"), [("group=g", "UnsupportedVersionException"), ("ip=*+user=*", "InvalidRequestException")]
)
def test_a_filter_that_makes_no_sense_is_refused(broker, conditions, error):
    assert quotas("list", broker, conditions, "false").strip() == error


class Throttled:
    """What a librdkafka client was told of throttling."""

    def __init__(self):
        self.times = []

    def __call__(self, event):
        self.times.append(event.throttle_time)


def produce_for(broker, topic: str, client_id: str, span_s: float) -> tuple[float, Throttled]:
    """The bytes a second that were acknowledged, and what the client was told."""
    throttled, acknowledged = Throttled(), 0
    settings = {
        "bootstrap.servers": broker.bootstrap, "client.id": client_id, "throttle_cb": throttled,
        "batch.size": RATE // 10, "linger.ms": 1, "queue.buffering.max.messages": 200,
    }
    producer = confluent_kafka.Producer(settings)
    end = time.monotonic() + span_s

    def delivered(error, message):
        nonlocal acknowledged
        if error is None and time.monotonic() < end:
            acknowledged += len(message.value())

    while time.monotonic() < end:
        try:
            producer.produce(topic, b"x" * 1000, on_delivery=delivered)
            producer.poll(0)
        except BufferError:
            producer.poll(0.01)
    producer.purge()
    producer.flush(10)
    return acknowledged / span_s, throttled


def test_a_producer_over_its_quota_is_throttled_and_others_are_not(broker, topic):
    set_quota(broker, "client-id=slow", f"producer_byte_rate={RATE}")
    try:
        assert soon(lambda: len(listed(broker)) == 1)
        rate, throttled = produce_for(broker, topic, "slow", SPAN_S)
        assert throttled.times and max(throttled.times) > 0
        assert rate < 4 * RATE  # Kafka lets a burst of ten seconds pass
        rate, throttled = produce_for(broker, topic, "fast", 2)
        assert not any(throttled.times)
        assert rate > 4 * RATE
    finally:
        set_quota(broker, "client-id=slow", "producer_byte_rate")
    rate, throttled = produce_for(broker, topic, "slow", 2)
    assert not any(throttled.times)


def test_a_consumer_over_its_quota_is_throttled(broker, topic):
    """A default for every client id, which a consumer that names itself falls under."""
    produce_for(broker, topic, "writer", 1)
    set_quota(broker, "client-id=reader", f"consumer_byte_rate={RATE}")
    try:
        assert soon(lambda: len(listed(broker)) == 1)
        throttled = Throttled()
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": broker.bootstrap, "client.id": "reader", "group.id": "none",
                "throttle_cb": throttled, "enable.auto.commit": False, "fetch.message.max.bytes": 50_000,
            }
        )
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        end = time.monotonic() + 2 * SPAN_S
        while time.monotonic() < end and not any(throttled.times):
            consumer.poll(0.1)
        consumer.close()
        assert any(throttled.times)
    finally:
        set_quota(broker, "client-id=reader", "consumer_byte_rate")
