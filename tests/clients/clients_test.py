"""What real clients do, at their own default settings, without consumer groups."""

import time

import confluent_kafka
import pytest
from drivers import ADMINS, CLIENTS, CODECS, console, run

COUNT = 200
EXPECTED = [(i, f"k{i}", f"v{i}") for i in range(COUNT)]

each_client = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
each_admin = pytest.mark.parametrize("client", ADMINS.values(), ids=ADMINS)
each_codec = pytest.mark.parametrize("codec", CODECS)


def make(broker, topic: str, **configs: str) -> str:
    """The topic, made with one partition."""
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.bootstrap})
    settings = {name.replace("_", "."): value for name, value in configs.items()}
    new = confluent_kafka.admin.NewTopic(topic, 1, 1, config=settings)
    next(iter(admin.create_topics([new]).values())).result(10)
    return topic


@each_client
@each_codec
def test_a_client_reads_back_what_it_wrote(broker, topic, client, codec):
    client.produce(broker, make(broker, topic), codec, COUNT)
    assert client.consume(broker, topic, COUNT) == EXPECTED


@each_client
def test_a_client_reads_what_another_wrote(broker, topic, client):
    """All five codecs in one partition, each from another client."""
    make(broker, topic)
    others = [other for other in CLIENTS.values() if other is not client]
    for writer, codec in zip(others, CODECS, strict=True):
        writer.produce(broker, topic, codec, 20)
    got = client.consume(broker, topic, 100)
    assert got == [(i, f"k{i % 20}", f"v{i % 20}") for i in range(100)]


@each_admin
def test_topics_are_created_listed_described_grown_and_deleted(broker, topic, client):
    client.topics(broker, topic)


@each_client
def test_an_idempotent_producer_survives_a_restart(own_broker, topic, client):
    def restart():
        own_broker.stop()
        own_broker.start()

    client.restart(own_broker, make(own_broker, topic), 1000, restart)
    assert CLIENTS["confluent-kafka"].consume(own_broker, topic, 1000) == [(i, f"k{i}", f"v{i}") for i in range(1000)]


def test_an_idempotent_producer_survives_kill_9_in_mid_stream(own_broker, topic):
    """Requests are under way when the broker dies: a retry must neither lose nor double a record."""
    client = CLIENTS["confluent-kafka"]
    producer = client.producer(own_broker, **{"enable.idempotence": True, "reconnect.backoff.max.ms": 200})
    failures, count = [], 3000
    for i in range(count):
        producer.produce(topic, f"v{i}", f"k{i}", 0, on_delivery=lambda error, _: error and failures.append(error))
        producer.poll(0.0003)
        if i in (1000, 2000):
            own_broker.kill()
            own_broker.start()
    assert producer.flush(60) == 0 and not failures
    assert client.consume(own_broker, topic, count) == [(i, f"k{i}", f"v{i}") for i in range(count)]


@each_client
def test_offsets_are_found_by_time(broker, topic, client):
    producer = CLIENTS["confluent-kafka"].producer(broker, **{"linger.ms": 0})
    start = int(time.time() * 1000) - 100_000
    for i in range(10):
        producer.produce(topic, f"v{i}", f"k{i}", 0, timestamp=start + i * 1000)
        producer.flush(10)
    assert client.offset_at(broker, topic, start) == 0
    assert client.offset_at(broker, topic, start + 4500) == 5
    assert client.offset_at(broker, topic, start + 9000) == 9


def test_console_tools_manage_a_topic(broker, topic):
    where = ["--bootstrap-server", broker.bootstrap]
    console("TopicCommand", *where, "--create", "--topic", topic, "--partitions", "2", "--config", "retention.ms=60000")
    assert topic in console("TopicCommand", *where, "--list").split()
    described = console("TopicCommand", *where, "--describe", "--topic", topic)
    assert "PartitionCount: 2" in described and "retention.ms=60000" in described
    console("TopicCommand", *where, "--alter", "--topic", topic, "--partitions", "3")
    assert "PartitionCount: 3" in console("TopicCommand", *where, "--describe", "--topic", topic)
    console("TopicCommand", *where, "--delete", "--topic", topic)
    assert topic not in console("TopicCommand", *where, "--list").split()


def test_console_tools_produce_and_consume(broker, topic):
    where = ["--bootstrap-server", broker.bootstrap]
    console("TopicCommand", *where, "--create", "--topic", topic)
    lines = [f"line {i}" for i in range(50)]
    console("ConsoleProducer", *where, "--topic", topic, text="\n".join(lines) + "\n")
    from_start = ["--topic", topic, "--partition", "0", "--offset", "earliest", "--max-messages", "50"]
    assert console("consumer.ConsoleConsumer", *where, *from_start).split("\n")[:50] == lines
    ends = console("GetOffsetShell", *where, "--topic", topic)
    assert ends.strip() == f"{topic}:0:50"


def test_the_api_versions_tool_understands_the_broker(broker):
    listed = console("BrokerApiVersionsCommand", "--bootstrap-server", broker.bootstrap)
    assert "Produce(0)" in listed and "Fetch(1)" in listed


def test_a_topic_is_created_by_its_first_use(broker, topic):
    run(["kcat", "-P", "-b", broker.bootstrap, "-t", topic], "hello\n")
    assert run(["kcat", "-C", "-b", broker.bootstrap, "-t", topic, "-e", "-q"]) == "hello\n"


def test_errors_have_kafkas_names(broker, topic):
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.bootstrap})

    def code(futures) -> str:
        with pytest.raises(confluent_kafka.KafkaException) as caught:
            next(iter(futures.values())).result(10)
        return caught.value.args[0].name()

    new = confluent_kafka.admin.NewTopic
    next(iter(admin.create_topics([new(topic, 1, 1)]).values())).result(10)
    assert code(admin.create_topics([new(topic, 1, 1)])) == "TOPIC_ALREADY_EXISTS"
    assert code(admin.create_topics([new("no/such name", 1, 1)])) == "TOPIC_EXCEPTION"
    assert code(admin.create_topics([new(topic + "x", 1, 3)])) == "INVALID_REPLICATION_FACTOR"
    assert code(admin.create_topics([new(topic + "x", 1, 1, config={"no.such": "1"})])) == "INVALID_CONFIG"
    assert code(admin.create_topics([new(topic + "x", 1, 1, config={"retention.ms": "x"})])) == "INVALID_CONFIG"
    assert code(admin.delete_topics([topic + "none"])) == "UNKNOWN_TOPIC_OR_PART"
    assert code(admin.create_partitions([confluent_kafka.admin.NewPartitions(topic, 1)])) == "INVALID_PARTITIONS"


def test_a_record_that_is_too_large_is_refused(broker, topic):
    make(broker, topic, max_message_bytes="10000")
    outcomes = []
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce(topic, b"x" * 20_000, on_delivery=lambda error, _: outcomes.append(error))
    producer.produce(topic, b"small", on_delivery=lambda error, _: outcomes.append(error))
    assert producer.flush(20) == 0
    assert "MSG_SIZE_TOO_LARGE" in [error.name() for error in outcomes if error]


def test_a_consumer_at_an_offset_that_is_gone_starts_where_it_is_told(broker, topic):
    CLIENTS["kcat"].produce(broker, topic, "none", 10)
    consumer = CLIENTS["confluent-kafka"].consumer(broker, **{"auto.offset.reset": "earliest"})
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 1_000_000)])
        message = consumer.poll(20)
        assert message is not None and message.error() is None and message.offset() == 0
    finally:
        consumer.close()
