"""What compaction costs, on dlog and on Apache Kafka, interleaved, from the same bytes.

cost: the CPU-seconds of the broker from when a topic becomes compacted until its files stop changing, less what the
broker takes at rest for as long. latency: produce at a fixed rate, beside a broker at rest and beside one that compacts
another topic; pairs of runs, so that the ratio of each pair has the same neighbours on the machine. turns: how long the
loops of dlog's cores run at a time while it compacts and nobody asks for anything, with perf (of the machine: as root).
"""

import argparse
import concurrent.futures
import itertools
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable

import confluent_kafka.admin

ROOT = pathlib.Path(__file__).resolve().parents[2]
for path in ("tests/support", "bench/kafka"):
    sys.path.insert(0, str(ROOT / path))

import generator  # noqa: E402
import wire  # noqa: E402
from brokers import Broker  # noqa: E402

REPEATS = 10  # how often a key comes, on average
BATCH_BYTES = 16 << 10
SETTLED_S = 2.0  # files that do not change for so long have been compacted
SETTINGS = {"log.cleaner.backoff.ms": "200", "log.cleaner.io.max.bytes.per.second": "1.7976931348623157E308"}


def make_batches(mb: int, value_bytes: int, codec: str) -> list[bytes]:
    """Batches of `mb` of records, before compression; keys of 16 bytes in a random order, values of words."""
    numbers = random.Random(7)
    words = ["".join(numbers.choices("abcdefghijklmnopqrstuvwxyz", k=numbers.randint(3, 10))) for _ in range(2048)]
    text = " ".join(numbers.choices(words, k=200_000)).encode()

    varint = wire.varint

    starts = [numbers.randrange(len(text) - value_bytes) for _ in range(5000)]
    ends = [varint(value_bytes) + text[at : at + value_bytes] + b"\0" for at in starts]
    count = max(1, BATCH_BYTES // (value_bytes + 26))
    size = [1 + 1 + len(varint(i)) + 1 + 16 + len(ends[0]) for i in range(count)]
    heads = [varint(size[i]) + b"\0\0" + varint(i) + varint(16) for i in range(count)]
    batches = (mb << 20) // sum(size)
    keys = [b"%016d" % i for i in range(max(1, batches * count // REPEATS))]
    time_ms = int(time.time() * 1000)
    made = []
    for _ in range(batches):
        parts = itertools.chain(*zip(heads, numbers.choices(keys, k=count), numbers.choices(ends, k=count)))
        body = wire.compress(codec, b"".join(parts))
        made.append(wire.Batch(codec=codec, count=count, body=body, timestamp_ms=time_ms).encode())
    return made


def fill(broker: Broker, topic: str, batches: list[bytes], segment_bytes: int) -> None:
    """The batches in a topic of one partition that is not compacted yet."""
    with wire.Connection(broker.server.port, timeout_s=60) as connection:
        assert connection.create_topic(topic, segment_bytes=str(segment_bytes)) == 0
        while connection.produce(topic, 0, batches[0])[0] != 0:
            time.sleep(0.1)
        in_flight = 0
        for batch in batches[1:]:
            connection.send(wire.PRODUCE, 7, connection.produce_body(topic, 0, batch))
            in_flight += 1
            if in_flight == 8:
                assert connection.read_produced(connection.receive()[1])[0] == 0
                in_flight -= 1
        for _ in range(in_flight):
            assert connection.read_produced(connection.receive()[1])[0] == 0


def compact(broker: Broker, topic: str) -> None:
    entries = [
        confluent_kafka.admin.ConfigEntry(
            name, value, incremental_operation=confluent_kafka.admin.AlterConfigOpType.SET
        )
        for name, value in (("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01"))
    ]
    resource = confluent_kafka.admin.ConfigResource("topic", topic, incremental_configs=entries)
    next(iter(broker.admin.incremental_alter_configs([resource]).values())).result(20)


def closed_mb(broker: Broker, topic: str) -> float:
    """Of all segments but the one that is written to."""
    return sum(file.stat().st_size for file in sorted(broker.segments(topic))[:-1]) / 1e6


def sizes(broker: Broker, topic: str) -> list[tuple[str, int]]:
    """Of everything, what is being rewritten too."""
    found = []
    for file in broker.folder.rglob("*"):
        if topic in str(file) and (".log" in file.name or file.suffix == ".swap"):
            try:
                found.append((file.name, file.stat().st_size))
            except FileNotFoundError:
                continue
    return sorted(found)


def compact_and_wait(broker: Broker, topic: str, limit_s: float = 300) -> float:
    """Returns when the last change was (time.monotonic), SETTLED_S after it."""
    first = before = sizes(broker, topic)
    compact(broker, topic)
    changed = time.monotonic()
    end = changed + limit_s
    while before == first or time.monotonic() < changed + SETTLED_S:
        if time.monotonic() > end:
            raise RuntimeError(f"{broker.kind}: {topic} was not compacted within {limit_s} s")
        time.sleep(0.05)
        now = sizes(broker, topic)
        if now != before:
            before, changed = now, time.monotonic()
    return changed


def cpu_rate_at_rest(broker: Broker, seconds: float = 2) -> float:
    before = broker.cpu_s()
    time.sleep(seconds)
    return (broker.cpu_s() - before) / seconds


def measure_cost(broker: Broker, batches: list[bytes], segment_bytes: int) -> dict[str, float]:
    topic = f"cost-{uuid.uuid4().hex[:8]}"
    fill(broker, topic, batches, segment_bytes)
    # What flushing and the collector still owe for the produce is not the cleaner's.
    time.sleep(2)
    at_rest, mb = cpu_rate_at_rest(broker), closed_mb(broker, topic)
    before, began = broker.cpu_s(), time.monotonic()
    changed = compact_and_wait(broker, topic)
    cpu = max(broker.cpu_s() - before - at_rest * (time.monotonic() - began), 0.01)
    left = closed_mb(broker, topic)
    broker.delete(topic)
    return {"MB": mb, "left MB": left, "CPU s": cpu, "wall s": changed - began, "MB/CPU-s": mb / cpu}


def measure_latency(broker: Broker, batches: list[bytes], options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds, at rest and while the topic of `batches` is compacted."""
    big, small = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("big", "small"))
    fill(broker, big, batches, options.segment_mb << 20)
    broker.create(small, options.partitions, options.durability)
    time.sleep(2)
    words = ["--partitions", options.partitions, "--record-size", 100, "--batch-records", 1, "--in-flight", 64]
    words += ["--rate", options.rate, "--warmup", options.rate // 2]

    def produce(seconds: float) -> dict:
        records = ["--records", int(options.rate * seconds)]
        texts = [str(word) for word in [*words, *records]]
        return generator.run(options.programs, "produce", broker.server.bootstrap, small, broker.server.pid, texts)

    produce(1)
    rest = produce(options.seconds)
    with concurrent.futures.ThreadPoolExecutor(1) as aside:
        compacted = aside.submit(compact_and_wait, broker, big)
        time.sleep(0.5)
        began = time.monotonic()
        busy = produce(options.seconds)
        ended = time.monotonic()
        changed = compacted.result()
    for topic in (big, small):
        broker.delete(topic)
    found = {}
    for name in ("p50", "p99"):
        found[f"{name} rest"], found[f"{name} busy"] = rest[f"{name}_ms"], busy[f"{name}_ms"]
        found[f"{name} ratio"] = busy[f"{name}_ms"] / rest[f"{name}_ms"]
    found["covered"] = max(0.0, min(1.0, (changed - began) / (ended - began)))
    return found


def turns_ms(broker: Broker, trace: str) -> list[float]:
    """On the processor from when a core's loop wakes until it sleeps, as `perf script` tells of sched_switch."""
    tasks = pathlib.Path(f"/proc/{broker.server.pid}/task").iterdir()
    loops = {task.name for task in tasks if (task / "comm").read_text().startswith("dlog-core")}
    line = re.compile(r"([\d.]+): .*prev_pid=(\d+) .*prev_state=(\S+) ==> .*next_pid=(\d+)")
    began: dict[str, float] = {}
    spent: dict[str, float] = dict.fromkeys(loops, 0.0)
    turns = []
    for at, before, state, after in (found.groups() for found in map(line.search, trace.splitlines()) if found):
        if before in began:
            spent[before] += float(at) - began.pop(before)
            if state.startswith("S"):  # It sleeps; otherwise it was only interrupted.
                turns.append(spent[before] * 1000)
                spent[before] = 0.0
        if after in loops:
            began[after] = float(at)
    return sorted(turns)


def measure_turns(broker: Broker, batches: list[bytes], options: argparse.Namespace) -> dict[str, float]:
    topic = f"turns-{uuid.uuid4().hex[:8]}"
    fill(broker, topic, batches, options.segment_mb << 20)
    time.sleep(1)
    with tempfile.NamedTemporaryFile(prefix="bench-turns-") as file:
        command = ["perf", "record", "-q", "-a", "-e", "sched:sched_switch", "-o", file.name]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as perf:
            time.sleep(0.5)
            compact_and_wait(broker, topic)
            perf.send_signal(signal.SIGINT)
        command = ["perf", "script", "-i", file.name, "-F", "time,event,trace"]
        trace = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    turns = turns_ms(broker, trace)
    broker.delete(topic)
    found: dict[str, float] = {"turns": len(turns), "max ms": turns[-1]}
    return found | {f"p{part} ms": turns[len(turns) * part // 100] for part in (50, 99)}


def print_spread(name: str, found: dict[str, list[dict[str, float]]], figures: list[str], pairs: list[str]) -> None:
    """`pairs`: of which of the figures dlog's is divided by Kafka's of the same round."""
    for figure in figures:
        for kind, rounds in found.items():
            values = sorted(one[figure] for one in rounds)
            spread = f"({values[0]:.2f} to {values[-1]:.2f})"
            print(f"{name:22} {figure:12} {kind:6} {statistics.median(values):9.2f}  {spread}")
    for figure in pairs if len(found) == 2 else []:
        rounds = zip(found["dlog"], found["kafka"], strict=True)
        ratios = sorted(ours[figure] / theirs[figure] for ours, theirs in rounds)
        print(f"{name:22} {figure:12} ratio  {statistics.median(ratios):9.2f}  ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def compare(brokers: dict[str, Broker], rounds: int, name: str, measure: Callable) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in brokers}
    for number in range(rounds):
        for kind in sorted(brokers, reverse=number % 2 == 1):
            figures = measure(brokers[kind])
            found[kind].append(figures)
            shown = "  ".join(f"{figure} {value:.2f}" for figure, value in figures.items())
            print(f"  {name} round {number + 1} {kind:6} {shown}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["cost", "latency", "both", "turns"], default="both")
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--brokers", default="dlog,kafka")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mb", type=int, default=1024, help="of records before compression, in each topic")
    parser.add_argument("--values", default="100,1024", help="bytes of a value")
    parser.add_argument("--codecs", default="none,lz4,zstd")
    parser.add_argument("--segment-mb", type=int, default=64)
    parser.add_argument("--rate", type=int, default=2000, help="latency: requests a second")
    parser.add_argument("--seconds", type=float, default=5, help="latency: of each run")
    parser.add_argument("--partitions", type=int, default=4, help="latency: of the topic that is produced to")
    parser.add_argument("--durability", choices=["cache", "sync"], default="cache")
    parser.add_argument("--cleaner-rate", help="latency: log.cleaner.io.max.bytes.per.second")
    options = parser.parse_args()
    if options.what == "turns":
        options.brokers = "dlog"
    settings = dict(SETTINGS)
    if options.cleaner_rate:
        settings["log.cleaner.io.max.bytes.per.second"] = options.cleaner_rate
    ours = {name.replace(".", "-"): value for name, value in settings.items()}
    with tempfile.TemporaryDirectory(prefix="bench-compaction-") as folder:
        brokers = {
            kind: Broker(kind, pathlib.Path(folder) / kind, ours if kind == "dlog" else settings)
            for kind in options.brokers.split(",")
        }
        try:
            run(brokers, options)
        finally:
            for broker in brokers.values():
                broker.close()


def run(brokers: dict[str, Broker], options: argparse.Namespace) -> None:
    segment_bytes = options.segment_mb << 20
    warm = make_batches(min(options.mb, 128), 100, "lz4")
    for broker in brokers.values():  # Warms the JVM, and does the same for the other.
        measure_cost(broker, warm, 32 << 20)
    cases = [(int(size), codec) for size in options.values.split(",") for codec in options.codecs.split(",")]
    for size, codec in cases if options.what in ("cost", "both") else []:
        batches, name = make_batches(options.mb, size, codec), f"{size} B {codec}"
        found = compare(brokers, options.rounds, name, lambda b, of=batches: measure_cost(b, of, segment_bytes))
        print_spread(name, found, ["MB/CPU-s", "left MB"], ["MB/CPU-s"])
    if options.what == "turns":
        batches = make_batches(options.mb, *cases[0])
        print_spread(
            "turns", compare(brokers, options.rounds, "turns", lambda b: measure_turns(b, batches, options)),
            ["turns", "p50 ms", "p99 ms", "max ms"], [],
        )
    if options.what in ("latency", "both"):
        batches, name = make_batches(options.mb, cases[0][0], cases[0][1]), f"beside {cases[0][0]} B {cases[0][1]}"
        found = compare(brokers, options.rounds, name, lambda b: measure_latency(b, batches, options))
        print_spread(name, found, ["p50 rest", "p50 busy", "p50 ratio", "p99 rest", "p99 busy", "p99 ratio"], [])


if __name__ == "__main__":
    main()
