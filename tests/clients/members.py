"""Members of consumer groups, one process each, with one face for all clients."""

import re
import subprocess
import sys
import threading
import time

from drivers import CLIENTS, HERE

Row = tuple[int, int, str, str]


class Member:
    """Reads the topic from the group's offsets, or from the start; `leave` commits and leaves as the client does by
    itself when it is closed, `kill` does not."""

    def __init__(self, command: list[str]):
        self.rows: list[Row] = []
        self.assigned: set[int] | None = None
        self.held: list[str] = []  # the same with repetitions: of several topics
        self.errors: list[str] = []
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HERE
        )
        self.readers = [threading.Thread(target=self.read_rows), threading.Thread(target=self.read_errors)]
        for reader in self.readers:
            reader.start()

    def read_rows(self) -> None:
        for line in self.process.stdout:
            if line.startswith("= "):
                self.held = [number for number in line[2:].split(",") if number.strip()]
                self.assigned = {int(number) for number in self.held}
            else:
                partition, offset, key, value = line.rstrip("\n").split("\t")
                self.rows.append((int(partition), int(offset), key, value))

    def read_errors(self) -> None:
        for line in self.process.stderr:
            self.errors.append(line)

    def finish(self, wait_s: float = 60) -> int:
        try:
            code = self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"a member did not leave within {wait_s} s: {self.errors[-20:]}") from None
        for reader in self.readers:
            reader.join()
        return code

    def leave(self) -> list[Row]:
        self.process.stdin.close()
        assert self.finish() == 0, "".join(self.errors[-20:])
        return self.rows

    def kill(self) -> None:
        self.process.kill()
        self.finish()

    def __enter__(self) -> "Member":
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.kill()


class KcatMember(Member):
    """kcat says what it was assigned in its error output, and leaves on SIGINT."""

    def read_errors(self) -> None:
        for line in self.process.stderr:
            self.errors.append(line)
            if "rebalanced" not in line:
                continue
            is_loss = re.search(r": (revoked|lost)", line)
            self.assigned = set() if is_loss else {int(number) for number in re.findall(r"\[(\d+)\]", line)}

    def leave(self) -> list[Row]:
        self.process.terminate()
        self.finish()
        return self.rows


def join(client: str, broker, topic: str, group: str, **settings: str) -> Member:
    """A new member on `client`, at its own defaults but for `settings` by their Kafka names, with "_" for "."."""
    more = [f"{name.replace('_', '.')}={value}" for name, value in settings.items()]
    where = [broker.bootstrap, topic, group, *more]
    if client == "kcat":
        flags = [word for setting in ["auto.offset.reset=earliest", *more] for word in ("-X", setting)]
        form = r"%p\t%o\t%k\t%s\n"
        return KcatMember(["kcat", "-b", broker.bootstrap, *flags, "-u", "-f", form, "-G", group, topic])
    if client in ("confluent-kafka", "kafka-python"):
        return Member([sys.executable, "member.py", client, *where])
    command = CLIENTS[client].command()
    return Member([*command, "group", *where])


def wait_for(condition, what: str, members: list[Member], wait_s: float = 60) -> None:
    end = time.monotonic() + wait_s
    while not condition():
        state = [(m.assigned, len(m.rows), m.errors[-3:]) for m in members]
        assert time.monotonic() < end, f"not within {wait_s} s: {what}; {state}"
        assert all(m.process.poll() is None for m in members), f"a member ended before {what}; {state}"
        time.sleep(0.05)
