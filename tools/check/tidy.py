"""clang-tidy, with the short list of .clang-tidy, every finding an error.

A file that was clean is not looked at again while neither it, nor a header of ours that it includes, nor .clang-tidy
has changed: its hash is remembered in the user's cache folder, so that a fresh clone profits too.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess

import tree

changed_only = False
WORKERS = 2
FINDING = re.compile(r"^(\S+:\d+:\d+: (?:error|warning): .*)$", re.MULTILINE)
# A coroutine may take a service of longer life as `Disk& disk`: such a reference binds no temporary. `const T&` does.
BORROWED = re.compile(r"^(?!const\b)[\w:]+(<[^&]*>)?& (\w+|/\*\w+\*/)")
# Holds the whole of doctest and nothing of ours.
THIRD_PARTY = "src/base/doctest_main.cc"


def cache_folder() -> pathlib.Path:
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "dlog" / "tidy"


def build_folder(root: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(os.environ.get("DLOG_BUILD", root / "build")) / "release"


def includes(root: pathlib.Path, build: pathlib.Path) -> dict[str, list[str]]:
    """Each object's headers below the root or the build folder, as ninja recorded them when it was compiled."""
    recorded = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True).stdout
    found: dict[str, list[str]] = {}
    for block in recorded.split("\n\n"):
        head, _, rest = block.partition("\n")
        names = [str((build / line.strip()).resolve()) for line in rest.split("\n") if line.strip()]
        inside = [n for n in names if n.startswith(str(root)) and "/cmake_pch." not in n]
        if inside:
            found[inside[0]] = inside
    return found


def key_of(file: str, command: str, headers: list[str], root: pathlib.Path) -> str:
    digest = hashlib.sha256()
    digest.update(command.replace(str(root), "").encode())
    for name in [str(root / ".clang-tidy"), __file__, file, *sorted(set(headers))]:
        digest.update(hashlib.sha256(pathlib.Path(name).read_bytes()).digest())
    return digest.hexdigest()


def is_excused(finding: str) -> bool:
    # doctest's macros are nested loops: a CHECK within two levels of ours counts as five.
    if "function-size" in finding and "DOCTEST_ANON_FUNC" in finding:
        return True
    if "avoid-reference-coroutine-parameters" not in finding:
        return False
    name, line, column = finding.split(":")[:3]
    text = pathlib.Path(name).read_text().split("\n")[int(line) - 1]
    return BORROWED.match(text[int(column) - 1 :]) is not None


def examine(root: pathlib.Path, build: pathlib.Path, file: str) -> list[str]:
    ran = subprocess.run(
        ["clang-tidy-19", "-p", str(build), "--quiet", f"--config-file={root}/.clang-tidy", file],
        capture_output=True, text=True,
    )
    raw = FINDING.findall(ran.stdout)
    found = [line.replace(str(root) + "/", "") for line in raw if not is_excused(line)]
    if ran.returncode and not raw:
        found = [f"{file}: clang-tidy failed: {(ran.stdout + ran.stderr).strip()[:400]}"]
    return found


def check(root: pathlib.Path) -> list[str]:
    root = root.resolve()
    build = build_folder(root)
    database = build / "compile_commands.json"
    if not database.exists():
        return [f"{database} is missing: build first (./dev build)"]
    commands = {entry["file"]: entry["command"] for entry in json.loads(database.read_text())}
    headers = includes(root, build)
    wanted = {str(root / f) for f in tree.files(root, ".cc") if str(f) != THIRD_PARTY} & set(commands)
    if changed_only:
        touched = {str(root / f) for f in tree.changed(root)}
        wanted = {f for f in wanted if f in touched or touched & set(headers.get(f, []))}

    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    keys = {f: key_of(f, commands[f], headers.get(f, []), root) for f in wanted}
    todo = sorted(f for f in wanted if not (cache / keys[f]).exists())
    problems: set[str] = set()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for file, found in zip(todo, pool.map(lambda f: examine(root, build, f), todo)):
            if not found:
                (cache / keys[file]).touch()
            problems.update(found)
    return sorted(problems)
