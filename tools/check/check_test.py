"""Each check finds a planted breach, and finds nothing in a tree without one."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import form  # noqa: E402
import layers  # noqa: E402
import paths  # noqa: E402
import ratchets  # noqa: E402
import rooms  # noqa: E402
import tidy  # noqa: E402

LAYERS = """
base:
log: base
@pure log
@banned thread sys/
@owner zlib.h base
@owner boost/ base
@tests doctest/doctest.h
@owner doctest/ base
@public include
"""
CLEAN = "/// A word.\n#pragma once\n\nint word();\n"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A small house: two rooms, their READMEs, a map."""
    (tmp_path / "layers.txt").write_text(LAYERS)
    write(tmp_path, "docs/architecture.md", "| floor | room | what |\n| 0 | `base/` | words |\n| 1 | `log/` | logs |\n")
    for room in ("base", "log"):
        write(tmp_path, f"src/{room}/README.md", f"# {room}\n")
        write(tmp_path, f"src/{room}/word.h", CLEAN)
    shutil.copy(HERE.parents[1] / ".clang-format", tmp_path / ".clang-format")
    shutil.copy(HERE.parents[1] / ".clang-tidy", tmp_path / ".clang-tidy")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def write(tree, name, text):
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(text)


def only(problems, *words):
    assert len(problems) == 1, problems
    for word in words:
        assert word in problems[0]


@pytest.mark.parametrize("check", [layers, ratchets, rooms, paths, form])
def test_a_clean_tree_has_no_problem(tree, check):
    assert check.check(tree) == []


def test_an_upward_include_is_found(tree):
    write(tree, "src/base/up.h", '#include "log/word.h"\n')
    only(layers.check(tree), "src/base/up.h:1", "does not let base include log")


def test_a_public_header_sees_only_public_headers_and_the_standard_library(tree):
    write(tree, "include/dlog/word.h", '#include <string_view>\n\n#include "dlog/text.h"\n')
    assert layers.check(tree) == []
    write(tree, "include/dlog/word.h", '#include "base/word.h"\n')
    only(layers.check(tree), "include/dlog/word.h:1", "includes base/word.h")
    write(tree, "include/dlog/word.h", "#include <unistd.h>\n")
    only(layers.check(tree), "includes unistd.h")


def test_a_downward_include_is_allowed(tree):
    write(tree, "src/log/down.h", '#include "base/word.h"\n')
    assert layers.check(tree) == []


@pytest.mark.parametrize("header", ["thread", "sys/socket.h"])
def test_a_banned_header_in_a_pure_room_is_found(tree, header):
    write(tree, "src/log/impure.h", f"#include <{header}>\n")
    only(layers.check(tree), "impure.h:1", "pure room")


def test_a_banned_header_in_another_room_is_allowed(tree):
    write(tree, "src/base/threads.h", "#include <thread>\n")
    assert layers.check(tree) == []


@pytest.mark.parametrize("header", ["zlib.h", "boost/asio.hpp"])
def test_a_third_party_header_outside_its_room_is_found(tree, header):
    write(tree, "src/log/foreign.h", f"#include <{header}>\n")
    only(layers.check(tree), "foreign.h:1", "belongs to base alone")


def test_a_third_party_header_without_an_owner_is_found(tree):
    write(tree, "src/log/foreign.h", "#include <openssl/ssl.h>\n")
    only(layers.check(tree), "no owner")


def test_a_test_may_include_doctest(tree):
    write(tree, "src/log/word_test.cc", "#include <doctest/doctest.h>\n")
    assert layers.check(tree) == []


def test_a_room_without_a_line_is_found(tree):
    write(tree, "src/attic/word.h", CLEAN)
    assert any("attic" in problem for problem in layers.check(tree))


def test_layers_that_point_upward_are_found(tree):
    write(tree, "layers.txt", LAYERS.replace("base:", "base: log"))
    assert any("does not stand below" in problem for problem in layers.check(tree))


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("src/log/long.cc", "\n" * 1201, "the limit is 1200"),
        ("src/log/long.h", "\n" * 301, "the limit is 300"),
        ("src/log/wide.cc", "/" * 101 + "\n", "the limit is 100"),
        ("src/log/blank.cc", "int x; \n", "ends in a blank"),
    ],
)
def test_a_breach_of_a_ratchet_is_found(tree, name, text, words):
    write(tree, name, text)
    only(ratchets.check(tree), name, words)


def test_a_room_without_a_readme_is_found(tree):
    (tree / "src/log/README.md").unlink()
    only(rooms.check(tree), "src/log", "no README.md")


