"""Kafka Connect and Kafka Streams, as they come from Maven, on their own defaults."""

import collections
import json
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.request

import confluent_kafka
import pytest
from drivers import CACHE

LINES = [f"the quick brown fox {i % 7} jumps over the lazy dog {i % 3}" for i in range(300)]


class JavaProgram:
    """A class of .cache/jars/frameworks that runs until it is stopped."""

    def __init__(self, folder: pathlib.Path, name: str, *arguments: str):
        self.log_file = folder / f"{name.rsplit('.', 1)[-1]}.log"
        options = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", f"-Djava.io.tmpdir={folder}"]
        command = ["java", *options, "-cp", f"{CACHE}/jars/frameworks/*", name, *arguments]
        self.log = self.log_file.open("wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=folder)

    def wait_for(self, condition, what: str, wait_s: float = 120) -> None:
        end = time.monotonic() + wait_s
        while not condition():
            tail = self.log_file.read_text(errors="replace")[-3000:]
            assert self.process.poll() is None, f"it ended before {what}:\n{tail}"
            assert time.monotonic() < end, f"not within {wait_s} s: {what}\n{tail}"
            time.sleep(0.1)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)

    def __enter__(self) -> "JavaProgram":
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


def write_properties(path: pathlib.Path, **settings: object) -> str:
    path.write_text("".join(f"{name.replace('_', '.')}={value}\n" for name, value in settings.items()))
    return str(path)


def lines_of(path: pathlib.Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


WORKER = {
    "key_converter": "org.apache.kafka.connect.storage.StringConverter",
    "value_converter": "org.apache.kafka.connect.storage.StringConverter",
    "offset_flush_interval_ms": 1000,
}


def file_source(source: pathlib.Path, topic: str) -> dict[str, str]:
    return {"name": "source", "connector.class": "FileStreamSource", "file": str(source), "topic": topic}


def file_sink(sink: pathlib.Path, topic: str) -> dict[str, str]:
    return {"name": "sink", "connector.class": "FileStreamSink", "file": str(sink), "topics": topic}


def test_connect_copies_a_file_through_a_topic_and_goes_on_after_a_restart(broker, topic, tmp_path):
    source, sink = tmp_path / "source.txt", tmp_path / "sink.txt"
    source.write_text("\n".join(LINES) + "\n")
    files = [
        write_properties(
            tmp_path / "worker.properties", bootstrap_servers=broker.bootstrap, **WORKER,
            offset_storage_file_filename=tmp_path / "offsets", listeners="HTTP://127.0.0.1:0",
        ),
        write_properties(tmp_path / "source.properties", **file_source(source, topic)),
        write_properties(tmp_path / "sink.properties", **file_sink(sink, topic)),
    ]
    written = list(LINES)
    for _ in range(2):
        with JavaProgram(tmp_path, "org.apache.kafka.connect.cli.ConnectStandalone", *files) as connect:
            connect.wait_for(lambda: len(lines_of(sink)) >= len(written), "the lines in the sink")
            connect.stop()
        assert lines_of(sink) == written
        more = [f"one more {i}" for i in range(50)]
        with source.open("a") as file:
            file.write("\n".join(more) + "\n")
        written += more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(url: str, body: dict) -> bool:
    """True when the worker takes it; a worker that still starts, or whose group rebalances, is asked again."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status == 201
    except urllib.error.HTTPError as error:
        assert error.code in (404, 409, 500, 503), error.read()
        return error.code == 409 and b"already exists" in error.read()
    except OSError:
        return False


def test_connect_workers_form_a_cluster_over_compacted_topics(broker, topic, tmp_path):
    source, sink, port = tmp_path / "source.txt", tmp_path / "sink.txt", free_port()
    source.write_text("\n".join(LINES) + "\n")
    names = {f"{kind}_storage_topic": f"{topic}-{kind}" for kind in ("config", "offset", "status")}
    replicas = {f"{kind}_storage_replication_factor": 1 for kind in ("config", "offset", "status")}
    worker = write_properties(
        tmp_path / "worker.properties", bootstrap_servers=broker.bootstrap, group_id=f"connect-{topic}", **WORKER,
        **names, **replicas, listeners=f"HTTP://127.0.0.1:{port}",
    )
    with JavaProgram(tmp_path, "org.apache.kafka.connect.cli.ConnectDistributed", worker) as connect:
        for name, config in [("source", file_source(source, topic)), ("sink", file_sink(sink, topic))]:
            body = {"name": name, "config": config}
            connect.wait_for(lambda: post(f"http://127.0.0.1:{port}/connectors", body), f"the connector {name}")
        connect.wait_for(lambda: lines_of(sink) == LINES, "the lines in the sink")
        connect.stop()


@pytest.fixture
def word_count_topics(broker):
    """The topics that the example names."""
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.bootstrap})
    names = ["streams-plaintext-input", "streams-wordcount-output"]
    for future in admin.create_topics([confluent_kafka.admin.NewTopic(name, 1, 1) for name in names]).values():
        future.result(10)
    return names


def test_streams_counts_words(broker, word_count_topics, tmp_path):
    plain, counted = word_count_topics
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    for line in LINES:
        producer.produce(plain, line)
    assert producer.flush(30) == 0
    expected = collections.Counter(word for line in LINES for word in line.split())
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "counts"})
    consumer.assign([confluent_kafka.TopicPartition(counted, 0, confluent_kafka.OFFSET_BEGINNING)])
    counts: dict[str, int] = {}

    def are_right() -> bool:
        message = consumer.poll(0.5)
        while message is not None:
            assert message.error() is None, message.error()
            counts[message.key().decode()] = int.from_bytes(message.value(), "big")
            message = consumer.poll(0)
        return counts == expected

    settings = write_properties(
        tmp_path / "streams.properties", bootstrap_servers=broker.bootstrap, state_dir=tmp_path / "state"
    )
    program = "org.apache.kafka.streams.examples.wordcount.WordCountDemo"
    try:
        with JavaProgram(tmp_path, program, settings) as streams:
            streams.wait_for(are_right, "the right counts")
            streams.stop()
    finally:
        consumer.close()
