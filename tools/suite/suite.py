"""Runs every test of the tree in groups and ends with one line "N passed, N failed". Called by ./test.

A group is one of the functions below that `@group` names; it returns an Outcome. What a group's programs print goes to
build/logs/GROUP.log, and the part that matters is shown when something failed. A test that could not run counts as
failed: nothing is skipped in silence.
"""

import argparse
import sys
import time

import programs
from outcome import Outcome

GROUPS = {}


def group(function):
    GROUPS[function.__name__] = function
    return function


@group
def build() -> Outcome:
    """the release build"""
    return programs.build("release")


@group
def checks() -> Outcome:
    """layers, ratchets, rooms, paths, format, the checks' own tests, and those of the message schemas"""
    tests = programs.pytest("tools/check") + programs.pytest("src/protocol")
    return programs.checks("layers", "ratchets", "rooms", "paths", "format") + tests


@group
def unit() -> Outcome:
    """the unit tests of each room"""
    return programs.doctests("release")


@group
def run() -> Outcome:
    """the entry scripts"""
    return programs.pytest("tests/scripts")


@group
def clients() -> Outcome:
    """real clients against the real binary"""
    return programs.pytest_in_two("tests/clients", "cpp_client_test.py", "cluster_test.py")


@group
def faults() -> Outcome:
    """kill -9 under load, hostile bytes on raw sockets"""
    return programs.pytest("tests/faults")


@group
def docs() -> Outcome:
    """the commands in README.md and docs/"""
    return programs.pytest("tests/docs")


@group
def sim() -> Outcome:
    """the whole node in the simulator: seeds, each twice, and the canaries"""
    return programs.simulator()


@group
def tidy() -> Outcome:
    """clang-tidy on every file"""
    return programs.checks("tidy")


@group
def sanitized() -> Outcome:
    """the unit tests under ASan and UBSan"""
    targets = programs.test_targets(*programs.rooms())
    return programs.build("debug", *targets) + programs.doctests("debug", only=targets)


@group
def threads() -> Outcome:
    """the rooms that run on several cores under TSan"""
    targets = programs.test_targets("reactor", "replication", "broker", "server", "sdk")
    return programs.build("tsan", *targets) + programs.doctests("tsan", only=targets)


@group
def fuzz() -> Outcome:
    """each fuzz target for 60 s"""
    targets = [f"fuzz_{name}" for name in programs.fuzz_targets()]
    return programs.build("fuzz", *targets) + programs.fuzzers(seconds=60)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./test", description="Builds and runs every test.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="only these: " + " ".join(GROUPS))
    parser.add_argument("--list", action="store_true", help="list the groups")
    options = parser.parse_args()
    if options.list:
        for name, function in GROUPS.items():
            print(f"{name:10} {function.__doc__}")
        return 0
    if unknown := [name for name in options.groups if name not in GROUPS]:
        parser.error(f"there is no group {unknown[0]}; the groups are: {' '.join(GROUPS)}")

    total = Outcome()
    began = time.monotonic()
    for name in options.groups or GROUPS:
        print(f"== {name}: {GROUPS[name].__doc__}", flush=True)
        started = time.monotonic()
        programs.begin_log(name)
        try:
            outcome = GROUPS[name]()
        except Exception as error:  # a group that breaks down is a failed test, and the others still run
            outcome = Outcome(failures=[f"{name} broke down: {error!r}"])
        if outcome.passed == 0 and not outcome.failures:
            outcome.failures.append(f"{name}: no test ran")
        for failure in outcome.failures:
            print(f"   FAILED {failure}")
        took = time.monotonic() - started
        print(f"   {outcome.passed} passed, {outcome.failed} failed in {took:.1f} s", flush=True)
        total += outcome
    print(f"all groups in {time.monotonic() - began:.0f} s; logs in {programs.LOGS}")
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
