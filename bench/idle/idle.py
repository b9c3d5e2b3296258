"""What clients cost a node that ask for nothing: resident memory and CPU with many connections, idle and in long polls.

Figures: the node alone; with --clients connections, each of which has asked ApiVersions and Metadata; with a Fetch that
finds no records waiting on --polls connections; and after all are gone. A Fetch that has waited --wait-ms is answered,
empty, and sent again. The kernel's memory is that of both ends of the connections: sockets, epoll and files.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import wire  # noqa: E402
from node import BUILD, Node  # noqa: E402

TOPIC, PARTITIONS = "idle", 16
PORTS = 25_000  # that one source address has, with room to spare
DESCRIPTORS_LEFT = 400  # for what the node needs beside connections


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kernel_mb() -> float:
    """Slabs (sockets, files, epoll's entries) and the pages of sockets' buffers."""
    slab = next(int(line.split()[1]) for line in pathlib.Path("/proc/meminfo").read_text().split("\n")
                if line.startswith("Slab:"))
    tcp = next(line for line in pathlib.Path("/proc/net/sockstat").read_text().split("\n") if line.startswith("TCP:"))
    return slab * 1024 / 1e6 + int(tcp.split()[-1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Crowd:
    """The program `crowd hold` and what it reports."""

    def __init__(self, port: int, clients: int, wait_ms: int):
        command = [
            str(BUILD / "release" / "bench" / "load" / "crowd"), "hold", f"127.0.0.1:{port}", "--connections",
            str(clients), "--sources", str(1 + clients // PORTS), "--topic", TOPIC, "--partitions", str(PARTITIONS),
            "--fetch-wait", str(wait_ms)
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.opened = self.read()

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the generator ended")
        return json.loads(line)

    def tell(self, word: str) -> dict:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def measure(node: Node, name: str, clients: int, seconds: float, kernel_before: float) -> float:
    """Waits for that time and prints a line; the resident MB."""
    cpu, begin = cpu_seconds(node.pid), time.monotonic()
    time.sleep(seconds)
    used = (cpu_seconds(node.pid) - cpu) / (time.monotonic() - begin)
    memory = node.resident_bytes() / 1e6
    kernel = f"kernel {kernel_mb() - kernel_before:+8.1f} MB"
    print(f"{name:<12} {clients:>7} clients  {memory:7.1f} MB  {kernel}  {used * 100:6.2f} % of a core", flush=True)
    return memory


def run(options: argparse.Namespace) -> None:
    connections = options.clients + options.polls + 100
    settings = {"max-connections": str(connections), "cores": str(options.cores), "open-files-max": "64"}
    with Node(settings=settings) as node:
        with wire.Connection(node.port) as admin:
            if error := admin.create_topic(TOPIC, PARTITIONS):
                raise RuntimeError(f"the topic was not made: error {error}")
        kernel = kernel_mb()
        alone = measure(node, "alone", 0, 5, kernel)
        cpu = cpu_seconds(node.pid)
        crowd = Crowd(node.port, options.clients, options.wait_ms)
        print(f"opened, and answered twice each, in {crowd.opened['seconds']} s, "
              f"{cpu_seconds(node.pid) - cpu:.2f} CPU-seconds of the node")
        idle = measure(node, "idle", options.clients, options.seconds, kernel)
        print(f"{(idle - alone) * 1e6 / options.clients:.0f} bytes of the node for each connection")
        polling = Crowd(node.port, options.polls, options.wait_ms)
        polling.tell("fetch")
        time.sleep(2)
        measure(node, "long polls", options.polls, options.seconds, kernel)
        for one in (crowd, polling):
            if closed := one.tell("count")["closed"]:
                raise RuntimeError(f"the node closed {closed} connections")
            one.close()
        time.sleep(2)
        measure(node, "gone", 0, 5, kernel)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--polls", type=int, default=10_000, help="further connections with a waiting Fetch")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--wait-ms", type=int, default=600_000, help="of each Fetch")
    parser.add_argument("--cores", type=int, default=2, help="of the node")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    room = limit - DESCRIPTORS_LEFT
    options.polls = min(options.polls, room // 2)
    if options.clients + options.polls > room:
        options.clients = room - options.polls
        print(f"only {options.clients} clients: a process may have {limit} open files here (ulimit -Hn)")
    run(options)


if __name__ == "__main__":
    main()
