"""Sizes: a file, a header, a line, a room's README. The sizes of functions are clang-tidy's (see .clang-tidy)."""

import pathlib
import re

import tree

FILE_LINES = 1200
HEADER_LINES = 300
COLUMNS = 100
PROSE_COLUMNS = 120
SCRIPT_COLUMNS = 120


RAW_STRING_BEGIN = re.compile(r'R"(\w*)\(')


def outside_raw_strings(lines: list[str]) -> list[tuple[int, str]]:
    """The numbered lines that are not text inside a raw string literal, which cannot be broken."""
    found, ending = [], ""
    for number, line in enumerate(lines, 1):
        if ending:
            if ending in line:
                ending = ""
            continue
        found.append((number, line))
        if (match := RAW_STRING_BEGIN.search(line)) and f"){match[1]}\"" not in line[match.end() :]:
            ending = f"){match[1]}\""
    return found


def check(root: pathlib.Path) -> list[str]:
    problems = []
    for file in tree.files(root, ".cc", ".h", ".inc", ".c", ".py", ".go", ".java", ".sh", ".cmake"):
        lines = tree.lines(root, file)
        limit = HEADER_LINES if file.suffix == ".h" else FILE_LINES
        if len(lines) - 1 > limit:
            problems.append(f"{file}: {len(lines) - 1} lines, the limit is {limit}")
        columns = COLUMNS if file.suffix in (".cc", ".h", ".inc", ".c") else SCRIPT_COLUMNS
        for number, line in outside_raw_strings(lines):
            if len(line) > columns:
                problems.append(f"{file}:{number}: {len(line)} columns, the limit is {columns}")
            if line.endswith((" ", "\t")):
                problems.append(f"{file}:{number}: ends in a blank")
    return problems
