"""How each kind of test program is run and its results counted."""

import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree
from collections.abc import Iterable

from outcome import Outcome

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DLOG_BUILD", ROOT / "build")).resolve()
LOGS = BUILD / "logs"
WORKERS = max(1, min(2, os.cpu_count() or 1))

DOCTEST = re.compile(r"\[doctest\] test cases:\s*(\d+) \|\s*(\d+) passed \|\s*(\d+) failed \|")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

log_path = LOGS / "suite.log"
log_lock = threading.Lock()


def begin_log(group: str) -> None:
    global log_path
    LOGS.mkdir(parents=True, exist_ok=True)
    log_path = LOGS / f"{group}.log"
    log_path.write_text("")


def log(title: str, text: str) -> None:
    with log_lock, log_path.open("a") as file:
        file.write(f"---- {title}\n{text}\n")


def execute(command: list, timeout_s: float, **environment: str) -> tuple[int, str]:
    """Runs a program without a standard input, ends its whole process group at the time limit, logs what it printed."""
    command = [str(word) for word in command]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    )
    try:
        output = process.communicate(timeout=timeout_s)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0] + f"\nended: it ran longer than {timeout_s} s\n"
    output = COLOUR.sub("", output)
    log(" ".join(command), output)
    return process.returncode, output


def show(text: str, lines: int = 40) -> None:
    for line in text.strip().split("\n")[-lines:]:
        print(f"   | {line}")


def build(preset: str, *targets: str) -> Outcome:
    code, output = execute([ROOT / "tools/build.sh", preset, *targets], 1800)
    if code == 0:
        return Outcome(1)
    show("\n".join(line for line in output.split("\n") if not line.startswith("[")) or output)
    return Outcome(failures=[f"the {preset} build"])


def checks(*names: str) -> Outcome:
    def one(name: str) -> Outcome:
        code, output = execute([sys.executable, ROOT / "tools/check/check.py", "--all", name], 900)
        if code == 0:
            return Outcome(1)
        show(output, 60)
        return Outcome(failures=[f"check {name}"])

    return sum(map(one, names), Outcome())


def rooms() -> list[str]:
    return sorted(p.name for p in (ROOT / "src").iterdir() if p.is_dir())


def test_targets(*rooms: str) -> list[str]:
    return [f"test_{room}" for room in rooms if list((ROOT / "src" / room).rglob("*_test.cc"))]


def doctest_outcome(program: pathlib.Path, code: int, output: str) -> Outcome:
    name = f"{program.parent.parent.name}/{program.name}"
    match = DOCTEST.search(output)
    if match is None:
        show(output)
        return Outcome(failures=[f"{name} ended with {code} and no summary"])
    passed, failed = int(match[2]), int(match[3])
    outcome = Outcome(passed, [f"{name}: a case of {program.name}"] * failed)
    if code != 0 and failed == 0:
        outcome.failures.append(f"{name} ended with {code}")
    if passed + failed == 0:
        outcome.failures.append(f"{name} has no test case")
    if outcome.failed:
        show(output)
    return outcome


def doctests(preset: str, only: list[str] | None = None) -> Outcome:
    """Every test_<room> of a preset, two at a time."""
    wanted = only if only is not None else test_targets(*rooms())
    paths = [BUILD / preset / "src" / name for name in wanted]

    def one(program: pathlib.Path) -> Outcome:
        if not program.exists():
            return Outcome(failures=[f"{preset}/{program.name} was not built"])
        limits = {"UBSAN_OPTIONS": "print_stacktrace=1", "TSAN_OPTIONS": "halt_on_error=1"}
        return doctest_outcome(program, *execute([program], 900, **limits))

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(one, paths), Outcome())


def pytest(folder: str, *arguments: str, name: str = "") -> Outcome:
    """A folder of pytest tests. A test that skips itself counts as failed. `name` tells two runs of a folder apart."""
    report = LOGS / f"{folder.replace('/', '-')}{name}.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", f"--junitxml={report}"]
    code, output = execute([*command, *arguments, folder], 1500, DLOG_BUILD=str(BUILD))
    if not report.exists():
        show(output)
        return Outcome(failures=[f"{folder}: pytest ended with {code} and no report"])
    outcome = Outcome()
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        if [c for c in case if c.tag in ("failure", "error", "skipped")]:
            outcome.failures.append(f"{case.get('classname')}: {case.get('name')}")
        else:
            outcome.passed += 1
    if code not in (0, 1) or (code == 1 and not outcome.failures):
        outcome.failures.append(f"{folder}: pytest ended with {code}")
    if outcome.failed:
        show(output, 80)
    return outcome


