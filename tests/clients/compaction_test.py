"""Compacted topics as real clients see them: the latest value of each key, at the offset it always had."""

import os
import random
import time

import confluent_kafka
import confluent_kafka.admin
import pytest
from drivers import CLIENTS

SETTINGS = {"log-cleaner-backoff-ms": "50", "log-retention-check-interval-ms": "300"}
each_client = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)


@pytest.fixture(scope="module")
def compacting(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compacting")
    with start(request, folder) as running:
        yield running


@pytest.fixture
def own_compacting(request, tmp_path):
    """One that the test may kill and start."""
    with start(request, tmp_path) as running:
        yield running


def start(request, folder):
    if request.config.getoption("--against") == "kafka":
        from apache_kafka import Kafka

        settings = {name.replace("-", "."): value for name, value in SETTINGS.items()}
        return Kafka(folder / "kafka", settings, heap="512m")
    from node import Node

    return Node(folder, SETTINGS)


def make(broker, topic: str, **configs: str) -> str:
    """The topic, compacted soon, in small segments."""
    settings = {
        "cleanup.policy": "compact",
        "internal.segment.bytes": "8192",
        "min.cleanable.dirty.ratio": "0.01",
        **{name.replace("_", "."): value for name, value in configs.items()},
    }
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.bootstrap})
    new = confluent_kafka.admin.NewTopic(topic, 1, 1, config=settings)
    next(iter(admin.create_topics([new]).values())).result(10)
    return topic


def alter(broker, topic: str, **configs: str) -> None:
    kind = confluent_kafka.admin.AlterConfigOpType.SET
    entries = [
        confluent_kafka.admin.ConfigEntry(name.replace("_", "."), value, incremental_operation=kind)
        for name, value in configs.items()
    ]
    resource = confluent_kafka.admin.ConfigResource("topic", topic, incremental_configs=entries)
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.bootstrap})
    next(iter(admin.incremental_alter_configs([resource]).values())).result(10)


def produce(broker, topic: str, records: list[tuple[str | None, str | None]]) -> list:
    """In batches of ten; the errors of those that were refused."""
    producer = CLIENTS["confluent-kafka"].producer(broker, **{"linger.ms": 0, "enable.idempotence": True})
    errors = []
    for at, (key, value) in enumerate(records):
        producer.produce(topic, value, key, 0, on_delivery=lambda error, _: error and errors.append(error))
        if at % 10 == 9:
            producer.flush(20)
    assert producer.flush(20) == 0
    return errors


def roll(broker, topic: str) -> None:
    """What was written before is in a closed segment."""
    assert not produce(broker, topic, [("end", os.urandom(250).hex()) for _ in range(80)])


def read(broker, topic: str) -> list[tuple[int, str, str | None]]:
    """All that is there now."""
    consumer = CLIENTS["confluent-kafka"].consumer(broker)
    try:
        partition = confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)
        start, end = consumer.get_watermark_offsets(partition, timeout=10)
        consumer.assign([partition])
        got, limit = [], time.monotonic() + 30
        # The newest record is never removed by compaction.
        while start < end and (not got or got[-1][0] < end - 1):
            assert time.monotonic() < limit, f"{len(got)} records after 30 s"
            message = consumer.poll(1)
            if message is not None:
                assert message.error() is None, message.error()
                value = message.value()
                got.append((message.offset(), message.key().decode(), value and value.decode()))
        return got
    finally:
        consumer.close()


def read_when(broker, topic: str, condition) -> list[tuple[int, str, str | None]]:
    """What is there once it meets the condition and compaction has nothing more to do."""
    limit, before = time.monotonic() + 90, None
    while True:
        got = [row for row in read(broker, topic) if row[1] != "end"]
        if got == before and condition(got):
            return got
        assert time.monotonic() < limit, f"not compacted after 90 s: {got[:20]}"
        before = got
        time.sleep(0.1)


@each_client
def test_each_client_reads_the_latest_of_what_it_wrote(compacting, topic, client):
    make(compacting, topic)
    for _ in range(3):
        client.produce(compacting, topic, "none", 200)
    roll(compacting, topic)
    expected = [(400 + i, f"k{i}", f"v{i}") for i in range(200)]
    assert read_when(compacting, topic, lambda got: len(got) == 200) == expected
    # The fence's last records follow.
    assert client.consume(compacting, topic, 201)[:200] == expected


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_are_compacted(compacting, topic, codec):
    make(compacting, topic, compression_type=codec)
    versions, keys = 20, 30
    records = [(f"k{key}", f"version {version}") for version in range(versions) for key in range(keys)]
    assert not produce(compacting, topic, records)
    roll(compacting, topic)
    expected = [((versions - 1) * keys + key, f"k{key}", f"version {versions - 1}") for key in range(keys)]
    assert read_when(compacting, topic, lambda got: len(got) == keys) == expected
    for client in CLIENTS.values():
        # Some read on to the end of what they fetched: the fence.
        assert client.consume(compacting, topic, keys)[:keys] == expected


def test_a_record_without_a_value_deletes_its_key_and_then_goes(compacting, topic):
    make(compacting, topic, delete_retention_ms="1000")
    assert not produce(compacting, topic, [(f"k{i}", "v") for i in range(10)])
    assert not produce(compacting, topic, [(f"k{i}", None) for i in range(5)])
    roll(compacting, topic)
    kept = [(i, f"k{i}", "v") for i in range(5, 10)]

    def is_deleted(got):
        roll(compacting, topic)
        return got == kept

    tombstones = [(10 + i, f"k{i}", None) for i in range(5)]
    first = [row for row in read(compacting, topic) if row[1] != "end"]
    assert [row for row in first if row[2] is None] == tombstones
    assert read_when(compacting, topic, is_deleted) == kept


