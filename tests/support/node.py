"""A dlog node as a child process on a free port, with a data folder of its own."""

import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DLOG_BUILD", ROOT / "build")).resolve()
BINARY = BUILD / "release" / "dlog"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Node:
    """Started at once; `stop` is SIGTERM, `kill` is SIGKILL, `start` starts it again on the same port and data."""

    def __init__(self, folder: pathlib.Path | None = None, settings: dict[str, str] | None = None, port: int = 0):
        self.owned = tempfile.TemporaryDirectory(prefix="dlog-test-") if folder is None else None
        self.folder = pathlib.Path(self.owned.name) if self.owned else folder
        self.port = port or free_port()
        self.http_port = free_port()
        self.settings = settings or {}
        self.process: subprocess.Popen | None = None
        self.start()

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def data(self) -> pathlib.Path:
        return self.folder / "data"

    @property
    def pid(self) -> int:
        return self.process.pid

    def command(self) -> list[str]:
        flags = {
            "listen": self.bootstrap, "data-dir": str(self.data), "http": f"127.0.0.1:{self.http_port}", **self.settings
        }
        return [str(BINARY), "serve", *(word for key, value in flags.items() for word in (f"--{key}", value))]

    def start(self, wait_s: float = 20) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + wait_s
        while not answers(self.port):
            if self.process.poll() is not None:
                raise RuntimeError(f"the node ended with {self.process.returncode}:\n{self.log[-3000:]}")
            if time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"the node did not listen within {wait_s} s:\n{self.log[-3000:]}")
            time.sleep(0.005)

    @property
    def log_file(self) -> pathlib.Path:
        return self.folder / "node.log"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, wait_s: float = 20) -> int:
        """A clean stop; the exit code."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(wait_s)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError(f"the node did not stop within {wait_s} s:\n{self.log[-3000:]}") from None
        return self.process.returncode

    def kill(self) -> None:
        if self.is_running():
            self.process.kill()
            self.process.wait()

    def resident_bytes(self) -> int:
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().split("\n"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")

    def close(self) -> None:
        self.kill()
        if self.owned:
            self.owned.cleanup()

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *_) -> None:
        self.close()
