"""What groups cost a node whose members do nothing but beat: CPU and memory with thousands of groups, each member on a
connection of its own, and whether the rebalances of one group are noticed by any other.

The generator (`crowd members`) prints a line when all have joined, one after --seconds of beats, and one after as long
again during which the first group is rebalanced every second. `disturbed_elsewhere` counts answers with an error that
members of other groups got.
"""

import argparse
import pathlib
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
for folder in ("tests/support", "bench/kafka"):
    sys.path.insert(0, str(ROOT / folder))

from brokers import Broker  # noqa: E402
from node import BUILD  # noqa: E402

DESCRIPTORS_LEFT = 600  # for what the node needs beside connections
CROWD = BUILD / "release" / "bench" / "load" / "crowd"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=5000)
    parser.add_argument("--size", type=int, default=4, help="members of each group")
    parser.add_argument("--interval-ms", type=int, default=3000, help="between two beats of a member")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--broker", choices=("dlog", "kafka"), default="dlog")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if options.groups * options.size > limit - DESCRIPTORS_LEFT:
        options.groups = (limit - DESCRIPTORS_LEFT) // options.size
        print(f"only {options.groups} groups: a process may have {limit} open files here (ulimit -Hn)")
    with tempfile.TemporaryDirectory(prefix="bench-members-") as folder:
        settings = {"open-files-max": "128", "max-connections": str(options.groups * options.size + 50)}
        broker = Broker(options.broker, pathlib.Path(folder) / "data", settings if options.broker == "dlog" else {})
        words = {"--groups": options.groups, "--size": options.size, "--interval-ms": options.interval_ms,
                 "--seconds": options.seconds, "--pid": broker.server.pid}
        command = [str(CROWD), "members", broker.server.bootstrap, *(str(w) for pair in words.items() for w in pair)]
        ran = subprocess.run(command)
        broker.close()
    sys.exit(ran.returncode)


if __name__ == "__main__":
    main()