def test_a_record_without_a_key_is_refused(compacting, topic):
    make(compacting, topic)
    errors = produce(compacting, topic, [(None, "v")])
    assert [error.code() for error in errors] == [confluent_kafka.KafkaError.INVALID_RECORD]
    assert not produce(compacting, topic, [("k", "v")])


def test_an_empty_key_is_a_key(compacting, topic):
    make(compacting, topic)
    assert not produce(compacting, topic, [("", str(version)) for version in range(30)])
    roll(compacting, topic)
    assert read_when(compacting, topic, lambda got: len(got) == 1) == [(29, "", "29")]


def survivors(records: list[tuple[str, str | None]], with_tombstones: bool = True) -> list[tuple[int, str, str | None]]:
    """What compaction leaves of all of them: of each key the last, at its offset."""
    last = {key: (offset, key, value) for offset, (key, value) in enumerate(records)}
    return sorted(row for row in last.values() if with_tombstones or row[2] is not None)


def mixed(seed: int, count: int = 600, keys: int = 40) -> list[tuple[str, str | None]]:
    """Keys in a random order, one value in four nothing; the same for every broker."""
    numbers = random.Random(seed)
    return [
        (f"k{numbers.randrange(keys)}", None if numbers.randrange(4) == 0 else f"{i}." + "v" * numbers.randrange(60))
        for i in range(count)
    ]


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def test_exactly_the_last_record_of_each_key_is_left_tombstones_too(compacting, topic, codec):
    make(compacting, topic, compression_type=codec if codec != "none" else "uncompressed")
    records = mixed(seed=len(codec))
    assert not produce(compacting, topic, records)
    roll(compacting, topic)
    expected = survivors(records)
    assert any(row[2] is None for row in expected)
    assert read_when(compacting, topic, lambda got: len(got) == len(expected)) == expected


def test_tombstones_go_at_once_when_they_need_not_be_kept(compacting, topic):
    make(compacting, topic, delete_retention_ms="0")
    records = mixed(seed=9)
    assert not produce(compacting, topic, records)
    expected = survivors(records, with_tombstones=False)

    def is_clean(got):
        # The first round marks them, one that follows removes them.
        roll(compacting, topic)
        return got == expected

    assert read_when(compacting, topic, is_clean) == expected


def test_a_record_stays_for_min_compaction_lag(compacting, topic):
    make(compacting, topic, min_compaction_lag_ms="600000")
    records = mixed(seed=10)
    assert not produce(compacting, topic, records)
    roll(compacting, topic)
    time.sleep(2)
    everything = [(offset, *record) for offset, record in enumerate(records)]
    assert [row for row in read(compacting, topic) if row[1] != "end"] == everything
    alter(compacting, topic, min_compaction_lag_ms="0")
    expected = survivors(records)
    assert read_when(compacting, topic, lambda got: len(got) == len(expected)) == expected


def test_max_compaction_lag_compacts_what_is_not_dirty_enough(compacting, topic):
    make(compacting, topic, min_cleanable_dirty_ratio="1", max_compaction_lag_ms="1500")
    records = mixed(seed=11)
    assert not produce(compacting, topic, records)
    expected = survivors(records)

    def is_clean(got):
        roll(compacting, topic)
        return got == expected

    assert read_when(compacting, topic, is_clean) == expected


def test_compact_and_delete_together_keep_the_latest_and_lose_the_oldest(compacting, topic):
    make(compacting, topic, cleanup_policy="compact,delete")
    records = mixed(seed=12)
    assert not produce(compacting, topic, records)
    roll(compacting, topic)
    expected = survivors(records)
    assert read_when(compacting, topic, lambda got: len(got) == len(expected)) == expected
    # Long enough for a read that is under way, short enough for the test.
    alter(compacting, topic, retention_ms="4000")

    def is_gone(got):
        roll(compacting, topic)
        return not got

    assert read_when(compacting, topic, is_gone) == []


def test_an_idle_topic_is_compacted_after_max_compaction_lag(compacting, topic):
    if compacting.__class__.__name__ == "Kafka":
        pytest.skip("Kafka closes a segment only when something is appended")
    make(compacting, topic, max_compaction_lag_ms="500", min_cleanable_dirty_ratio="1")
    assert not produce(compacting, topic, [("k", str(i)) for i in range(20)])
    time.sleep(0.1)
    consumer = CLIENTS["confluent-kafka"]
    limit = time.monotonic() + 30
    while consumer.consume(compacting, topic, 1) != [(19, "k", "19")]:
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_kill_9_while_compaction_runs_loses_no_latest_value(own_compacting, topic):
    make(own_compacting, topic)
    latest: dict[str, str] = {}
    for life in range(4):
        records = [(f"k{i % 50}", f"{life}.{i}") for i in range(3000)]
        assert not produce(own_compacting, topic, records)
        latest.update(dict(records))
        own_compacting.kill()
        own_compacting.start()
        got = read(own_compacting, topic)
        assert {key: value for _, key, value in got} == latest
        offsets = [offset for offset, _, _ in got]
        assert offsets == sorted(set(offsets))
    roll(own_compacting, topic)
    got = read_when(own_compacting, topic, lambda rows: len(rows) == 50)
    assert {key: value for _, key, value in got} == latest
    own_compacting.stop()
    own_compacting.start()
    assert [row for row in read(own_compacting, topic) if row[1] != "end"] == got