def pytest_in_two(folder: str, *apart: str) -> Outcome:
    """The folder's files that are named, and beside them the others: their tests wait more than they work."""
    others = [path.name for path in sorted((ROOT / folder).glob("*_test.py")) if path.name not in apart]

    def one(name: str, ignored: Iterable[str]) -> Outcome:
        return pytest(folder, *(f"--ignore={folder}/{file}" for file in ignored), name=name)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return sum(pool.map(one, ("-1", "-2"), (others, apart)), Outcome())


SEEDS = re.compile(r"^level (\w+): (\d+) seeds, (\d+) failed", re.MULTILINE)


def seeds(level: str, count: int) -> Outcome:
    """Each seed is a test case; the program runs it twice and compares."""
    program = BUILD / "release/src/sim_seeds"
    code, output = execute([program, "--seeds", 0, count, "--level", level, "--jobs", WORKERS], 900)
    match = SEEDS.search(output)
    failed = [line for line in output.split("\n") if line.startswith("replay:") or "; replay:" in line]
    if match is None or (code != 0 and not failed):
        failed.append(f"sim_seeds ended with {code}")
    if failed:
        show(output)
    run = int(match[2]) - int(match[3]) if match else 0
    return Outcome(run if not failed else max(0, run - len(failed)), [f"{level}: {line}" for line in failed])


def canary(name: str, count: int) -> Outcome:
    """A build with a planted bug must be caught, or the checkers see nothing."""
    program = BUILD / "release/src/sim_seeds"
    # Half of the partitions are compacted, and keys that collide show there only.
    level = {"keys": "partitions", "replicas": "cluster", "alone": "cluster"}.get(name, "node")
    words = ["--seeds", 0, count, "--level", level, "--canary", name, "--expect-failure", "--jobs", WORKERS]
    code, output = execute([program, *words], 600)
    if code == 0 and "the canary was caught" in output:
        return Outcome(1)
    show(output)
    return Outcome(failures=[f"the canary '{name}' was not caught"])


def canaries() -> list[str]:
    """The planted bugs that the program offers, from its usage line."""
    usage = execute([BUILD / "release/src/sim_seeds", "--help"], 20)[1]
    match = re.search(r"--canary ([\w|]+)", usage)
    return [name for name in match[1].split("|") if name != "none"] if match else []


def simulator() -> Outcome:
    caught = [canary(name, 40) for name in canaries()]
    if not caught:
        caught = [Outcome(failures=["sim_seeds names no canary"])]
    levels = seeds("node", 500) + seeds("partitions", 500) + seeds("cluster", 60)
    return levels + sum(caught, Outcome())


def fuzz_targets() -> list[str]:
    found = [(f.relative_to(ROOT / "src").parts[0], f.stem) for f in (ROOT / "src").rglob("*_fuzz.cc")]
    return sorted(f"{room}_{stem.removesuffix('_fuzz')}" for room, stem in found)


def fuzzers(seconds: int) -> Outcome:
    """Every fuzz target for so long, two at a time. Each must have a seed corpus."""

    def one(name: str) -> Outcome:
        room, _, target = name.partition("_")
        seeds = ROOT / "src" / room / "testdata" / "fuzz" / target
        if not seeds.is_dir() or not any(seeds.iterdir()):
            return Outcome(failures=[f"fuzz {name}: has no seed corpus in {seeds.relative_to(ROOT)}"])
        code, output = execute([ROOT / "tools/fuzz.sh", name, seconds], seconds + 120)
        runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
        if code == 0 and runs and int(runs[1]) > 0:
            return Outcome(1)
        show(output)
        return Outcome(failures=[f"fuzz {name} ended with {code}"])

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(one, fuzz_targets()), Outcome())
