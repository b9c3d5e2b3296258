"""DLog's C++ client, installed as a package and built into programs as its users do.

The same tests run against DLog and the real Kafka, whatever --against says: the client is for both.
"""

import ctypes
import ctypes.util
import pathlib
import re
import subprocess
import time

import pytest
from conftest import start_broker
from drivers import CACHE, CLIENTS, CODECS, Program, run
from members import Member, join, wait_for
from node import BUILD, ROOT

HERE = pathlib.Path(__file__).parent
COUNT = 200
EXPECTED = [(i, f"k{i}", f"v{i}") for i in range(COUNT)]
PARTITIONS = 7
# Of several lengths modulo 4, beyond ASCII, and enough to meet every partition.
KEYS = [f"{'é' * (i % 5)}key-{i * i}" for i in range(300)]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("prefix")
    run(["cmake", "--install", str(BUILD / "release"), "--component", "client", "--prefix", str(folder)])
    return folder


def build(source: pathlib.Path, folder: pathlib.Path, prefix: pathlib.Path) -> pathlib.Path:
    """A CMake project of a user's, with the system's own compiler."""
    options = [f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_COMPILER=g++"]
    run(["cmake", "-S", str(source), "-B", str(folder), "-G", "Ninja", *options])
    run(["cmake", "--build", str(folder)], timeout_s=300)
    return folder


@pytest.mark.parametrize("compiler", ["g++", "clang++-19"])
@pytest.mark.parametrize("header", sorted(path.name for path in (ROOT / "include/dlog").iterdir()))
def test_each_header_compiles_alone_and_without_a_warning(prefix, tmp_path, compiler, header):
    source = tmp_path / "alone.cc"
    source.write_text(f"#include <dlog/{header}>\n")
    run([compiler, "-std=c++23", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{prefix}/include", str(source)])


class Cpp(Program):
    def __init__(self, program: pathlib.Path):
        self.program = program

    def command(self) -> list[str]:
        return [str(self.program)]


@pytest.fixture(scope="module")
def client(prefix, tmp_path_factory) -> Cpp:
    return Cpp(build(HERE / "cpp", tmp_path_factory.mktemp("probe"), prefix) / "probe")


@pytest.fixture(scope="module")
def example(prefix, tmp_path_factory) -> pathlib.Path:
    return build(ROOT / "examples/client", tmp_path_factory.mktemp("example"), prefix)


@pytest.fixture(scope="module", params=["dlog", "kafka"])
def either(request, tmp_path_factory):
    with start_broker(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


def make(client: Cpp, broker, topic: str, partitions: int = 1) -> str:
    confluent = pytest.importorskip("confluent_kafka.admin")
    admin = confluent.AdminClient({"bootstrap.servers": broker.bootstrap})
    next(iter(admin.create_topics([confluent.NewTopic(topic, partitions, 1)]).values())).result(20)
    return topic


def lines(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.split("\n") if line]


@pytest.mark.parametrize("codec", CODECS)
def test_it_reads_back_what_it_wrote(client, either, topic, codec):
    client.produce(either, make(client, either, topic), codec, COUNT)
    assert client.consume(either, topic, COUNT) == EXPECTED


@pytest.mark.parametrize("codec", CODECS)
def test_librdkafka_reads_what_it_wrote_and_it_reads_what_librdkafka_wrote(client, either, topic, codec):
    other = CLIENTS["confluent-kafka"]
    client.produce(either, make(client, either, topic), codec, 50)
    other.produce(either, topic, codec, 50)
    expected = [(i, f"k{i % 50}", f"v{i % 50}") for i in range(100)]
    assert client.consume(either, topic, 100) == expected
    assert other.consume(either, topic, 100) == expected


def test_topics_are_created_listed_described_grown_altered_and_deleted(client, either, topic):
    client.topics(either, topic)


def test_it_seeks_pauses_resumes_and_wakes_up(client, either, topic):
    client.produce(either, make(client, either, topic), "lz4", 5000)
    run([*client.command(), "walk", either.bootstrap, topic, "5000"])


def test_an_idempotent_producer_survives_a_restart(client, own_broker, topic):
    def restart():
        own_broker.stop()
        own_broker.start()

    client.restart(own_broker, make(client, own_broker, topic), 1000, restart)
    assert client.consume(own_broker, topic, 1000) == [(i, f"k{i}", f"v{i}") for i in range(1000)]


def keyed(client: Cpp, broker, topic: str, partitioning: str) -> dict[str, int]:
    """Which partition each key went to; every delivery is checked against what is read back."""
    make(client, broker, topic, PARTITIONS)
    text = "\n".join(KEYS) + "\n"
    delivered = lines(run([*client.command(), "keys", broker.bootstrap, topic, partitioning], text))
    assert [key for _, _, key in delivered] == KEYS
    read = lines(run([*client.command(), "since", broker.bootstrap, topic, "0", str(len(KEYS))]))
    assert sorted(read) == sorted(delivered)
    return {key: int(partition) for partition, _, key in delivered}


LIBRDKAFKA = ctypes.CDLL(ctypes.util.find_library("rdkafka") or "librdkafka.so.1")


@pytest.mark.parametrize(
    "name", ["murmur2", "murmur2_random", "consistent", "consistent_random", "fnv1a", "fnv1a_random"]
)
def test_keys_go_where_librdkafka_sends_them(client, either, topic, name):
    choose = getattr(LIBRDKAFKA, f"rd_kafka_msg_partitioner_{name}")
    choose.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int32, *[ctypes.c_void_p] * 2]
    choose.restype = ctypes.c_int32
    raw = {key: key.encode() for key in KEYS}
    expected = {key: choose(None, raw[key], len(raw[key]), PARTITIONS, None, None) for key in KEYS}
    assert set(expected.values()) == set(range(PARTITIONS))
    assert keyed(client, either, topic, name) == expected


def test_keys_go_where_kafkas_own_client_sends_them(client, either, topic):
    java = ["java", "-cp", f"{CACHE}/jars/clients/*", str(HERE / "java/Partitions.java"), str(PARTITIONS)]
    expected = {key: int(number) for key, number in lines(run(java, "\n".join(KEYS) + "\n"))}
    assert keyed(client, either, topic, "murmur2") == expected


def test_it_consumes_from_a_time_on(client, either, topic):
    producer = CLIENTS["confluent-kafka"].producer(either)
    make(client, either, topic, 3)
    start = int(time.time() * 1000) - 100_000
    for i in range(300):
        producer.produce(topic, f"v{i}", f"k{i}", i % 3, timestamp=start + i * 100)
    assert producer.flush(30) == 0
    read = lines(run([*client.command(), "since", either.bootstrap, topic, str(start + 15_000), "150"]))
    assert sorted(int(key[1:]) for _, _, key in read) == list(range(150, 300))
    offset = client.offset_at(either, topic, start + 15_000)
    assert offset == 50


def test_the_example_builds_against_the_package_and_runs(example, either, topic):
    assert run([str(example / "produce"), either.bootstrap, topic, "25"]) == "25 orders written\n"
    printed = run([str(example / "consume"), either.bootstrap, topic, "3600"]).splitlines()
    assert sorted(line.split(" ", 1)[1] for line in printed) == sorted(
        f"customer-{i % 10}: order {i} origin=example" for i in range(25)
    )


def test_the_example_hears_of_deliveries_in_every_way(example, client, either, topic):
    make(client, either, topic)
    printed = run([str(example / "deliveries"), either.bootstrap, topic]).splitlines()
    ways = ["callback", "future", "observer", "coroutine", "coroutine"]
    assert sorted(printed) == sorted(f"{way}: partition 0, offset {i}" for i, way in enumerate(ways))


# Members hear of a rebalance at their next heartbeat.
BRISK = {"heartbeat_interval_ms": "500"}


def member(client: Cpp, broker, topic: str, **settings: str) -> Member:
    settings = {**BRISK, **settings}
    more = [f"{name.replace('_', '.')}={value}" for name, value in settings.items()]
    return Member([*client.command(), "group", broker.bootstrap, topic, f"g-{topic}", *more])


def spread(broker, topic: str, first: int, count: int) -> set[str]:
    """The values written, evenly over seven partitions."""
    producer = CLIENTS["confluent-kafka"].producer(broker)
    for i in range(first, first + count):
        producer.produce(topic, f"v{i}", f"k{i}", i % PARTITIONS)
    assert producer.flush(30) == 0
    return {f"v{i}" for i in range(first, first + count)}


def values(*members: Member) -> list[str]:
    return sorted(row[3] for one in members for row in one.rows)


def share(*members: Member) -> bool:
    """Every partition is with exactly one of them, and each has some."""
    held = [one.assigned for one in members]
    return all(held) and sorted(number for own in held for number in own) == list(range(PARTITIONS))


PROTOCOLS = [{}, {"partition_assignment_strategy": "cooperative-sticky"}, {"group_protocol": "consumer"}]


@pytest.mark.parametrize("settings", PROTOCOLS, ids=["range", "cooperative", "consumer"])
def test_members_share_inherit_and_go_on_where_the_group_committed(client, either, topic, settings):
    make(client, either, topic, PARTITIONS)
    with member(client, either, topic, **settings) as one, member(client, either, topic, **settings) as two:
        wait_for(lambda: share(one, two), "a fair share", [one, two])
        written = spread(either, topic, 0, 70)
        wait_for(lambda: values(one, two) == sorted(written), "every record once", [one, two])
        one.leave()
        wait_for(lambda: share(two), "the inheritance", [two])
        written |= spread(either, topic, 70, 70)
        wait_for(lambda: values(one, two) == sorted(written), "every record once more", [two])
        two.leave()
    more = spread(either, topic, 140, 70)
    with member(client, either, topic, **settings) as three:
        wait_for(lambda: values(three) == sorted(more), "only what came since", [three])
        three.leave()


@pytest.mark.parametrize("settings", PROTOCOLS, ids=["range", "cooperative", "consumer"])
def test_members_subscribe_by_pattern_and_get_topics_that_come_later(client, either, topic, settings):
    def start() -> Member:
        words = [f"{name.replace('_', '.')}={value}" for name, value in {**BRISK, **settings}.items()]
        where = [either.bootstrap, f"^{topic}(-late)?$", f"g-{topic}"]
        return Member([*client.command(), "group", *where, *words, "metadata.max.age.ms=500"])

    def both(one: Member, two: Member, count: int) -> bool:
        return len(one.held) + len(two.held) == count and bool(one.held and two.held)

    make(client, either, topic, PARTITIONS)
    make(client, either, f"not-{topic}", PARTITIONS)
    with start() as one, start() as two:
        wait_for(lambda: both(one, two, PARTITIONS), "a fair share", [one, two])
        make(client, either, f"{topic}-late", PARTITIONS)
        wait_for(lambda: both(one, two, 2 * PARTITIONS), "the topic that came later", [one, two])
        written = spread(either, topic, 0, 70) | spread(either, f"{topic}-late", 70, 70)
        spread(either, f"not-{topic}", 140, 70)
        wait_for(lambda: values(one, two) == sorted(written), "every record once", [one, two])
        one.leave()
        two.leave()


JAVA_STICKY = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"


@pytest.mark.parametrize(
    ("other", "mine", "theirs"),
    [
        ("confluent-kafka", "range", "range"),
        ("confluent-kafka", "cooperative-sticky", "cooperative-sticky"),
        ("java", "range", "org.apache.kafka.clients.consumer.RangeAssignor"),
        ("java", "cooperative-sticky", JAVA_STICKY),
    ],
)
@pytest.mark.parametrize("is_first", [True, False], ids=["leads", "follows"])
def test_it_shares_a_group_with_other_clients(client, either, topic, other, mine, theirs, is_first):
    make(client, either, topic, PARTITIONS)

    def start(name: str) -> Member:
        if name == "cpp":
            return member(client, either, topic, partition_assignment_strategy=mine)
        return join(name, either, topic, f"g-{topic}", partition_assignment_strategy=theirs, **BRISK)

    names = ["cpp", other] if is_first else [other, "cpp"]
    with start(names[0]) as one:
        wait_for(lambda: share(one), "everything for the first", [one])
        with start(names[1]) as two:
            wait_for(lambda: share(one, two), "a fair share", [one, two])
            written = spread(either, topic, 0, 70)
            wait_for(lambda: values(one, two) == sorted(written), "every record once", [one, two])
            two.leave()
        wait_for(lambda: share(one), "everything again", [one])
        one.leave()


def test_a_static_member_comes_back_to_its_partitions(client, either, topic):
    make(client, either, topic, PARTITIONS)
    with member(client, either, topic, group_instance_id="a") as one:
        with member(client, either, topic, group_instance_id="b") as two:
            wait_for(lambda: share(one, two), "a fair share", [one, two])
            before = two.assigned
            two.kill()
        written = spread(either, topic, 0, 70)
        with member(client, either, topic, group_instance_id="b") as again:
            wait_for(lambda: again.assigned == before, "the same partitions", [one, again])
            wait_for(lambda: set(values(one, again)) == written, "all records", [one, again])
            again.leave()
        one.leave()


def test_the_example_reads_as_a_member_of_a_group(example, client, either, topic):
    make(client, either, topic, 3)
    assert run([str(example / "produce"), either.bootstrap, topic, "25"]) == "25 orders written\n"
    for expected in [25, 0]:
        printed = run([str(example / "group"), either.bootstrap, topic, "example"]).splitlines()
        counts = [int(line.split()[0]) for line in printed if line.endswith(" records")]
        assert sum(counts) == expected
        for what in ["assigned", "revoked"]:
            partitions = sorted(line for line in printed if line.startswith(what))
            assert partitions == [f"{what} partition {i}" for i in range(3)]


def test_it_reads_only_what_transactions_committed(client, topic, tmp_path):
    """Against Kafka: DLog has no transactions yet."""
    confluent = pytest.importorskip("confluent_kafka")

    def producer(name: str):
        made = confluent.Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": name, "linger.ms": 0})
        made.init_transactions(30)
        return made

    def write(by, *texts: str) -> None:
        for text in texts:
            by.produce(topic, text, partition=0)
            by.flush(30)

    def reads(texts: list[str], stable: int) -> bool:
        """Also its end, its position there and its high watermark are the last stable offset."""
        printed = run([*client.command(), "committed", kafka.bootstrap, topic]).splitlines()
        return printed == [*texts, f"end {stable} {stable} {stable}"]

    with start_broker("kafka", tmp_path) as kafka:
        make(client, kafka, topic)
        a, b = producer("a"), producer("b")
        a.begin_transaction()
        b.begin_transaction()
        write(a, "a0", "a1")
        write(b, "b0")
        write(a, "a2")
        b.abort_transaction(30)
        a.commit_transaction(30)
        # Markers take an offset each; they are written after the answer.
        wait_for(lambda: reads(["a0", "a1", "a2"], 6), "the committed transaction", [])
        b.begin_transaction()
        write(b, "b1")
        a.begin_transaction()
        write(a, "a3")
        a.commit_transaction(30)
        # Nothing behind a transaction that is open.
        assert reads(["a0", "a1", "a2"], 6)
        b.commit_transaction(30)
        wait_for(lambda: reads(["a0", "a1", "a2", "b1", "a3"], 10), "both transactions", [])
        for _ in range(20):
            a.begin_transaction()
            write(a, "gone", "gone")
            a.abort_transaction(30)
        # It ends with what was aborted, and the position is behind that.
        wait_for(lambda: reads(["a0", "a1", "a2", "b1", "a3"], 70), "all stable", [])


def plain(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().split("\n"))


def test_the_guide_shows_what_the_examples_do():
    examples = [plain(path.read_text()) for path in (ROOT / "examples/client").glob("*.cc")]
    guide = (ROOT / "docs/client.md").read_text()
    blocks = re.findall(r"^```cpp\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 10
    for block in blocks:
        assert any(plain(block) in text for text in examples), block


def test_errors_say_what_is_wrong(example, broker, topic):
    def error(*words: str) -> str:
        return subprocess.run([str(example / "consume"), *words], capture_output=True, text=True, timeout=60).stderr

    assert "cannot reach the broker: 127.0.0.1:1 (connection refused)" in error("127.0.0.1:1", topic, "1")
    assert 'bootstrap: "nonsense" is not HOST:PORT' in error("nonsense", topic, "1")
    assert f"no such topic or partition: topic {topic}" in error(broker.bootstrap, topic, "1")
