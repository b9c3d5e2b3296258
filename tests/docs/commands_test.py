"""Every command that README.md and docs/ show is run, and prints what they say."""

import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "support"))

import console  # noqa: E402
from node import BINARY, ROOT, Node  # noqa: E402

PAGES = [p for p in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if console.steps(p.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_commands_of_the_page_do_what_it_says(page, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    with Node(tmp_path / "node") as node:
        addresses = {"127.0.0.1:9092": node.bootstrap, "127.0.0.1:9644": f"127.0.0.1:{node.http_port}"}
        environment = {
            **os.environ, "PATH": f"{BINARY.parent}:{os.environ['PATH']}", "DLOG_BOOTSTRAP": node.bootstrap,
            "COLUMNS": "100", "LC_ALL": "C.UTF-8", "TZ": "UTC",
        }
        for command, expected in console.steps(page.read_text()):
            for default, own in addresses.items():
                command, expected = command.replace(default, own), expected.replace(default, own)
            printed = console.run(command, work, environment)
            assert console.matches(expected, printed), f"$ {command}\nsaid:\n{printed}\nand not:\n{expected}"


def test_readme_has_commands():
    assert ROOT / "README.md" in PAGES


PAGE = """
```console
$ echo one; \\
  echo two
one
tw...
$ echo 127.0.0.1:9092
127.0.0.1:9092
```
<!-- not run: it would format the disk -->
```console
$ false
```
"""


def test_a_page_is_read_as_commands_and_what_they_print():
    first, second = console.steps(PAGE)
    assert first == ("echo one; \\\n  echo two", "one\ntw...")
    assert second == ("echo 127.0.0.1:9092", "127.0.0.1:9092")


def test_a_command_that_prints_something_else_is_noticed():
    assert console.matches("one\ntw...", "one\ntwo\n")
    assert not console.matches("one\ntw...", "one\nthree\n")
    assert not console.matches("one", "one\ntwo\n")


def test_a_command_that_fails_is_noticed(tmp_path):
    with pytest.raises(AssertionError, match="ended with 3"):
        console.run("exit 3", tmp_path, dict(os.environ))
