"""Runs the ```console blocks of a Markdown page and compares what they print.

In such a block a line that begins with "$ " is a command, the lines after it are its output; "..." in the output stands
for anything, over lines too. Commands of one page run one after another in one empty folder with one fresh node, `dlog`
and `kcat` on the path, and 127.0.0.1:9092 replaced by the node's address. A block that follows a line
`<!-- not run: REASON -->` is left alone.
"""

import pathlib
import re
import subprocess

BLOCK = re.compile(r"(?P<mark><!-- not run:[^>]*-->\s*)?^```console\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)


def steps(markdown: str) -> list[tuple[str, str]]:
    """(command, expected output) of every block that is to be run. A command goes on after a trailing backslash."""
    found = []
    for block in BLOCK.finditer(markdown):
        if block["mark"]:
            continue
        for part in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
            lines = part.split("\n")
            end = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
            found.append(("\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :]).strip()))
    return found


def matches(expected: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in expected.split("..."))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def run(command: str, folder: pathlib.Path, environment: dict[str, str]) -> str:
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )
    if ran.returncode:
        raise AssertionError(f"`{command}` ended with {ran.returncode}:\n{ran.stdout}")
    return ran.stdout
