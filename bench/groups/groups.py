"""What consumer groups cost, on dlog and on Apache Kafka, interleaved: offset commits and heartbeats a CPU-second of
the broker, the time until a group of 100 members works, and the time of a rebalance when one more comes.

The generator is tests/support/wire.py: it spends more CPU than either broker, so only the broker's own CPU and the
members' own waiting are figures here, never what the generator reaches in a second.
"""

import argparse
import pathlib
import selectors
import statistics
import struct
import sys
import tempfile
import threading
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
for folder in ("tests/support", "bench/kafka"):
    sys.path.insert(0, str(ROOT / folder))

import wire  # noqa: E402
from brokers import Broker  # noqa: E402
from wire import FIND_COORDINATOR, HEARTBEAT, JOIN_GROUP, OFFSET_COMMIT, SYNC_GROUP, sized, text  # noqa: E402

TOPIC = "groups"
LOADING = (14, 15, 16)
REBALANCING = 27


def settle(ask) -> tuple[int, wire.Reader]:
    """Asks until the coordinator is there; the error and what follows it."""
    while True:
        error, reader = ask()
        if error not in LOADING:
            return error, reader
        time.sleep(0.05)


class Member:
    def __init__(self, port: int, group: str):
        self.connection = wire.Connection(port, timeout_s=60)
        self.group, self.id, self.generation = group, "", -1

    def find(self) -> None:
        def ask():
            reader = self.connection.call(FIND_COORDINATOR, 0, text(self.group))
            return reader.number("h"), reader

        assert settle(ask)[0] == 0

    def join(self) -> None:
        """Joins and syncs, again until the generation lasts; a leader gives everyone nothing."""
        while True:
            def ask():
                protocols = struct.pack(">i", 1) + text("range") + sized(b"subscription")
                times = struct.pack(">ii", 60_000, 60_000)
                body = text(self.group) + times + text(self.id) + text("consumer") + protocols
                reader = self.connection.call(JOIN_GROUP, 2, body)
                reader.number("i")
                return reader.number("h"), reader

            error, reader = settle(ask)
            assert error == 0, error
            self.generation = reader.number("i")
            _, leader, self.id = reader.text(), reader.text(), reader.text()
            members = reader.array(lambda r=reader: (r.text(), r.take(r.number("i")))[0])
            parts = b"".join(text(one) + sized(b"part") for one in members) if leader == self.id else b""
            assigned = struct.pack(">i", len(members) if leader == self.id else 0) + parts
            body = text(self.group) + struct.pack(">i", self.generation) + text(self.id) + assigned
            error = self.connection.call(SYNC_GROUP, 0, body).number("h")
            if error == 0:
                return
            assert error == REBALANCING, error

    def heartbeat_body(self) -> bytes:
        return text(self.group) + struct.pack(">i", self.generation) + text(self.id)

    def is_rebalancing(self) -> bool:
        error = self.connection.call(HEARTBEAT, 0, self.heartbeat_body()).number("h")
        assert error in (0, REBALANCING), error
        return error == REBALANCING

    def commit_body(self, offset: int) -> bytes:
        member = struct.pack(">i", self.generation) + text(self.id) + struct.pack(">q", -1)
        partition = struct.pack(">iiq", 1, 0, offset) + text("")
        return text(self.group) + member + struct.pack(">i", 1) + text(TOPIC) + partition


def gather(members: list[Member], newcomers: list[Member]) -> float:
    """Milliseconds until all of `members`, of whom `newcomers` have yet to join, are in one generation."""
    done = threading.Event()
    joined = set(members) - set(newcomers)

    def live(member: Member) -> None:
        if member not in joined:
            member.join()
            joined.add(member)
        while not done.is_set():
            if member.is_rebalancing():
                member.join()
            time.sleep(0.02)

    threads = [threading.Thread(target=live, args=(member,)) for member in members]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    while len(joined) < len(members) or len({member.generation for member in members}) > 1:
        time.sleep(0.002)
    took = time.monotonic() - begin
    done.set()
    for thread in threads:
        thread.join()
    return took * 1000


