"""The same load on dlog and on Apache Kafka, interleaved in one run: a table of medians, ratios and their spread.

Every round runs each case on both brokers, one right after the other, the order changing from round to round; a ratio
is of two neighbouring runs, so that what the machine does meanwhile hits both. Kafka's JVM is warmed first. The broker
that is not measured is idle. Raw results go to a .jsonl file.
"""

import argparse
import dataclasses
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import generator  # noqa: E402
from brokers import Broker  # noqa: E402
from cases import CASES, QUICK, Case  # noqa: E402

KINDS = ["dlog", "kafka"]


class Bench:
    def __init__(self, options, brokers: dict[str, Broker]):
        self.options = options
        self.brokers = brokers
        self.results: list[dict] = []
        self.raw = (options.out / f"kafka-{time.strftime('%Y%m%d-%H%M%S')}.jsonl").open("w")

    def drive(self, broker: Broker, mode: str, topic: str, case: Case, **more) -> dict:
        words = {"bootstrap": broker.server.bootstrap, "topic": topic, "pid": broker.server.pid, **case.driver, **more}
        command = [str(self.options.programs / "kafka" / "kafka_driver"), mode]
        for name, value in words.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if not ran.stdout.strip():
            raise RuntimeError(f"{mode} on {broker.kind}: {ran.stderr.strip()[-500:]}")
        result = json.loads(ran.stdout.strip().split("\n")[-1])
        result["complete"] = ran.returncode == 0
        return result

    def record(self, case: str, broker: Broker, round_number: int, result: dict) -> None:
        entry = {"case": case, "broker": broker.kind, "round": round_number, **result}
        entry["resident_mb"] = broker.resident_mb()
        self.results.append(entry)
        print(json.dumps(entry), file=self.raw, flush=True)
        shown = {k: entry[k] for k in ("records_per_s", "broker_cpu_s_per_million", "p99_ms") if k in entry}
        print(f"  {broker.kind:6} {shown}", flush=True)

    def run(self, case: Case, broker: Broker, round_number: int) -> None:
        topic = f"bench-{uuid.uuid4().hex[:10]}"
        broker.create(topic, case.partitions, case.durability)
        try:
            if case.kind in ("produce", "roundtrip"):
                result = self.drive(broker, case.kind, topic, case)
                self.record(case.name, broker, round_number, result)
            if case.kind == "kload":
                if case.records_before:
                    driver = {**case.driver, "records": case.records_before}
                    before = dataclasses.replace(case, driver=driver)
                    generator.produce(self.options.programs, broker, topic, before)
                result = generator.produce(self.options.programs, broker, topic, case)
                self.record(case.name, broker, round_number, result)
            for name in case.then_consume:
                if name == "disk":
                    broker.forget_cached(topic)
                if case.kind == "kload":
                    result = generator.consume(self.options.programs, broker, topic, case)
                else:
                    result = self.drive(broker, "consume", topic, case)
                self.record(case.consume_name(name), broker, round_number, result)
        finally:
            broker.delete(topic)
        time.sleep(0.3)

    def restart(self, broker: Broker, round_number: int) -> None:
        topic = "bench-start"
        if round_number == 0:
            broker.create(topic, 1, "sync")
        took = broker.first_record_ms(topic)
        time.sleep(2)
        self.record("start to first acknowledged record", broker, round_number, {"first_record_ms": took})

    def warm(self, broker: Broker) -> None:
        """Enough of every kind of request that the JVM has compiled it (a cold one costs 1.5 to 5 times more CPU)."""
        print(f"warming {broker.kind}", flush=True)
        for partitions in (1, 16):
            for codec in ("none", "lz4"):
                driver = {"partitions": partitions, "codec": codec, "size": 100, "records": self.options.warm_records}
                case = Case("warm-up", "produce", partitions, "cache", driver, ("memory",))
                topic = f"warm-{partitions}-{codec}"
                broker.create(topic, partitions, "cache")
                self.drive(broker, "produce", topic, case)
                self.drive(broker, "consume", topic, case)
                broker.delete(topic)
        broker.create("warm-roundtrip", 1, "cache")
        driver = {"rate": 3000, "seconds": 8 if self.options.quick else 20, "linger_ms": 0}
        self.drive(broker, "roundtrip", "warm-roundtrip", Case("warm-up", "roundtrip", 1, "cache", driver, ()))
        broker.delete("warm-roundtrip")


