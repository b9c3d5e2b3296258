"""Hostile bytes on raw sockets: each gets Kafka's error or a closed connection with a log line, and harms no other."""

import gzip
import socket
import struct
import time

import pytest
import zstandard
from node import Node
from wire import (
    API_VERSIONS, CORRUPT_MESSAGE, FETCH, INVALID_RECORD, METADATA, PRODUCE, UNKNOWN_TOPIC, UNSUPPORTED_VERSION, Batch,
    Connection, record, text, varint,
)

MIB = 1 << 20


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with Node(tmp_path_factory.mktemp("hostile")) as running:
        with Connection(running.port) as connection:
            assert connection.create_topic("t", 2) == 0
        yield running


@pytest.fixture(autouse=True)
def others_are_unharmed(node):
    """Before and after each test another client writes and reads, and the node's memory stays bounded."""
    with Connection(node.port) as other:
        before = other.offset_at("t", 1, -1)
        yield
        assert node.is_running(), node.log[-3000:]
        assert other.produce("t", 1, Batch([b"well"]).encode()) == (0, before)
        assert other.fetch("t", 1, before)[0] == 0
    assert node.resident_bytes() < 400 * MIB


def warned(node, seen: int) -> str:
    """What the node logged since its log was `seen` characters long; at least one line within a second."""
    end = time.monotonic() + 1
    while len(node.log) <= seen and time.monotonic() < end:
        time.sleep(0.01)
    return node.log[seen:]


def closes(node, data: bytes, *, wait_s: float = 5) -> str:
    """Sends the bytes, expects the connection to be closed, and returns the node's words about it."""
    seen = len(node.log)
    with Connection(node.port) as connection:
        connection.socket.sendall(data)
        assert connection.is_closed_by_broker(wait_s)
    line = warned(node, seen)
    assert line.strip(), "the node logged nothing"
    return line


def framed(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">i", -1),
        struct.pack(">i", 0x7FFFFFFF) + b"x",
        struct.pack(">i", -0x80000000),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
        framed(b""),
        framed(b"\0"),
        framed(struct.pack(">hh", METADATA, 1)),
        framed(struct.pack(">hhih", METADATA, 1, 1, 30_000)),
        framed(struct.pack(">hhi", METADATA, 1, 1) + text("c") + struct.pack(">i", 0x7FFFFFFF)),
        framed(struct.pack(">hhi", METADATA, 1, 1) + text("c") + struct.pack(">ih", 1, 5) + b"ab"),
        framed(struct.pack(">hhi", PRODUCE, 7, 1) + text("c") + text(None) + struct.pack(">hii", -1, 1000, 1 << 30)),
        framed(struct.pack(">hhi", FETCH, 4, 1) + text("c") + struct.pack(">iiiibi", -1, 0, 0, 0, 0, 1 << 30)),
        framed(struct.pack(">hhi", METADATA, 12, 1) + text("c") + b"\xff" * 40),
    ],
    ids=[
        "negative-length", "huge-length", "least-length", "http", "tls", "empty-frame", "one-byte", "short-header",
        "client-id-past-the-end", "array-past-the-end", "string-past-the-end", "two-billion-topics",
        "two-billion-partitions", "endless-varint",
    ],
)
def test_a_broken_frame_closes_the_connection_with_a_word_in_the_log(node, data):
    closes(node, data)


def test_trailing_bytes_behind_a_request_do_no_harm(node):
    with Connection(node.port) as connection:
        connection.send(METADATA, 1, struct.pack(">i", 0) + b"trailing")
        try:
            connection.receive()
        except ConnectionError:
            pass  # Kafka ignores what trails; closing is allowed too


@pytest.mark.parametrize("api", [-1, 4, 77, 999, 32767])
def test_an_unknown_api_closes_the_connection(node, api):
    line = closes(node, framed(struct.pack(">hhi", api, 0, 7) + text("c")))
    assert f" {api} " in line, "the log names the API"


@pytest.mark.parametrize("version", [-1, 99, 32767])
def test_an_unknown_version_closes_the_connection(node, version):
    closes(node, framed(struct.pack(">hhi", METADATA, version, 7) + text("c") + b"\0" * 8))


def test_an_unknown_version_of_api_versions_is_answered_with_version_0(node):
    """KIP-511: the client learns what is spoken here from the answer."""
    with Connection(node.port) as connection:
        reader = connection.call(API_VERSIONS, 99, b"\0" * 8)
        assert reader.number("h") == UNSUPPORTED_VERSION


def produce(node, batch: bytes) -> int:
    with Connection(node.port) as connection:
        return connection.produce("t", 0, batch)[0]


GOOD = Batch([b"a", b"b", b"c"])


def lying(**fields) -> bytes:
    return Batch([b"a", b"b", b"c"], **fields).encode()


