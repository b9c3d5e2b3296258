"""The two brokers of the comparison, with one face: topics, memory, CPU, warm-up."""

import os
import pathlib
import shutil
import subprocess
import time

import confluent_kafka
import confluent_kafka.admin
from apache_kafka import Kafka
from node import Node
from wire import Batch, Connection

# What each durability mode means on each side, as topic settings.
#   cache: acknowledged from the page cache, as Kafka always does; survives kill -9 and not power loss
#   sync:  acknowledged when it is on stable storage
DURABILITY = {
    "dlog": {"cache": {"write.caching": "true"}, "sync": {}},
    "kafka": {"cache": {}, "sync": {"flush.messages": "1"}},
}


class Broker:
    """A running broker and an admin client for it."""

    def __init__(self, kind: str, folder: pathlib.Path, settings: dict[str, str] | None = None):
        self.kind = kind
        self.folder = folder
        settings = dict(settings or {})
        # Kafka deletes the files of a topic a minute later unless it is told otherwise; old ones fill the page cache.
        if kind == "kafka":
            settings["log.segment.delete.delay.ms"] = "1000"
        self.server = Kafka(folder, settings) if kind == "kafka" else Node(folder, settings)
        quiet = {"log_level": 0, "log.connection.close": False, "error_cb": lambda _: None}
        self.admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": self.server.bootstrap, **quiet})

    def close(self) -> None:
        self.server.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create(self, topic: str, partitions: int, durability: str) -> None:
        new = confluent_kafka.admin.NewTopic(topic, partitions, 1, config=DURABILITY[self.kind][durability])
        next(iter(self.admin.create_topics([new]).values())).result(60)
        end = time.monotonic() + 30
        while not self.has_leaders(topic, partitions):
            if time.monotonic() > end:
                raise RuntimeError(f"{self.kind}: {topic} is not ready")
            time.sleep(0.05)

    def has_leaders(self, topic: str, partitions: int) -> bool:
        found = self.admin.list_topics(topic, timeout=20).topics[topic].partitions
        return len(found) == partitions and all(p.leader >= 0 for p in found.values())

    def delete(self, topic: str) -> None:
        next(iter(self.admin.delete_topics([topic]).values())).result(60)

    def cpu_s(self) -> float:
        fields = pathlib.Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def resident_mb(self) -> float:
        for line in pathlib.Path(f"/proc/{self.server.pid}/status").read_text().split("\n"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1000
        return 0

    def segments(self, topic: str) -> list[pathlib.Path]:
        return [f for f in self.folder.rglob("*.log") if topic in str(f)]

    def forget_cached(self, topic: str) -> None:
        """Drops the topic's files from the page cache, so that they are read from the disk."""
        for file in self.segments(topic):
            subprocess.run(["sync", "-d", str(file)], check=True)
            with file.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def first_record_ms(self, topic: str) -> float:
        """Restarts the broker: milliseconds from the start of its process to the first acknowledged record."""
        self.server.stop()
        batch = Batch([b"first"]).encode()
        started = time.monotonic()
        self.server.start()
        end = started + 60
        while time.monotonic() < end:
            try:
                with Connection(self.server.port) as connection:
                    if connection.produce(topic, 0, batch)[0] == 0:
                        return (time.monotonic() - started) * 1000
            except (ConnectionError, OSError):
                pass
            time.sleep(0.005)
        raise RuntimeError(f"{self.kind}: no record acknowledged within 60 s")
