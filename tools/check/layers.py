"""Includes go down: what each room may include, what a pure room may not, who owns which third-party header.

All three tables are in layers.txt.
"""

import pathlib
import re

import tree

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


class Layers:
    """layers.txt, read."""

    def __init__(self, text: str):
        self.may: dict[str, set[str]] = {}
        self.pure: set[str] = set()
        self.banned: list[str] = []
        self.owners: dict[str, set[str]] = {}
        self.in_tests: set[str] = set()
        self.public: list[str] = []
        for line in text.split("\n"):
            words = line.split("#")[0].replace(":", " ").split()
            if not words:
                continue
            match words[0]:
                case "@pure":
                    self.pure.update(words[1:])
                case "@banned":
                    self.banned.extend(words[1:])
                case "@owner":
                    self.owners[words[1]] = set(words[2:])
                case "@tests":
                    self.in_tests.update(words[1:])
                case "@public":
                    self.public.extend(words[1:])
                case room:
                    self.may[room] = set(words[1:])

    def owners_of(self, header: str) -> set[str] | None:
        """The rooms that may include a third-party header; None for a header of the system."""
        for pattern, rooms in self.owners.items():
            if header == pattern or (pattern.endswith("/") and header.startswith(pattern)):
                return rooms
        return None

    def is_banned(self, header: str) -> bool:
        return any(header == b or (b.endswith("/") and header.startswith(b)) for b in self.banned)


def problems_of(layers: Layers, room: str, header: str, quoted: bool, is_test: bool) -> list[str]:
    if quoted:
        target = header.split("/")[0]
        if target not in layers.may:
            return []  # a generated header beside its user, or the compiler's own complaint
        if is_test and target in layers.in_tests:
            return []
        if target != room and target not in layers.may[room]:
            return [f'includes "{header}", but layers.txt does not let {room} include {target}']
        return []
    found = []
    if room in layers.pure and not is_test and layers.is_banned(header):
        found.append(f"includes <{header}>, which a pure room may not")
    owners = layers.owners_of(header)
    if owners is not None and room not in owners and not (is_test and header in layers.in_tests):
        found.append(f"includes <{header}>, which belongs to {' '.join(sorted(owners))} alone")
    if owners is None and re.search(r"/|\.h(pp)?$", header) and not system_header(header):
        found.append(f"includes <{header}>, a third-party header that has no owner in layers.txt")
    return found


SYSTEM = ("sys/", "linux/", "netinet/", "arpa/", "bits/", "ext/")
C_HEADERS = {
    "assert.h", "dirent.h", "errno.h", "fcntl.h", "immintrin.h", "inttypes.h", "limits.h", "netdb.h", "nmmintrin.h",
    "poll.h", "pthread.h", "sched.h", "signal.h", "spawn.h", "stdarg.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h",
    "string.h", "termios.h", "time.h", "ucontext.h", "unistd.h", "execinfo.h", "getopt.h", "x86intrin.h", "cpuid.h",
    "syslog.h", "malloc.h", "pwd.h", "sanitizer/asan_interface.h", "sanitizer/lsan_interface.h",
}


def public_problem(header: str) -> str | None:
    """What is wrong with an include where only the public headers and the standard library's C++ headers may stand."""
    if header.startswith("dlog/") or re.fullmatch(r"[a-z_]+", header):
        return None
    return f"includes {header}, but public headers and examples see only dlog/ and the standard library"


def system_header(header: str) -> bool:
    return header.startswith(SYSTEM) or header in C_HEADERS


def check(root: pathlib.Path) -> list[str]:
    layers = Layers((root / "layers.txt").read_text())
    problems = []
    for upper, below in layers.may.items():
        order = list(layers.may)
        for lower in below:
            if lower not in layers.may:
                problems.append(f"layers.txt: {upper} names {lower}, which has no line")
            elif order.index(lower) >= order.index(upper):
                problems.append(f"layers.txt: {upper} may include {lower}, which does not stand below it")
    for file in tree.files(root, ".cc", ".h", ".inc", under="src"):
        room = file.parts[1] if len(file.parts) > 2 else ""
        if room not in layers.may:
            problems.append(f"{file}: the room {room!r} has no line in layers.txt")
            continue
        is_test = file.stem.endswith(("_test", "_fuzz", "_bench")) or file.stem.startswith(("testing_", "doctest_main"))
        for number, line in enumerate(tree.lines(root, file), 1):
            if match := INCLUDE.match(line):
                quoted = match[1] == '"'
                for problem in problems_of(layers, room, match[2], quoted, is_test):
                    problems.append(f"{file}:{number}: {problem}")
    for folder in layers.public:
        for file in tree.files(root, ".cc", ".h", under=folder):
            for number, line in enumerate(tree.lines(root, file), 1):
                if (match := INCLUDE.match(line)) and (problem := public_problem(match[2])):
                    problems.append(f"{file}:{number}: {problem}")
    return problems
