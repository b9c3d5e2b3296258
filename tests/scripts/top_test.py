"""`dlog top` on a real pseudo terminal: its screen, its keys, and the terminal as it was afterwards."""

import contextlib
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from node import BINARY, Node  # noqa: E402

SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")
LIMIT_S = 30


class Screen:
    """As much of an xterm as a program needs that draws whole lines: two screens, a cursor, lines cleared."""

    def __init__(self, columns: int, rows: int):
        self.columns, self.rows = columns, rows
        self.screens = {"shell": [""] * rows, "alternate": [""] * rows}
        self.shown = "shell"
        self.has_cursor = True
        self.row = self.column = 0
        self.rest = ""

    @property
    def lines(self) -> list[str]:
        return self.screens[self.shown]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        for name, lines in self.screens.items():
            self.screens[name] = [line[:columns] for line in lines[:rows]] + [""] * (rows - len(lines))

    def feed(self, text: str) -> None:
        text = self.rest + text
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self.put(text[at])
                at += 1
                continue
            match = SEQUENCE.match(text, at)
            if match is None:
                assert len(text) - at < 16, f"an unknown sequence: {text[at:at + 16]!r}"
                break
            self.obey(match[1], match[2], match[3])
            at = match.end()
        self.rest = text[at:]

    def put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row += 1
            assert self.row < self.rows, "the screen would scroll"
        else:
            assert self.column < self.columns, f"beyond the right edge: {self.lines[self.row]!r}"
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
            self.column += 1

    def obey(self, private: str, parameters: str, final: str) -> None:
        if private and parameters == "1049":
            self.shown = "alternate" if final == "h" else "shell"
            self.row = self.column = 0
        elif private and parameters == "25":
            self.has_cursor = final == "h"
        elif final == "H":
            self.row = self.column = 0
        elif final == "K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif final == "J":
            kept = 0 if parameters == "2" else self.row + 1
            self.lines[kept:] = [""] * (self.rows - kept)
            if not parameters:
                self.lines[self.row] = self.lines[self.row][: self.column]
        else:
            assert final == "m", f"an unknown sequence: {parameters}{final}"


class Top:
    """`dlog top` with a terminal of its own, whose other end is read here."""

    def __init__(self, bootstrap: str, *words: str, columns: int = 100, rows: int = 30):
        self.screen = Screen(columns, rows)
        self.master, self.slave = pty.openpty()
        self.set_size(columns, rows)
        self.modes = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [str(BINARY), "top", "--bootstrap", bootstrap, "--interval", "0.1", *words],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm-256color"},
        )

    def set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(columns, rows)
        self.set_size(columns, rows)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read(self, wait_s: float) -> bool:
        if not select.select([self.master], [], [], wait_s)[0]:
            return False
        self.screen.feed(os.read(self.master, 1 << 16).decode())
        return True

    def until(self, what: Callable[["Top"], bool]) -> None:
        end = time.monotonic() + LIMIT_S
        while not what(self):
            assert time.monotonic() < end, self.screen.text
            assert self.process.poll() is None, self.screen.text
            self.read(0.05)

    def sees(self, text: str) -> None:
        self.until(lambda top: text in top.screen.text)

    def sees_no(self, text: str) -> None:
        self.until(lambda top: text not in top.screen.text)

    def row_of(self, name: str) -> int:
        """Where the row of this topic or group stands; -1: nowhere."""
        for number, line in enumerate(self.screen.lines):
            if line.startswith(f"  {name} "):
                return number
        return -1

    def leaves(self, exit_code: int) -> None:
        """It ends, and the terminal is as it was before it began."""
        assert self.process.wait(LIMIT_S) == exit_code
        while self.read(0):
            pass
        assert self.screen.shown == "shell" and self.screen.has_cursor
        assert termios.tcgetattr(self.slave) == self.modes

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def dlog(node: Node, *words: str, lines: str = "") -> None:
    environment = {**os.environ, "DLOG_BOOTSTRAP": node.bootstrap}
    subprocess.run([str(BINARY), *words], input=lines, text=True, check=True, capture_output=True, env=environment)


@pytest.fixture(scope="module")
def node(tmp_path_factory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("top") / "node") as node:
        for topic, records in (("alpha", 30), ("beta", 10), ("gamma", 20)):
            dlog(node, "topic", "create", topic)
            dlog(node, "produce", topic, lines="x\n" * records)
        dlog(node, "group", "reset", "billing", "--topic", "alpha", "--to", "beginning")
        yield node


@contextlib.contextmanager
def running(node: Node, *words: str, **size: int) -> Iterator[Top]:
    top = Top(node.bootstrap, *words, **size)
    try:
        top.sees("3 topics, 1 group")
        yield top
    finally:
        top.close()


