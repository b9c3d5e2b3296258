"""The real Apache Kafka (one combined broker and controller, KRaft) on loopback, from the jars in .cache/jars/broker.

The peer of bench/kafka, and what tests/clients run against with --against=kafka, to show that a test asks for nothing
that Kafka itself does not do.
"""

import pathlib
import shutil
import signal
import subprocess
import time

from node import ROOT, answers, free_port

JARS = ROOT / ".cache" / "jars" / "broker"
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"
# As Kafka's own start script sets it.
COLLECTOR = (
    "-XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent"
)
LOGGING = """Configuration:
  Appenders: {Console: {name: C, PatternLayout: {pattern: "[%d] %p %m (%c)%n"}}}
  Loggers: {Root: {level: INFO, AppenderRef: {ref: C}}}
"""
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class Kafka:
    """Has the face of node.Node."""

    def __init__(self, folder: pathlib.Path, settings: dict[str, str] | None = None, heap: str = "1g"):
        if not any(JARS.glob("kafka_2.13-*.jar")):
            raise RuntimeError("Kafka's jars are missing: ./dev setup")
        self.folder = folder.resolve()
        self.heap = heap
        self.port = free_port()
        self.process: subprocess.Popen | None = None
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        text = PROPERTIES.format(port=self.port, controller=free_port(), data=self.folder / "data")
        text += "".join(f"{key}={value}\n" for key, value in (settings or {}).items())
        (self.folder / "server.properties").write_text(text)
        (self.folder / "log4j2.yaml").write_text(LOGGING)
        self.format()
        self.start()

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def java(self, heap: str, *words: str) -> list[str]:
        options = [f"-Xms{heap}", f"-Xmx{heap}", *COLLECTOR.split(), "-Djava.awt.headless=true"]
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.yaml'}"
        return ["java", *options, logging, "-cp", f"{JARS}/*", *words]

    def format(self) -> None:
        words = ["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(self.folder / "server.properties")]
        ran = subprocess.run(self.java("256m", *words), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if ran.returncode:
            raise RuntimeError(f"Kafka's storage was not formatted: {ran.stdout}{ran.stderr}")

    def start(self, wait_s: float = 90) -> None:
        with (self.folder / "server.log").open("ab") as log:
            command = self.java(self.heap, "kafka.Kafka", str(self.folder / "server.properties"))
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        end = time.monotonic() + wait_s
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"Kafka did not start, see {self.folder / 'server.log'}")
            time.sleep(0.01)

    def stop(self, wait_s: float = 60) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(wait_s)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Kafka":
        return self

    def __exit__(self, *_) -> None:
        self.close()