CORRUPTIONS = {
    "bad-crc": lying(crc=1),
    "length-too-long": lying(length=10_000),
    "length-too-short": lying(length=20),
    "negative-length": lying(length=-5),
    "cut-off": GOOD.encode()[:-4],
    "header-cut-off": GOOD.encode()[:40],
    "nothing-but-zeros": b"\0" * 100,
    "count-too-high": lying(count=1000),
    "count-of-two-billion": lying(count=0x7FFFFFFF),
    "count-too-low": lying(count=2),
    "count-zero": lying(count=0),
    "negative-count": lying(count=-3),
    "record-longer-than-the-batch": lying(body=varint(1000) + b"\0" * 10),
    "record-of-negative-length": lying(body=varint(-7) * 3),
    "unknown-codec": lying(attributes=7),
    "unknown-magic": lying(magic=9),
    "not-what-its-codec-says": lying(attributes=4),
    "gzip-cut-off": lying(attributes=1, body=gzip.compress(b"".join(record(i, None, b"x") for i in range(3)))[:-6]),
    "compressed-count-too-high": Batch([b"a"] * 3, codec="lz4", count=500).encode(),
    "control-batch-from-a-client": lying(attributes=0x20),
}


@pytest.mark.parametrize("batch", CORRUPTIONS.values(), ids=CORRUPTIONS)
def test_a_corrupt_batch_is_refused_and_nothing_of_it_is_kept(node, batch):
    with Connection(node.port) as connection:
        before = connection.offset_at("t", 0, -1)
        try:
            error, _ = connection.produce("t", 0, batch)
            assert error in (CORRUPT_MESSAGE, INVALID_RECORD, -1, 42, 43, 76), error  # -1: Kafka's for a broken stream
        except ConnectionError:
            pass
    with Connection(node.port) as connection:
        assert connection.offset_at("t", 0, -1) == before
        assert connection.produce("t", 0, GOOD.encode()) == (0, before)


def test_a_bad_crc_is_a_corrupt_message(node):
    assert produce(node, lying(crc=7)) == CORRUPT_MESSAGE


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_decompression_bomb_is_refused_in_bounded_memory(node, codec):
    """A megabyte that unfolds to a gigabyte."""
    zeros = b"\0" * (64 * MIB)
    if codec == "gzip":
        stream = gzip.compress(zeros) * 16
    else:
        stream = zstandard.ZstdCompressor(level=1).compress(zeros) * 16
    head = varint(1 << 30)  # one record that says it is a gigabyte long
    bomb = (gzip.compress(head) if codec == "gzip" else zstandard.compress(head)) + stream
    attributes = 1 if codec == "gzip" else 4
    before = node.resident_bytes()
    error = produce(node, Batch([b"x"], attributes=attributes, body=bomb[: 900 * 1024]).encode())
    assert error != 0
    assert node.resident_bytes() - before < 100 * MIB


def test_an_unknown_topic_is_named_as_such(node):
    with Connection(node.port) as connection:
        assert connection.produce("no-such-topic", 0, GOOD.encode())[0] == UNKNOWN_TOPIC
        assert connection.produce("t", 99, GOOD.encode())[0] == UNKNOWN_TOPIC
        assert connection.fetch("t", 99, 0)[0] == UNKNOWN_TOPIC
        assert connection.fetch("t", 0, 1 << 40)[0] == 1, "an offset out of range"


def test_an_idempotent_gap_is_refused_and_a_duplicate_is_answered_again(node):
    with Connection(node.port) as connection:
        producer_id, epoch = connection.init_producer_id()

        def send(sequence: int, value: bytes) -> tuple[int, int]:
            batch = Batch([value], producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence)
            return connection.produce("t", 0, batch.encode())

        error, first = send(0, b"zero")
        assert error == 0
        assert send(0, b"zero") in ((0, first), (46, -1)), "a duplicate gets its offset again"
        assert send(2, b"two")[0] == 45, "a gap in the sequence"
        assert send(1, b"one") == (0, first + 1)


def test_half_a_request_and_then_silence_holds_up_nobody(node):
    with Connection(node.port) as silent:
        silent.socket.sendall(struct.pack(">i", 1000) + b"half")
        started = time.monotonic()
        assert produce(node, GOOD.encode()) == 0
        assert time.monotonic() - started < 2


def test_thousands_of_half_open_connections_cost_little(node):
    before = node.resident_bytes()
    idle = []
    try:
        for _ in range(800):
            connection = socket.create_connection(("127.0.0.1", node.port), timeout=5)
            connection.sendall(struct.pack(">i", 50 * MIB) + b"x")
            idle.append(connection)
        assert produce(node, GOOD.encode()) == 0
        assert node.resident_bytes() - before < 100 * MIB, "memory is taken as bytes arrive, not as they are announced"
    finally:
        for connection in idle:
            connection.close()


def test_a_client_that_never_reads_is_held_back_in_bounded_memory(node):
    """It asks again and again for a megabyte and reads nothing: the node stops taking its requests."""
    with Connection(node.port) as connection:
        for _ in range(20):
            assert connection.produce("t", 0, Batch([b"x" * 100_000]).encode())[0] == 0
    before = node.resident_bytes()
    with Connection(node.port) as deaf:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.socket.settimeout(0.5)
        start = 0
        try:
            for _ in range(20_000):
                deaf.send(FETCH, 4, deaf.fetch_body("t", 0, start, max_bytes=MIB, wait_ms=0))
        except (TimeoutError, OSError):
            pass
        assert node.resident_bytes() - before < 100 * MIB
        assert produce(node, GOOD.encode()) == 0


