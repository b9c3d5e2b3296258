"""The real Apache Kafka (combined brokers and controllers, KRaft) on loopback, from the jars in .cache/jars/broker.

The peer of bench/kafka, and what tests/clients run against with --against=kafka, to show that a test asks for nothing
that Kafka itself does not do.
"""

import concurrent.futures
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
node.id={node_id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
num.partitions=1
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


# For a cluster that notices soon that a node is dead, and starts quickly.
CLUSTER_SETTINGS = {
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "300",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "offsets.topic.num.partitions": "3",
    "auto.leader.rebalance.enable": "false",
}


class Kafka:
    """Has the face of node.Node. One of a cluster's nodes, with its `controllers`' ports by node id, is not started by
    itself: without the others it would wait."""

    def __init__(
        self, folder: pathlib.Path, settings: dict[str, str] | None = None, heap: str = "1g", node_id: int = 1,
        controllers: dict[int, int] | None = None,
    ):
        if not any(JARS.glob("kafka_2.13-*.jar")):
            raise RuntimeError("Kafka's jars are missing: ./dev setup")
        self.folder = folder.resolve()
        self.heap = heap
        self.port = free_port()
        self.process: subprocess.Popen | None = None
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        quorum = controllers or {node_id: free_port()}
        text = PROPERTIES.format(
            node_id=node_id, port=self.port, controller=quorum[node_id], data=self.folder / "data",
            voters=",".join(f"{number}@127.0.0.1:{port}" for number, port in quorum.items()), replicas=len(quorum),
        )
        text += "".join(f"{key}={value}\n" for key, value in (settings or {}).items())
        (self.folder / "server.properties").write_text(text)
        (self.folder / "log4j2.yaml").write_text(LOGGING)
        self.format()
        if controllers is None:
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
        self.launch()
        self.wait(wait_s)

    def launch(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            command = self.java(self.heap, "kafka.Kafka", str(self.folder / "server.properties"))
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )

    def wait(self, wait_s: float = 90) -> None:
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


class KafkaCluster:
    """Several small nodes, by their ids from 1 on."""

    def __init__(self, folder: pathlib.Path, count: int = 3):
        controllers = {node_id: free_port() for node_id in range(1, count + 1)}

        def make(node_id: int) -> Kafka:
            return Kafka(folder / f"node-{node_id}", CLUSTER_SETTINGS, "256m", node_id, controllers)

        with concurrent.futures.ThreadPoolExecutor() as pool:
            self.nodes: dict[int, Kafka] = dict(zip(controllers, pool.map(make, controllers)))
        try:
            for node in self.nodes.values():
                node.launch()
            for node in self.nodes.values():
                node.wait()
        except RuntimeError:
            self.close()
            raise

    @property
    def bootstrap(self) -> str:
        return ",".join(node.bootstrap for node in self.nodes.values())

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()

    def __enter__(self) -> "KafkaCluster":
        return self

    def __exit__(self, *_) -> None:
        self.close()
