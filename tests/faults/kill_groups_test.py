"""kill -9 while clients produce, groups commit and compaction runs, many rounds on the same data.

Nothing acknowledged is lost: records of an ordinary topic, the latest value of every key of a compacted one, committed
offsets, and a member's place in its group. The checker is support/wire.py, which shares no code with the node.
"""

import os
import random
import struct
import threading
import time

from kill_test import PARTITIONS, Ledger, check, write_until_it_dies
from node import Node
from wire import (
    FIND_COORDINATOR, HEARTBEAT, JOIN_GROUP, OFFSET_COMMIT, OFFSET_FETCH, SYNC_GROUP, Batch, Connection,
    record, sized, text,
)

ROUNDS = int(os.environ.get("DLOG_KILL_ROUNDS", "50")) // 5
SETTINGS = {
    "cores": "2", "log-cleaner-backoff-ms": "20", "group-initial-rebalance-delay-ms": "0",
    "offsets-topic-num-partitions": "2",
}
GROUPS = 4
KEYS = 30
LOADING = 14


class State:
    """The writer of a compacted topic: values of its keys are serial numbers that only grow."""

    def __init__(self):
        self.sent: dict[bytes, int] = {}
        self.acknowledged: dict[bytes, int] = {}
        self.serial = 0

    def write_until_it_dies(self, node: Node, seed: int) -> None:
        rng = random.Random(seed)
        try:
            with Connection(node.port) as connection:
                while True:
                    keys = [f"k{rng.randrange(KEYS)}".encode() for _ in range(rng.randrange(1, 20))]
                    first = self.serial
                    self.serial += len(keys)
                    values = [f"{first + i}".encode() for i in range(len(keys))]
                    pairs = list(zip(keys, values, strict=True))
                    for i, key in enumerate(keys):
                        self.sent[key] = first + i
                    body = b"".join(record(i, key, value) for i, (key, value) in enumerate(pairs))
                    error, _ = connection.produce("state", 0, Batch(values, body=body).encode())
                    assert error == 0, error
                    for i, key in enumerate(keys):
                        self.acknowledged[key] = first + i
        except (OSError, ConnectionError):
            return

    def check(self, connection: Connection) -> int:
        """How many records are left."""
        records = connection.read_compacted("state", 0)
        latest = {r.key: int(r.value) for r in records}
        for key, serial in self.acknowledged.items():
            assert serial <= latest.get(key, -1) <= self.sent[key], f"{key} is at {latest.get(key)}, not {serial}"
        return len(records)


class Group:
    """One member that commits ever higher offsets, over all rounds in the same generation."""

    def __init__(self, name: str):
        self.name = name
        self.member = ""
        self.generation = -1
        self.sent = -1
        self.acknowledged = -1

    def join(self, connection: Connection) -> None:
        reader = connection.call(FIND_COORDINATOR, 0, text(self.name))
        assert reader.number("h") == 0
        protocols = struct.pack(">i", 1) + text("range") + sized(b"")
        times = struct.pack(">ii", 1_800_000, 1_800_000)
        while True:
            body = text(self.name) + times + text("") + text("consumer") + protocols
            reader = connection.call(JOIN_GROUP, 2, body)
            _, error, self.generation = reader.number("i"), reader.number("h"), reader.number("i")
            if error != LOADING:
                break
        assert error == 0
        _, leader, self.member = reader.text(), reader.text(), reader.text()
        assert leader == self.member
        assignment = struct.pack(">i", 1) + text(self.member) + sized(b"everything")
        body = text(self.name) + struct.pack(">i", self.generation) + text(self.member) + assignment
        assert connection.call(SYNC_GROUP, 0, body).number("h") == 0

    def commit_until_it_dies(self, node: Node) -> None:
        try:
            with Connection(node.port) as connection:
                while True:
                    self.sent += 1
                    partition = struct.pack(">iiq", 1, 0, self.sent) + text("")
                    member = struct.pack(">i", self.generation) + text(self.member) + struct.pack(">q", -1)
                    body = text(self.name) + member + struct.pack(">i", 1) + text("load") + partition
                    reader = connection.call(OFFSET_COMMIT, 2, body)
                    ((error,),) = reader.array(
                        lambda r=reader: (r.text(), r.array(lambda: (r.number("i"), r.number("h"))[1]))[1]
                    )
                    if error == LOADING:
                        continue
                    assert error == 0, error
                    self.acknowledged = self.sent
        except (OSError, ConnectionError):
            return

    def check(self, connection: Connection) -> None:
        body = text(self.name) + struct.pack(">i", self.generation) + text(self.member)
        while (error := connection.call(HEARTBEAT, 0, body).number("h")) == LOADING:
            time.sleep(0.01)
        assert error == 0, f"the member of {self.name} is none any more: {error}"
        body = text(self.name) + struct.pack(">i", 1) + text("load") + struct.pack(">ii", 1, 0)
        reader = connection.call(OFFSET_FETCH, 1, body)
        ((found,),) = reader.array(
            lambda: (reader.text(), reader.array(lambda: (
                reader.number("i"), reader.number("q"), reader.text(), reader.number("h"))))[1]
        )
        assert found[3] == 0
        assert self.acknowledged <= found[1] <= self.sent, f"{self.name} is at {found[1]}, not {self.acknowledged}"


def one_round(node: Node, ledger: Ledger, state: State, groups: list[Group], number: int, rng: random.Random) -> None:
    works = [
        (write_until_it_dies, (node, "load", ledger, f"r{number}", rng.randrange(1 << 30), "none")),
        (state.write_until_it_dies, (node, rng.randrange(1 << 30))),
        *((group.commit_until_it_dies, (node,)) for group in groups),
    ]
    failures: list[BaseException] = []

    def run(work, arguments) -> None:
        try:
            work(*arguments)
        except BaseException as failure:  # noqa: BLE001: whatever it is, the test's own thread is to tell it
            failures.append(failure)

    threads = [threading.Thread(target=run, args=work) for work in works]
    for thread in threads:
        thread.start()
    time.sleep(rng.uniform(0.05, 0.6))
    node.kill()
    for thread in threads:
        thread.join(20)
    assert not failures, failures
    node.start()


def test_groups_compaction_and_records_survive_kill_9_together(tmp_path):
    rng = random.Random("kill-groups")
    ledger, state, groups = Ledger(), State(), [Group(f"g{i}") for i in range(GROUPS)]
    small = {"internal_segment_bytes": "8192", "min_cleanable_dirty_ratio": "0.01"}
    with Node(tmp_path, SETTINGS) as node:
        with Connection(node.port) as connection:
            assert connection.create_topic("load", PARTITIONS, segment_bytes="1048576") == 0
            assert connection.create_topic("state", 1, cleanup_policy="compact", **small) == 0
            for group in groups:
                group.join(connection)
        left = 0
        for number in range(ROUNDS):
            one_round(node, ledger, state, groups, number, rng)
            with Connection(node.port) as connection:
                for group in groups:
                    group.check(connection)
                left = state.check(connection)
            if number % 5 == 4 or number == ROUNDS - 1:
                check(node, "load", ledger)
        assert min(group.acknowledged for group in groups) > ROUNDS, "there were too few commits to show anything"
        assert state.serial > 50 * ROUNDS and left < state.serial, "nothing was compacted"
        commits = sum(group.acknowledged for group in groups)
        print(f"{ROUNDS} rounds: {len(ledger.acknowledged)} records, {commits} commits, {state.serial} values of keys, "
              f"{left} of them left")