def test_a_connection_that_is_reset_in_mid_request_does_no_harm(node):
    for _ in range(50):
        connection = socket.create_connection(("127.0.0.1", node.port), timeout=5)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        body = Connection.produce_body("t", 0, GOOD.encode())
        request = struct.pack(">hhi", PRODUCE, 7, 1) + text("c") + body
        connection.sendall(framed(request) * 5 + framed(request)[:20])
        connection.close()
    assert produce(node, GOOD.encode()) == 0


def test_random_bytes_after_a_valid_header_never_end_the_node(node):
    import random

    rng = random.Random(3)
    for _ in range(300):
        api, version = rng.choice([0, 1, 2, 3, 18, 19, 20, 22, 23, 32, 37, 60, 75]), rng.randrange(0, 14)
        body = rng.randbytes(rng.randrange(0, 200))
        with Connection(node.port, timeout_s=0.2) as connection:
            try:
                connection.socket.sendall(framed(struct.pack(">hhi", api, version, 1) + text("c") + body))
                connection.receive()
            except (ConnectionError, TimeoutError, OSError):
                pass
    assert node.is_running(), node.log[-3000:]


FIND_COORDINATOR, JOIN_GROUP, OFFSET_COMMIT, CONSUMER_GROUP_HEARTBEAT = 10, 11, 8, 68
RECORD_LIST_TOO_LARGE, INVALID_COMMIT_OFFSET_SIZE, COORDINATOR_LOAD_IN_PROGRESS = 18, 28, 14


def compact(data: bytes) -> bytes:
    """A string of a flexible version."""
    return count_of(len(data)) + data


def count_of(items: int) -> bytes:
    """The length of a string or an array of a flexible version: an unsigned varint of one more."""
    number, out = items + 1, bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def heartbeat(connection, group: bytes, member: bytes, epoch: int, topics: bytes = b"\0") -> int:
    """The error of a ConsumerGroupHeartbeat; `topics` is a compact array, or null."""
    body = b"\0" + compact(group) + compact(member) + struct.pack(">i", epoch) + b"\0\0"
    body += struct.pack(">i", 60_000) + topics + b"\0\0\0\0"
    end = time.monotonic() + 10
    while True:
        reader = connection.call(CONSUMER_GROUP_HEARTBEAT, 1, body)
        reader.take(1 + 4)
        error = reader.number("h")
        if error != COORDINATOR_LOAD_IN_PROGRESS or time.monotonic() > end:
            return error


@pytest.fixture
def coordinated(node):
    """A connection to a node that has group coordinators."""
    with Connection(node.port) as connection:
        while connection.call(FIND_COORDINATOR, 1, text("g") + b"\0").data[8:10] != b"\0\0":
            time.sleep(0.05)
        yield connection


def test_a_group_id_longer_than_a_string_closes_the_connection_as_in_kafka(node, coordinated):
    header = struct.pack(">hhi", CONSUMER_GROUP_HEARTBEAT, 1, 1) + text("c") + b"\0"
    closes(node, framed(header + compact(b"g" * 100_000) + b"\0" * 40))
    assert heartbeat(coordinated, b"g" * 32_767, b"m", 0, count_of(1) + compact(b"t")) == 0


def test_a_subscription_to_a_million_topics_is_refused_and_its_group_goes_on(coordinated):
    assert heartbeat(coordinated, b"g", b"m", 0, count_of(1) + compact(b"t")) == 0
    million = count_of(1_000_000) + b"".join(compact(b"topic-%d" % i) for i in range(1_000_000))
    assert heartbeat(coordinated, b"g", b"other", 0, million) == RECORD_LIST_TOO_LARGE
    assert heartbeat(coordinated, b"g", b"m", 1) == 0


def test_a_classic_member_with_megabytes_to_say_is_refused(coordinated):
    def join(metadata: bytes) -> int:
        body = text("classic") + struct.pack(">ii", 10_000, 10_000) + text("") + text("consumer")
        body += struct.pack(">i", 1) + text("range") + struct.pack(">i", len(metadata)) + metadata
        reader = coordinated.call(JOIN_GROUP, 2, body)
        reader.take(4)
        return reader.number("h")

    assert join(b"x" * (2 * MIB)) == RECORD_LIST_TOO_LARGE
    assert join(b"x" * 1000) == 0


def test_a_commit_of_a_million_offsets_is_refused_whole(coordinated):
    def commit(count: int) -> int:
        offsets = struct.pack(">iqh", 0, 7, 0) * count
        body = text("simple") + struct.pack(">i", -1) + text("") + struct.pack(">qi", -1, 1)
        reader = coordinated.call(OFFSET_COMMIT, 2, body + text("t") + struct.pack(">i", count) + offsets)
        reader.take(4 + 3 + 4 + 4)
        return reader.number("h")

    assert commit(1_000_000) == INVALID_COMMIT_OFFSET_SIZE
    assert commit(1) == 0
