"""What a greedy client does to a modest one, on dlog and on Apache Kafka in the same run, interleaved.

A modest client asks at a fixed rate: a Produce of one small record, or a Fetch of one that lies in memory. Its latency
is measured alone, and beside each greedy client: a producer of large batches with many in flight, a consumer of a
backlog, one connection with a thousand small requests in flight, and 500 connections with twenty each. On dlog the
greedy client's partition lies on the modest one's core, or on another.

The floor is the modest client on one dlog while the same greedy client has another dlog for itself: what sharing the
processors, rather than the node, costs. A ratio is p99 beside the greedy client to p99 alone.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
for folder in ("tests/support", "bench/kafka"):
    sys.path.insert(0, str(ROOT / folder))

from brokers import Broker  # noqa: E402
from node import BUILD  # noqa: E402

TOPIC, FLOOD, BACKLOG, PARTITIONS = "fair", "flood", "backlog", 4
BACKLOG_RECORDS = 149_400  # whole batches; of 1,000 bytes
# Partitions lie on cores in turn; the node has two.
MODEST, SAME_CORE, OTHER_CORE = 0, 2, 1
RATE = 100  # of the modest client, requests a second
LOAD = BUILD / "release" / "bench" / "load"


def kload(broker: Broker, mode: str, topic: str, partition: int, **options: object) -> list[str]:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    words = [word for flag in flags for word in flag.split("=", 1)]
    where = ["--partitions", str(PARTITIONS), "--partition", str(partition)]
    return [str(LOAD / "kload"), mode, broker.server.bootstrap, topic, *where, *words]


def crowd(broker: Broker, partition: int, **options: object) -> list[str]:
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    where = ["--topic", TOPIC, "--partition", str(partition), "--kind", "fetch", "--fetch-bytes", "200"]
    return [str(LOAD / "crowd"), "ask", broker.server.bootstrap, *where, *words]


MODEST_CLIENTS = {
    "produce": lambda broker, s: kload(broker, "produce", TOPIC, MODEST, record_size=100, batch_records=1, rate=RATE,
                                       records=int(s * RATE), in_flight=100),
    "fetch": lambda broker, s: crowd(broker, MODEST, rate=RATE, seconds=s),
}
FOREVER = {"seconds": 3600}
GREEDY_CLIENTS = {
    "producer": lambda broker, p: kload(broker, "produce", FLOOD, p, record_size=1000, batch_records=900, in_flight=32,
                                        records=10**12),
    "consumer": lambda broker, p: kload(broker, "consume", BACKLOG, p, records=BACKLOG_RECORDS, fetch_bytes=4 << 20),
    "pipeliner": lambda broker, p: crowd(broker, p, in_flight=1000, **FOREVER),
    "500 pipeliners": lambda broker, p: crowd(broker, p, connections=500, in_flight=20, **FOREVER),
}


class Greedy:
    """A greedy client for the time of a `with`; a consumer that comes to the end begins again."""

    def __init__(self, command: list[str] | None):
        self.command = command

    def __enter__(self) -> "Greedy":
        if self.command:
            loop = ["bash", "-c", 'while :; do "$@"; done', "greedy", *self.command]
            self.process = subprocess.Popen(loop, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                            process_group=0)
            time.sleep(1)
        return self

    def __exit__(self, *_) -> None:
        if self.command:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            time.sleep(0.3)


def run(command: list[str]) -> dict:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)}: {ran.stdout}{ran.stderr}")
    return json.loads(ran.stdout.splitlines()[-1])


def prepare(broker: Broker, durability: str) -> None:
    broker.create(TOPIC, PARTITIONS, durability)
    for topic in (FLOOD, BACKLOG):
        broker.create(topic, PARTITIONS, "cache")
    for partition in (MODEST, SAME_CORE, OTHER_CORE):
        run(kload(broker, "produce", TOPIC, partition, record_size=100, batch_records=1, records=10))
    for partition in (SAME_CORE, OTHER_CORE):
        run(kload(broker, "produce", BACKLOG, partition, record_size=1000, batch_records=900,
                  records=BACKLOG_RECORDS))


def measure(broker: Broker, modest: str, seconds: float, greedy: list[str] | None) -> dict:
    with Greedy(greedy):
        return run(MODEST_CLIENTS[modest](broker, seconds))


def one_round(brokers: dict[str, Broker], names: list[str], modest: str, seconds: float) -> dict[tuple, float]:
    """p99 in ms by (broker, greedy client, where it is)."""
    found = {}

    def note(kind: str, name: str, where: str, greedy: list[str] | None) -> None:
        figures = measure(brokers[kind], modest, seconds, greedy)
        found[kind, name, where] = figures["p99_ms"]
        times = f"p50 {figures['p50_ms']:8.3f} p99 {figures['p99_ms']:8.3f} ms"
        print(f"  {modest:8} {kind:6} {name:15} {where:11} {times}", flush=True)

    for kind in ("dlog", "kafka"):
        note(kind, "alone", "", None)
    for name in names:
        greedy = GREEDY_CLIENTS[name]
        note("dlog", name, "same core", greedy(brokers["dlog"], SAME_CORE))
        note("kafka", name, "", greedy(brokers["kafka"], SAME_CORE))
        note("dlog", name, "other core", greedy(brokers["dlog"], OTHER_CORE))
        note("dlog", name, "floor", greedy(brokers["other"], SAME_CORE))
    return found


def report(modest: str, rounds: list[dict[tuple, float]]) -> None:
    print(f"\n{modest}: median p99 in ms, and times that alone (spread over {len(rounds)} rounds)")
    for key in rounds[0]:
        kind, name, where = key
        p99 = statistics.median(one[key] for one in rounds)
        ratios = sorted(one[key] / one[kind, "alone", ""] for one in rounds)
        spread = f"{statistics.median(ratios):7.2f}  ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{kind:6} {name:15} {where:11} {p99:9.3f} {spread}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--durability", choices=("cache", "sync"), default="cache")
    parser.add_argument("--modest", choices=list(MODEST_CLIENTS), action="append", help="only this; may be repeated")
    parser.add_argument("--only", default="", metavar="REGEX", help="of greedy clients")
    options = parser.parse_args()
    names = [name for name in GREEDY_CLIENTS if re.search(options.only, name)]
    with tempfile.TemporaryDirectory(prefix="bench-fair-") as folder:
        path = pathlib.Path(folder)
        # Old records go, so that a producer at full speed for minutes does not fill the disk.
        limits = {"log.retention.bytes": "200000000", "log.segment.bytes": "50000000",
                  "log.retention.check.interval.ms": "5000"}
        ours = {name.replace(".", "-"): value for name, value in limits.items()} | {"cores": "2"}
        brokers = {
            "dlog": Broker("dlog", path / "dlog", ours),
            "other": Broker("dlog", path / "other", ours),
            "kafka": Broker("kafka", path / "kafka", limits),
        }
        for broker in brokers.values():
            prepare(broker, options.durability)
        for modest in options.modest or MODEST_CLIENTS:
            for broker in brokers.values():
                measure(broker, modest, options.seconds, None)  # Warms the JVM, and does the same for the others.
            report(modest, [one_round(brokers, names, modest, options.seconds) for _ in range(options.rounds)])
        for broker in brokers.values():
            broker.close()


if __name__ == "__main__":
    main()
