"""The checks on the source itself: `./dev check`, and the group "checks" of ./test.

Each check is a module beside this file with `def check(root: Path) -> list[str]`, one line a problem. A check looks
only at files that git tracks or would track. check_test.py plants a breach for each one.

    check.py [--all] [--root DIR] [NAME...]
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import form  # noqa: E402
import layers  # noqa: E402
import paths  # noqa: E402
import ratchets  # noqa: E402
import rooms  # noqa: E402
import tidy  # noqa: E402

CHECKS = {
    "layers": layers.check,
    "ratchets": ratchets.check,
    "rooms": rooms.check,
    "paths": paths.check,
    "format": form.check,
    "tidy": tidy.check,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks the source.")
    parser.add_argument("names", nargs="*", help="only these: " + " ".join(CHECKS))
    parser.add_argument("--all", action="store_true", help="clang-tidy on all files")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2])
    options = parser.parse_args()
    tidy.changed_only = not options.all

    failed = 0
    for name in options.names or CHECKS:
        started = time.monotonic()
        problems = CHECKS[name](options.root)
        for problem in problems:
            print(f"{name}: {problem}")
        failed += bool(problems)
        verdict = f"{len(problems)} problems" if problems else "ok"
        print(f"check {name}: {verdict} ({time.monotonic() - started:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
