"""The cases of the comparison. A case's name says what the client does and which durability both brokers promise."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    kind: str  # produce, roundtrip (both through librdkafka), kload (pre-encoded batches)
    partitions: int
    durability: str  # cache, sync: see brokers.DURABILITY
    driver: dict
    then_consume: tuple[str, ...] = ()  # memory, disk
    records_before: int = 0  # written before the measurement begins: the partitions' files exist then

    def consume_name(self, source: str) -> str:
        return self.name.replace("produce", "consume", 1) + f" from {source}"


def produce(size: int, partitions: int, acks: str, codec: str, durability: str, scale: float, consume=()) -> Case:
    records = int(scale * (2_000_000 if size <= 100 else 500_000))
    name = f"produce {size} B, {partitions} partitions, acks={acks}, {codec}, {durability}"
    driver = {"size": size, "partitions": partitions, "acks": acks, "codec": codec, "records": records}
    return Case(name, "produce", partitions, durability, driver, consume)


def small_requests(durability: str, scale: float) -> Case:
    driver = {"size": 100, "partitions": 1, "acks": "all", "linger_ms": 0, "rate": 5000, "records": int(40_000 * scale)}
    return Case(f"produce 100 B, no linger, 5,000 a second, {durability}", "produce", 1, durability, driver)


def roundtrip(rate: int, durability: str, seconds: int) -> Case:
    driver = {"size": 100, "partitions": 1, "rate": rate, "linger_ms": 0, "seconds": seconds}
    return Case(f"round trip at {rate:,} a second, no linger, {durability}", "roundtrip", 1, durability, driver)


def kload(size: int, partitions: int, durability: str, scale: float, consume=("memory",)) -> Case:
    records = int(scale * (5_000_000 if size <= 100 else 600_000))
    driver = {"size": size, "partitions": partitions, "records": records}
    return Case(f"produce (kload) {size} B, {partitions} partitions, {durability}", "kload", partitions, durability,
                driver, consume)


def first_batches(size: int, partitions: int, durability: str, scale: float) -> Case:
    """Fewer batches than partitions: making a partition's files with its first batch is paid for here."""
    case = kload(size, partitions, durability, scale, ())
    return dataclasses.replace(case, name=case.name.replace(" (kload)", " (kload, first batches)"))


CASES = [
    *(
        produce(size, partitions, acks, codec, "cache", 0.1 if partitions == 1000 else 1,
                ("memory", "disk") if acks == "all" and partitions < 1000 else ())
        for size in (100, 1024)
        for partitions in (1, 16, 1000)
        for acks in ("1", "all")
        for codec in ("none", "lz4")
    ),
    produce(100, 1, "all", "none", "sync", 0.5),
    produce(100, 16, "all", "none", "sync", 0.25),
    produce(100, 1000, "all", "none", "sync", 0.02),
    produce(1024, 1, "all", "none", "sync", 0.3),
    produce(1024, 16, "all", "none", "sync", 0.2),
    *(kload(size, partitions, "cache", 1) for size in (100, 1024) for partitions in (1, 16)),
    first_batches(100, 1000, "sync", 0.1),
    dataclasses.replace(kload(100, 1000, "sync", 0.4, ()), records_before=1_000_000),
    small_requests("cache", 1),
    *(roundtrip(rate, durability, 8) for rate in (1_000, 10_000) for durability in ("cache", "sync")),
]

QUICK = [
    produce(100, 1, "all", "none", "cache", 0.25, ("memory",)),
    produce(1024, 16, "all", "lz4", "cache", 0.2),
    produce(100, 1, "all", "none", "sync", 0.1),
    kload(100, 1, "cache", 0.2),
    small_requests("cache", 0.25),
    roundtrip(1_000, "cache", 3),
]