def test_the_screen_shows_nodes_topics_groups_and_requests(node):
    with running(node, "--http", f"127.0.0.1:{node.http_port}") as top:
        assert top.screen.shown == "alternate" and not top.screen.has_cursor
        top.sees("Metadata")
        assert node.bootstrap in top.screen.text and "p99 ms" in top.screen.text
        assert [top.row_of(name) > 0 for name in ("alpha", "beta", "gamma", "billing")] == [True] * 4
        assert re.search(r"billing +Empty +0 +30 ", top.screen.text)
        top.press("q")
        top.leaves(0)


def test_rates_follow_what_is_written(node):
    with running(node) as top:
        dlog(node, "topic", "create", "busy")
        top.sees("busy")
        writer = subprocess.Popen(
            [str(BINARY), "bench", "produce", "busy", "-b", node.bootstrap, "-n", "3000", "--rate", "500", "-q"],
            stdout=subprocess.DEVNULL,
        )
        top.until(lambda top: re.search(r"in [1-9][0-9.]* records/s, ", top.screen.text) is not None)
        # The busiest comes first.
        top.until(lambda top: 0 < top.row_of("busy") < top.row_of("alpha"))
        writer.kill()
        writer.wait()
        top.press("q")
        top.leaves(0)
    dlog(node, "topic", "delete", "busy")


def test_keys_sort_pause_and_explain(node):
    with running(node) as top:
        top.press("c")  # by the number of records, the most first
        top.until(lambda top: top.row_of("alpha") < top.row_of("gamma") < top.row_of("beta"))
        top.press("c")
        top.until(lambda top: top.row_of("beta") < top.row_of("gamma") < top.row_of("alpha"))
        top.press("\x1b[D\x1b[D")  # two columns to the left: the names
        top.until(lambda top: top.row_of("alpha") < top.row_of("beta") < top.row_of("gamma"))
        top.press("?")
        top.sees("A column's letter sorts by it")
        top.press("\x1b")
        top.sees_no("A column's letter sorts by it")
        top.press("p")
        top.sees("PAUSED")
        top.press("p")
        top.sees_no("PAUSED")
        top.press("\t")
        top.sees("> group")
        top.press("q")
        top.leaves(0)


def test_the_screen_follows_the_size_of_the_window(node):
    with running(node, columns=120, rows=40) as top:
        top.sees("in/s")
        for columns, rows in ((60, 12), (200, 50), (20, 4)):
            top.resize(columns, rows)
            top.until(lambda top: top.screen.lines[-1].startswith("q quit"))
        top.resize(100, 30)
        top.sees("billing")
        top.press("q")
        top.leaves(0)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGABRT"])
def test_a_signal_ends_it_and_the_terminal_is_as_before(node, name):
    with running(node) as top:
        os.kill(top.process.pid, getattr(signal, name))
        top.leaves(-getattr(signal, name))


def test_control_c_is_a_signal_and_control_z_stops_with_the_shells_screen(node):
    with running(node) as top:
        top.press("\x1a")
        end = time.monotonic() + LIMIT_S
        while os.waitid(os.P_PID, top.process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is None:
            assert time.monotonic() < end
            top.read(0.05)
        while top.read(0):
            pass
        assert top.screen.shown == "shell" and termios.tcgetattr(top.slave) == top.modes
        os.kill(top.process.pid, signal.SIGCONT)
        top.until(lambda top: top.screen.shown == "alternate" and "3 topics" in top.screen.text)
        top.press("\x03")
        top.leaves(-signal.SIGINT)


def test_after_so_many_looks_it_leaves(node):
    with running(node, "-n", "5") as top:
        end = time.monotonic() + LIMIT_S
        while top.process.poll() is None and time.monotonic() < end:
            top.read(0.05)
        top.leaves(0)


def test_a_node_that_goes_away_is_told_and_comes_back(tmp_path):
    with Node(tmp_path / "node") as node:
        for topic in ("a", "b", "c"):
            dlog(node, "topic", "create", topic)
        dlog(node, "group", "reset", "g", "--topic", "a", "--to", "beginning")
        with running(node, "--timeout-ms", "300") as top:
            node.stop()
            top.sees("! ")
            assert top.row_of("a") > 0
            node.start()
            top.sees_no("! ")
            top.press("q")
            top.leaves(0)


def test_without_a_cluster_there_is_no_screen(node):
    top = Top("127.0.0.1:1")
    try:
        top.process.wait(LIMIT_S)
        while top.read(0):
            pass
        assert top.process.returncode == 3 and "is a node running there?" in top.screen.text
        assert termios.tcgetattr(top.slave) == top.modes
    finally:
        top.close()