def touch_memory(folder: pathlib.Path, size_gb: int) -> None:
    """Fills and empties the page cache once. A virtual machine's untouched memory costs several times more to write to
    than memory that was used before, and whichever broker met it first would pay for both."""
    file = folder / "memory"
    with file.open("wb") as opened:
        for _ in range(size_gb * 64):
            opened.write(bytes(16 << 20))
    file.unlink()


def ratios(results: list[dict], case: str, metric: str) -> list[float]:
    """dlog / Kafka of each round."""
    found: dict[tuple[str, int], float] = {
        (r["broker"], r["round"]): r[metric] for r in results if r["case"] == case and metric in r
    }
    rounds = sorted({number for _, number in found})
    pairs = [(found.get(("dlog", n)), found.get(("kafka", n))) for n in rounds]
    return [ours / theirs for ours, theirs in pairs if ours is not None and theirs]


METRICS = {
    "records_per_s": ("records/s", "{:,.0f}"),
    "broker_cpu_s_per_million": ("broker CPU s / M", "{:.3f}"),
    "p50_ms": ("p50 ms", "{:.2f}"),
    "p99_ms": ("p99 ms", "{:.2f}"),
    "p999_ms": ("p99.9 ms", "{:.2f}"),
    "first_record_ms": ("ms", "{:.0f}"),
    "resident_mb": ("resident MB", "{:.0f}"),
}


def table(results: list[dict]) -> str:
    lines = ["| case | metric | dlog | kafka | dlog / kafka | spread |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for case in dict.fromkeys(r["case"] for r in results):
        for metric, (label, form) in METRICS.items():
            if metric.startswith("p") and "round trip" not in case:
                continue
            sides = [
                [r[metric] for r in results if r["case"] == case and r["broker"] == kind and metric in r]
                for kind in KINDS
            ]
            found = ratios(results, case, metric)
            if not found:
                continue
            middle = [form.format(statistics.median(side)) for side in sides]
            spread = f"{min(found):.2f} to {max(found):.2f}"
            lines.append(f"| {case} | {label} | {' | '.join(middle)} | {statistics.median(found):.2f} | {spread} |")
    return "\n".join(lines)


def chosen(options) -> list[Case]:
    cases = QUICK if options.quick else CASES
    return [case for case in cases if re.search(options.only, case.name)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench kafka", description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="few cases, small counts, two rounds")
    parser.add_argument("--rounds", type=int, default=0, help="how often each case runs on both (default 3)")
    parser.add_argument("--only", default=".", metavar="REGEX", help="only the cases whose names match")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 3)
    options.warm_records = 400_000 if options.quick else 2_000_000

    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.out) as folder:
        brokers: dict[str, Broker] = {}
        try:
            for kind in KINDS:
                brokers[kind] = Broker(kind, pathlib.Path(folder) / kind)
            bench = Bench(options, brokers)
            for broker in brokers.values():
                time.sleep(1)
                bench.record("at rest after the start", broker, 0, {})
            for broker in brokers.values():
                bench.warm(broker)
            touch_memory(pathlib.Path(folder), 2 if options.quick else 6)
            for round_number in range(options.rounds):
                order = KINDS if round_number % 2 == 0 else KINDS[::-1]
                for case in chosen(options):
                    print(f"round {round_number + 1}: {case.name}", flush=True)
                    for kind in order:
                        bench.run(case, brokers[kind], round_number)
                floors = generator.floors(options.programs, pathlib.Path(folder), chosen(options))
                bench.results += [{"round": round_number, **floor} for floor in floors]
            for round_number in range(options.rounds):
                for broker in brokers.values():
                    bench.restart(broker, round_number)
        finally:
            for broker in brokers.values():
                broker.close()
    print()
    print(table(bench.results))
    print(generator.floor_table(bench.results))
    print(f"\nraw results: {bench.raw.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