def test_a_readme_that_is_too_long_is_found(tree):
    write(tree, "src/log/README.md", "x\n" * 41)
    only(rooms.check(tree), "41 lines")


def test_a_room_missing_from_the_map_is_found(tree):
    write(tree, "docs/architecture.md", "| 0 | `base/` | words |\n")
    only(rooms.check(tree), "does not list the room log")


def test_a_room_on_the_map_that_does_not_exist_is_found(tree):
    with (tree / "docs/architecture.md").open("a") as file:
        file.write("| 2 | `attic/` | nothing |\n")
    only(rooms.check(tree), "lists the room attic")


@pytest.mark.parametrize("path", ["/ro" + "ot/.cache", "/wo" + "rk/main", "/ho" + "me/someone"])
def test_a_machine_path_is_found(tree, path):
    write(tree, "docs/note.md", f"see {path} for more\n")
    only(paths.check(tree), "docs/note.md:1")


def test_a_file_that_is_not_formatted_is_found(tree):
    write(tree, "src/log/ugly.cc", "int   x  ;\n")
    only(form.check(tree), "src/log/ugly.cc")


TIDY_BREACHES = {
    "bugprone-use-after-move": "#include <string>\n#include <utility>\nvoid eat(std::string);\n"
    "unsigned long f(std::string text) {\n    eat(std::move(text));\n    return text.size();\n}\n",
    "readability-function-size": "void f(int a, int b, int c, int d, int e, int g, int h);\n"
    "void f(int a, int b, int c, int d, int e, int g, int h) {\n    a = b + c + d + e + g + h;\n}\n",
    "readability-identifier-naming": "enum class Colour { red };\n",
    "bugprone-unused-return-value": "#include <expected>\nstd::expected<int, int> f();\nvoid g() {\n    f();\n}\n",
    "cppcoreguidelines-avoid-reference-coroutine-parameters": "#include <coroutine>\nstruct Task {\n"
    "    struct promise_type {\n        Task get_return_object();\n        std::suspend_never initial_suspend();\n"
    "        std::suspend_never final_suspend() noexcept;\n        void return_void();\n"
    "        void unhandled_exception();\n    };\n};\nTask f(const int& x) {\n    (void)x;\n    co_return;\n}\n",
}


@pytest.fixture
def tidy_tree(tree, monkeypatch):
    monkeypatch.setenv("DLOG_BUILD", str(tree / "build"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tree / "cache"))
    monkeypatch.setattr(tidy, "changed_only", False)
    return tree


def compiled(tree, name, text):
    """A tree with one file and the compile database that a build would leave."""
    write(tree, name, text)
    command = f"clang++-19 -std=c++23 -c {tree / name}"
    entry = f'[{{"directory": "{tree}", "file": "{tree / name}", "command": "{command}"}}]'
    write(tree, "build/release/compile_commands.json", entry)


@pytest.mark.parametrize("rule", TIDY_BREACHES)
def test_clang_tidy_finds_the_breach(tidy_tree, rule):
    compiled(tidy_tree, "src/log/bad.cc", TIDY_BREACHES[rule])
    assert any(rule in problem for problem in tidy.check(tidy_tree))


def test_a_coroutine_may_borrow_a_service(tidy_tree):
    breach = TIDY_BREACHES["cppcoreguidelines-avoid-reference-coroutine-parameters"]
    compiled(tidy_tree, "src/log/good.cc", breach.replace("const int& x", "int& x"))
    assert tidy.check(tidy_tree) == []


def test_clang_tidy_remembers_a_clean_file_and_looks_again_when_it_changes(tidy_tree, monkeypatch):
    looked = []
    examine = tidy.examine
    monkeypatch.setattr(tidy, "examine", lambda *args: (looked.append(1), examine(*args))[1])
    compiled(tidy_tree, "src/log/good.cc", "int word() {\n    return 1;\n}\n")
    assert tidy.check(tidy_tree) == [] and tidy.check(tidy_tree) == []
    assert len(looked) == 1
    compiled(tidy_tree, "src/log/good.cc", TIDY_BREACHES["readability-identifier-naming"])
    assert len(tidy.check(tidy_tree)) == 1
    assert len(tidy.check(tidy_tree)) == 1, "a finding is not remembered as clean"


def test_the_command_fails_when_a_check_does(tree):
    write(tree, "src/log/long.h", "\n" * 301)
    command = [sys.executable, str(HERE / "check.py"), "--root", str(tree), "ratchets"]
    assert subprocess.run(command, capture_output=True, env=os.environ).returncode == 1
