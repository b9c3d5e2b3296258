"""One face for every client: produce, consume, restart, topics, offset_at. Each runs at its own default settings.

A record is written as key "k<i>", value "v<i>" to partition 0, and read back as (offset, key, value).
"""

import contextlib
import fcntl
import pathlib
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator

import confluent_kafka
import confluent_kafka.admin
import kafka
import kafka.admin

HERE = pathlib.Path(__file__).parent
CACHE = HERE.parents[1] / ".cache"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RETENTION = "7200000"

Row = tuple[int, str, str]


def rows(text: str) -> list[Row]:
    found = [line.split("\t") for line in text.split("\n") if line]
    return [(int(offset), key, value) for offset, key, value in found]


def run(command: list[str], text: str | None = None, timeout_s: float = 90) -> str:
    ran = subprocess.run(
        command, input=text or "", capture_output=True, text=True, timeout=timeout_s, cwd=HERE
    )
    if ran.returncode:
        raise AssertionError(f"{command[0]} ended with {ran.returncode}: {ran.stderr.strip()[-2000:]}")
    return ran.stdout


def soon(condition) -> bool:
    """True when the condition holds within 5 s: Kafka spreads changes of topics after it has answered."""
    end = time.monotonic() + 5
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@contextlib.contextmanager
def built_by_one(name: str) -> Iterator[None]:
    """Of the processes that test at the same time."""
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_newer(target: pathlib.Path, *sources: pathlib.Path) -> bool:
    return target.exists() and all(target.stat().st_mtime >= s.stat().st_mtime for s in sources)


class Program:
    """A client in a program of its own, which takes the case as its arguments (Probe.java, main.go)."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def produce(self, broker, topic: str, codec: str, count: int) -> None:
        run([*self.command(), "produce", broker.bootstrap, topic, codec, str(count)])

    def consume(self, broker, topic: str, count: int) -> list[Row]:
        return rows(run([*self.command(), "consume", broker.bootstrap, topic, str(count)]))

    def restart(self, broker, topic: str, count: int, half) -> None:
        command = [*self.command(), "restart", broker.bootstrap, topic, str(count)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            guard = threading.Timer(90, process.kill)
            guard.start()
            try:
                first = process.stdout.readline().strip()
                if first == "half":
                    half()
                    process.stdin.write("\n")
                    process.stdin.flush()
                output, errors = process.communicate()
            finally:
                guard.cancel()
        assert (first, process.returncode) == ("half", 0), errors[-2000:]
        assert output.strip() == "done"

    def topics(self, broker, topic: str) -> None:
        run([*self.command(), "topics", broker.bootstrap, topic])

    def administer(self, broker, topic: str) -> None:
        run([*self.command(), "administer", broker.bootstrap, topic])

    def offset_at(self, broker, topic: str, millis: int) -> int:
        return int(run([*self.command(), "times", broker.bootstrap, topic, str(millis)]))


class Java(Program):
    """Apache's own client."""

    def command(self) -> list[str]:
        jars, classes, source = CACHE / "jars/clients", CACHE / "probe-java", HERE / "java/Probe.java"
        with built_by_one("probe-java"):
            if not is_newer(classes / "Probe.class", source):
                run(["javac", "-d", str(classes), "-cp", f"{jars}/*", str(source)])
        options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        return ["java", *options, "-cp", f"{classes}:{jars}/*", "Probe"]


class Go(Program):
    def __init__(self, client: str):
        self.client = client

    def command(self) -> list[str]:
        program, folder = CACHE / "probe-go", HERE / "go"
        with built_by_one("probe-go"):
            if not is_newer(program, *folder.iterdir()):
                fallback = CACHE.parent / ".venv/bin/go"
                go = str(fallback) if fallback.exists() else shutil.which("go")
                subprocess.run([go, "build", "-o", str(program), "."], cwd=folder, check=True, timeout=600)
        return [str(program), self.client]


