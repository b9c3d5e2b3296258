"""What the checks share: the files of the tree."""

import pathlib
import subprocess


def files(root: pathlib.Path, *suffixes: str, under: str = "") -> list[pathlib.Path]:
    """The files that git tracks or would track, as paths below the root, sorted."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", under or "."],
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout.split("\0")
    found = sorted({pathlib.Path(name) for name in listed if name})
    return [f for f in found if (not suffixes or f.suffix in suffixes) and (root / f).is_file()]


def changed(root: pathlib.Path) -> set[pathlib.Path]:
    """The files that differ from the last commit, and new ones."""
    names = subprocess.run(
        ["git", "status", "--porcelain", "-z", "-uall"], cwd=root, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    return {pathlib.Path(name[3:]) for name in names if len(name) > 3}


def lines(root: pathlib.Path, file: pathlib.Path) -> list[str]:
    return (root / file).read_text(encoding="utf-8", errors="replace").split("\n")
