"""kill -9 under load, many rounds on the same data: nothing acknowledged is lost, nothing is corrupt or out of order.

The checker is support/wire.py, which shares no code with the node or with any client library: it writes batches whose
values are numbered, notes which were acknowledged, and after each restart reads the partitions back.
"""

import os
import random
import socket
import threading
import time

import pytest
from node import Node
from wire import PRODUCE, Batch, Connection

ROUNDS = int(os.environ.get("DLOG_KILL_ROUNDS", "50"))
PARTITIONS = 8
WRITERS = 3
PIPELINED = 4


class Ledger:
    """What was sent and what was acknowledged, over all rounds: value -> (partition, offset) once it is known."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent: set[bytes] = set()
        self.acknowledged: dict[bytes, tuple[int, int]] = {}

    def note_sent(self, values: list[bytes]) -> None:
        with self.lock:
            self.sent.update(values)

    def note_acknowledged(self, values: list[bytes], partition: int, base_offset: int) -> None:
        with self.lock:
            for i, value in enumerate(values):
                self.acknowledged[value] = (partition, base_offset + i)


def write_until_it_dies(node: Node, topic: str, ledger: Ledger, name: str, seed: int, codec: str) -> None:
    """Keeps a few produce requests under way until the connection breaks."""
    rng = random.Random(seed)
    serial = 0
    try:
        with Connection(node.port) as connection:
            waiting = []
            while True:
                while len(waiting) < PIPELINED:
                    partition, count = rng.randrange(PARTITIONS), rng.randrange(1, 40)
                    filler = b"." * rng.randrange(0, 200)
                    values = [f"{name}-{serial + i}".encode() + filler for i in range(count)]
                    serial += count
                    ledger.note_sent(values)
                    body = connection.produce_body(topic, partition, Batch(values, codec=codec).encode())
                    waiting.append((connection.send(PRODUCE, 7, body), values, partition))
                sent, values, partition = waiting.pop(0)
                correlation, reader = connection.receive()
                assert correlation == sent
                error, base_offset = connection.read_produced(reader)
                if error == 0:
                    ledger.note_acknowledged(values, partition, base_offset)
    except (ConnectionError, socket.timeout, OSError):
        return


def check(node: Node, topic: str, ledger: Ledger) -> None:
    with Connection(node.port) as connection:
        found = {}
        for partition in range(PARTITIONS):
            for record in connection.read_all(topic, partition):
                assert record.value in ledger.sent, f"{record.value} was never sent"
                assert record.value not in found, f"{record.value} is there twice"
                found[record.value] = (partition, record.offset)
    for value, place in ledger.acknowledged.items():
        assert found.get(value) == place, f"{value} was acknowledged at {place}, and is at {found.get(value)}"


def one_round(node: Node, topic: str, ledger: Ledger, number: int, rng: random.Random) -> None:
    codecs = ["none", "lz4", "zstd"]
    writers = [
        threading.Thread(
            target=write_until_it_dies,
            args=(node, topic, ledger, f"r{number}w{w}", rng.randrange(1 << 30), codecs[w % len(codecs)]),
        )
        for w in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    time.sleep(rng.uniform(0.05, 0.5))
    node.kill()
    for writer in writers:
        writer.join(20)
        assert not writer.is_alive()
    node.start()


@pytest.mark.parametrize("cores", ["1", "2"])
def test_nothing_acknowledged_is_lost_when_the_node_is_killed_under_load(tmp_path, cores):
    rng = random.Random(f"kill-{cores}")
    ledger = Ledger()
    with Node(tmp_path, {"cores": cores}) as node:
        with Connection(node.port) as connection:
            assert connection.create_topic("load", PARTITIONS, segment_bytes="1048576") == 0
        rounds = ROUNDS // 2
        for number in range(rounds):
            one_round(node, "load", ledger, number, rng)
            # Every round is checked by the offsets that it goes on from; reading all back costs more each time.
            if number % 5 == 4 or number == rounds - 1:
                check(node, "load", ledger)
        assert len(ledger.acknowledged) > 100 * rounds, "the load was too light to show anything"
        print(f"{rounds} rounds, {len(ledger.acknowledged)} records acknowledged, all of them there")


def test_what_was_acknowledged_from_memory_survives_kill_9(tmp_path):
    """write.caching=true promises nothing after a power loss, but the page cache outlives the process."""
    ledger = Ledger()
    with Node(tmp_path) as node:
        with Connection(node.port) as connection:
            assert connection.create_topic("cached", PARTITIONS, write_caching="true") == 0
        rng = random.Random("cached")
        for number in range(3):
            one_round(node, "cached", ledger, number, rng)
            check(node, "cached", ledger)
        assert len(ledger.acknowledged) > 300


def test_the_checker_notices_a_lost_record(tmp_path):
    """The checker itself is tested: a ledger with a record more than was written does not pass."""
    with Node(tmp_path) as node:
        with Connection(node.port) as connection:
            assert connection.create_topic("load", PARTITIONS) == 0
            ledger = Ledger()
            ledger.note_sent([b"a", b"b"])
            error, offset = connection.produce("load", 0, Batch([b"a"]).encode())
            assert error == 0
        ledger.note_acknowledged([b"a", b"b"], 0, offset)
        with pytest.raises(AssertionError, match="b'b' was acknowledged"):
            check(node, "load", ledger)


def test_topics_survive_kill_9_right_after_they_were_made_or_deleted(tmp_path):
    with Node(tmp_path) as node:
        for number in range(5):
            with Connection(node.port) as connection:
                assert connection.create_topic(f"made-{number}", 3) == 0
            node.kill()
            node.start()
            with Connection(node.port) as connection:
                assert connection.create_topic(f"made-{number}", 3) == 36, "the topic is there already"
                assert connection.offset_at(f"made-{number}", 2, -1) == 0


def test_a_clean_stop_is_quick_and_loses_nothing(tmp_path):
    with Node(tmp_path) as node:
        with Connection(node.port) as connection:
            assert connection.create_topic("stop") == 0
            for i in range(100):
                assert connection.produce("stop", 0, Batch([f"{i}".encode()]).encode()) == (0, i)
        started = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - started < 5
        node.start()
        with Connection(node.port) as connection:
            assert [r.value for r in connection.read_all("stop", 0)] == [f"{i}".encode() for i in range(100)]


def test_a_second_node_on_the_same_folder_is_refused(tmp_path):
    with Node(tmp_path) as node:
        with pytest.raises(RuntimeError, match=str(node.pid)):
            Node(tmp_path)
        with Connection(node.port) as connection:
            assert connection.create_topic("still-here") == 0