class Kcat:
    """kcat over Debian's librdkafka."""

    def produce(self, broker, topic, codec, count):
        lines = "".join(f"k{i}:v{i}\n" for i in range(count))
        run(["kcat", "-P", "-b", broker.bootstrap, "-t", topic, "-p", "0", "-z", codec, "-K", ":"], lines)

    def consume(self, broker, topic, count):
        where = ["-t", topic, "-p", "0", "-o", "beginning", "-c", str(count)]
        return rows(run(["kcat", "-C", "-b", broker.bootstrap, *where, "-f", r"%o\t%k\t%s\n"]))

    def restart(self, broker, topic, count, half):
        """Two runs: kcat itself gives up when its only broker is away."""
        command = ["kcat", "-P", "-b", broker.bootstrap, "-t", topic, "-p", "0", "-K", ":"]
        command += ["-X", "enable.idempotence=true"]
        lines = [f"k{i}:v{i}\n" for i in range(count)]
        run(command, "".join(lines[: count // 2]))
        half()
        run(command, "".join(lines[count // 2 :]))

    def offset_at(self, broker, topic, millis):
        answer = run(["kcat", "-Q", "-b", broker.bootstrap, "-t", f"{topic}:0:{millis}"])
        return int(answer.split()[-1])


class Confluent:
    """confluent-kafka, which carries a librdkafka of its own, younger than Debian's."""

    def producer(self, broker, **more):
        return confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap, **more})

    def consumer(self, broker, **more):
        """The binding demands a group.id, though no group is joined."""
        return confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused", **more})

    def send(self, producer, topic, numbers):
        failures = []
        for i in numbers:
            producer.produce(
                topic, f"v{i}", f"k{i}", 0, on_delivery=lambda error, _: error and failures.append(str(error))
            )
            producer.poll(0)
        assert producer.flush(60) == 0 and not failures, failures[:3]

    def produce(self, broker, topic, codec, count):
        self.send(self.producer(broker, **{"compression.type": codec}), topic, range(count))

    def consume(self, broker, topic, count):
        consumer = self.consumer(broker)
        try:
            beginning = confluent_kafka.OFFSET_BEGINNING
            consumer.assign([confluent_kafka.TopicPartition(topic, 0, beginning)])
            got, end = [], time.monotonic() + 30
            while len(got) < count:
                message = consumer.poll(1)
                assert time.monotonic() < end, f"{len(got)} of {count} after 30 s"
                if message is not None:
                    assert message.error() is None, message.error()
                    got.append((message.offset(), message.key().decode(), message.value().decode()))
            return got
        finally:
            consumer.close()

    def restart(self, broker, topic, count, half):
        producer = self.producer(broker, **{"enable.idempotence": True})
        self.send(producer, topic, range(count // 2))
        half()
        self.send(producer, topic, range(count // 2, count))

    def topics(self, broker, topic):
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.bootstrap})

        def done(futures):
            return [future.result(20) for future in futures.values()]

        new = confluent_kafka.admin.NewTopic(topic, 2, 1, config={"retention.ms": RETENTION})
        done(admin.create_topics([new]))
        assert soon(lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 2)
        done(admin.create_partitions([confluent_kafka.admin.NewPartitions(topic, 5)]))
        names = confluent_kafka.TopicCollection([topic])
        assert soon(lambda: len(done(admin.describe_topics(names))[0].partitions) == 5)
        resource = confluent_kafka.admin.ConfigResource(confluent_kafka.admin.ResourceType.TOPIC, topic)
        (configs,) = done(admin.describe_configs([resource]))
        assert configs["retention.ms"].value == RETENTION
        assert len(admin.describe_cluster().result(10).nodes) == 1
        done(admin.delete_topics([topic]))
        assert soon(lambda: topic not in admin.list_topics(timeout=10).topics)

    def offset_at(self, broker, topic, millis):
        consumer = self.consumer(broker)
        try:
            (found,) = consumer.offsets_for_times([confluent_kafka.TopicPartition(topic, 0, millis)], timeout=10)
            return found.offset
        finally:
            consumer.close()


class KafkaPython:
    """kafka-python, written in Python throughout."""

    def send(self, producer, topic, numbers):
        sent = [producer.send(topic, f"v{i}".encode(), f"k{i}".encode(), partition=0) for i in numbers]
        for future in sent:
            future.get(timeout=60)

    def produce(self, broker, topic, codec, count):
        compression = None if codec == "none" else codec
        producer = kafka.KafkaProducer(bootstrap_servers=broker.bootstrap, compression_type=compression)
        try:
            self.send(producer, topic, range(count))
        finally:
            producer.close()

    def consume(self, broker, topic, count):
        consumer = kafka.KafkaConsumer(bootstrap_servers=broker.bootstrap)
        try:
            partition = kafka.TopicPartition(topic, 0)
            consumer.assign([partition])
            consumer.seek_to_beginning(partition)
            got, end = [], time.monotonic() + 30
            while len(got) < count:
                assert time.monotonic() < end, f"{len(got)} of {count} after 30 s"
                for records in consumer.poll(1000).values():
                    got += [(r.offset, r.key.decode(), r.value.decode()) for r in records]
            return got
        finally:
            consumer.close()

    def restart(self, broker, topic, count, half):
        producer = kafka.KafkaProducer(bootstrap_servers=broker.bootstrap, enable_idempotence=True)
        try:
            self.send(producer, topic, range(count // 2))
            half()
            self.send(producer, topic, range(count // 2, count))
        finally:
            producer.close()

    def topics(self, broker, topic):
        admin = kafka.KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        try:
            admin.create_topics([kafka.admin.NewTopic(topic, 2, 1, topic_configs={"retention.ms": RETENTION})])
            assert soon(lambda: topic in admin.list_topics())
            assert len(admin.describe_topics([topic])[0]["partitions"]) == 2
            admin.create_partitions({topic: kafka.admin.NewPartitions(5)})
            assert soon(lambda: len(admin.describe_topics([topic])[0]["partitions"]) == 5)
            admin.delete_topics([topic])
            assert soon(lambda: topic not in admin.list_topics())
        finally:
            admin.close()

    def offset_at(self, broker, topic, millis):
        consumer = kafka.KafkaConsumer(bootstrap_servers=broker.bootstrap)
        try:
            partition = kafka.TopicPartition(topic, 0)
            found = consumer.offsets_for_times({partition: millis})[partition]
            return -1 if found is None else found.offset
        finally:
            consumer.close()


def console(tool: str, *arguments: str, text: str = "") -> str:
    """One of Kafka's console tools, by its class in org.apache.kafka.tools."""
    options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    jars = CACHE / "jars/console-tools"
    return run(["java", *options, "-cp", f"{jars}/*", f"org.apache.kafka.tools.{tool}", *arguments], text)


CLIENTS = {
    "kcat": Kcat(),
    "confluent-kafka": Confluent(),
    "kafka-python": KafkaPython(),
    "java": Java(),
    "franz-go": Go("franz"),
    "sarama": Go("sarama"),
}
ADMINS = {name: client for name, client in CLIENTS.items() if hasattr(client, "topics")}
