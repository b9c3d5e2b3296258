"""Nothing committed names a place on one machine: a home folder, an absolute path into somebody's tree."""

import pathlib
import re

import tree

# Written in pieces, so that this file does not find itself.
PLACES = "|".join(["root", "work", "home/[a-z]+", "Users", "mnt", "opt/wheels"])
MACHINE_PATH = re.compile(rf"(?<![\w.$}}])/({PLACES})(/|\b)")
BINARY = {".bin", ".log", ".gz", ".zst", ".lz4", ".snappy", ".png"}


def check(root: pathlib.Path) -> list[str]:
    problems = []
    for file in tree.files(root):
        if file.suffix in BINARY or file.name == "paths.py":
            continue
        text = (root / file).read_bytes()
        if b"\0" in text[:4096]:
            continue
        for number, line in enumerate(text.decode(errors="replace").split("\n"), 1):
            if match := MACHINE_PATH.search(line):
                problems.append(f"{file}:{number}: names the machine path {match[0]}")
    return problems
