"""What clients cost a node that ask for nothing: resident memory and CPU with many connections, idle and in long polls.

Three figures: the node alone; with idle connections, each of which has asked ApiVersions once; with a Fetch waiting on
each that finds no records. A Fetch that has waited --wait-ms is answered, empty, and sent again.
"""

import argparse
import functools
import os
import pathlib
import selectors
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "support"))

import wire  # noqa: E402
from node import Node  # noqa: E402

TOPIC, PARTITIONS = "idle", 16


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(node: Node, name: str, clients: int, seconds: float, serve) -> None:
    """Runs `serve(until)` for that time and prints a line."""
    cpu, begin = cpu_seconds(node.pid), time.monotonic()
    answers = serve(begin + seconds)
    used = (cpu_seconds(node.pid) - cpu) / (time.monotonic() - begin)
    memory = node.resident_bytes() / 1e6
    print(f"{name:<12} {clients:>7} clients  {memory:7.1f} MB  {used * 100:6.2f} % of a core  {answers} answers")


def sleep(until: float) -> int:
    time.sleep(max(0.0, until - time.monotonic()))
    return 0


def fetch(connection: wire.Connection, number: int, wait_ms: int) -> None:
    connection.send(wire.FETCH, 4, wire.Connection.fetch_body(TOPIC, number % PARTITIONS, 0, wait_ms=wait_ms))


def fetch_again(connections: list[wire.Connection], wait_ms: int, until: float) -> int:
    """Sends the next Fetch on every connection that was answered; the answers."""
    answers = 0
    with selectors.DefaultSelector() as selector:
        for number, connection in enumerate(connections):
            selector.register(connection.socket, selectors.EVENT_READ, (connection, number))
        while (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                connection, number = key.data
                connection.receive()
                fetch(connection, number, wait_ms)
                answers += 1
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--wait-ms", type=int, default=600_000, help="of each Fetch")
    parser.add_argument("--cores", type=int, default=2, help="of the node")
    options = parser.parse_args()
    settings = {"max-connections": str(options.clients + 100), "cores": str(options.cores)}
    with Node(settings=settings) as node:
        with wire.Connection(node.port) as admin:
            if error := admin.create_topic(TOPIC, PARTITIONS):
                raise RuntimeError(f"the topic was not made: error {error}")
        measure(node, "alone", 0, 5, sleep)
        connections = [wire.Connection(node.port) for _ in range(options.clients)]
        for connection in connections:
            connection.call(wire.API_VERSIONS, 0, b"")
        measure(node, "idle", options.clients, options.seconds, sleep)
        for number, connection in enumerate(connections):
            fetch(connection, number, options.wait_ms)
        time.sleep(2)
        polls = functools.partial(fetch_again, connections, options.wait_ms)
        measure(node, "long polls", options.clients, options.seconds, polls)
        for connection in connections:
            connection.close()
        time.sleep(2)
        measure(node, "gone", 0, 5, sleep)


if __name__ == "__main__":
    main()
