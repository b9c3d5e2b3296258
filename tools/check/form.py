"""clang-format has nothing to say."""

import pathlib
import subprocess

import tree


def check(root: pathlib.Path) -> list[str]:
    files = [str(f) for f in tree.files(root, ".cc", ".h", ".c")]
    if not files:
        return []
    halves = [files[0::2], files[1::2]]
    command = ["clang-format-19", "--dry-run", "-Werror", "--ferror-limit=1"]
    running = [
        subprocess.Popen(command + half, cwd=root, stderr=subprocess.PIPE, text=True) for half in halves if half
    ]
    problems = []
    for process in running:
        errors = process.communicate()[1]
        found = sorted({line.split(":")[0] for line in errors.split("\n") if "error:" in line})
        problems += [f"{name}: not formatted (./dev format {name})" for name in found]
        if process.returncode and not found:
            problems.append(f"clang-format failed: {errors.strip()[:300]}")
    return problems