def exchange(members: list[Member], api: int, version: int, body_of, error_of, seconds: float) -> int:
    """One request after the other on every member's connection; how many were answered."""
    answers, end = 0, time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for member in members:
            selector.register(member.connection.socket, selectors.EVENT_READ, member)
            member.connection.send(api, version, body_of(member, 0))
        waiting = len(members)
        while waiting > 0:
            for key, _ in selector.select(10):
                member = key.data
                _, reader = member.connection.receive()
                error = error_of(reader)
                assert error == 0, error
                answers += 1
                if time.monotonic() < end:
                    member.connection.send(api, version, body_of(member, answers))
                else:
                    waiting -= 1
    return answers


def commit_error(reader: wire.Reader) -> int:
    partition = lambda: (reader.number("i"), reader.number("h"))[1]  # noqa: E731
    ((error,),) = reader.array(lambda: (reader.text(), reader.array(partition))[1])
    return error


def per_cpu_second(broker: Broker, run) -> float:
    before = broker.cpu_s()
    count = run()
    return count / max(broker.cpu_s() - before, 0.01)


def measure(broker: Broker, seconds: float) -> dict[str, float]:
    port, name = broker.server.port, uuid.uuid4().hex[:8]
    singles = [Member(port, f"{name}-{i}") for i in range(32)]
    for member in singles:
        member.find()
    for member in singles:
        member.join()
    figures = {
        "commits/CPU-s": per_cpu_second(
            broker, lambda: exchange(singles, OFFSET_COMMIT, 2, Member.commit_body, commit_error, seconds)),
        "heartbeats/CPU-s": per_cpu_second(
            broker,
            lambda: exchange(singles, HEARTBEAT, 0, lambda m, _: m.heartbeat_body(), lambda r: r.number("h"), seconds)),
    }
    crowd = [Member(port, f"{name}-crowd") for _ in range(100)]
    crowd[0].find()
    figures["100 members join, ms"] = gather(crowd, crowd)
    late = Member(port, f"{name}-crowd")
    figures["one more joins, ms"] = gather([*crowd, late], [late])
    for member in [*singles, *crowd, late]:
        member.connection.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of commits, and of heartbeats")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-groups-") as folder:
        # Kafka's tests and ours both wait for nobody at the first rebalance.
        settings = {"group.initial.rebalance.delay.ms": "0"}
        brokers = {
            "dlog": Broker("dlog", pathlib.Path(folder) / "dlog", {"group-initial-rebalance-delay-ms": "0"}),
            "kafka": Broker("kafka", pathlib.Path(folder) / "kafka", settings),
        }
        results: dict[str, list[dict[str, float]]] = {kind: [] for kind in brokers}
        for kind, broker in brokers.items():
            broker.create(TOPIC, 1, "cache")
            measure(broker, options.seconds)  # Warms the JVM, and does the same for the other.
        for number in range(options.rounds):
            for kind in sorted(brokers, reverse=number % 2 == 1):
                figures = measure(brokers[kind], options.seconds)
                results[kind].append(figures)
                print(f"  round {number + 1} {kind:6} {({k: round(v) for k, v in figures.items()})}", flush=True)
        print(f"{'':22} {'dlog':>10} {'kafka':>10} {'ratio':>7}  (spread)")
        for name in results["dlog"][0]:
            ours, theirs = ([round_of[name] for round_of in results[kind]] for kind in ("dlog", "kafka"))
            ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
            row = f"{statistics.median(ours):10.0f} {statistics.median(theirs):10.0f} {statistics.median(ratios):7.2f}"
            print(f"{name:22} {row}  ({ratios[0]:.2f} to {ratios[-1]:.2f})")
        for broker in brokers.values():
            broker.close()


if __name__ == "__main__":
    main()
