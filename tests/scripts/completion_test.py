"""The completion scripts in the shells that they are for."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from node import BINARY  # noqa: E402

BASH = """
source <(dlog completion bash)
COMP_WORDS=(%s) COMP_CWORD=%d
_dlog
printf '%%s\\n' "${COMPREPLY[@]}"
"""

# What zsh's own functions would be asked to offer, without a terminal to offer it on.
ZSH = """
autoload -U compinit; compinit -u -D
source <(dlog completion zsh)
compadd() { print -rl -- "$@" }
_arguments() { print -rl -- "$@" }
words=(%s) CURRENT=%d
_dlog
"""

FISH = """
dlog completion fish | source
complete -C '%s'
"""


def offered(shell: str, words: list[str]) -> str:
    """What the shell offers for the last of the words."""
    quoted = " ".join(f"'{word}'" for word in words)
    command = {
        "bash": ["bash", "-c", BASH % (quoted, len(words) - 1)],
        "zsh": ["zsh", "-f", "-c", ZSH % (quoted, len(words))],
        "fish": ["fish", "--no-config", "-c", FISH % " ".join(words)],
    }[shell]
    environment = {**os.environ, "PATH": f"{BINARY.parent}:{os.environ['PATH']}", "TERM": "dumb"}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert ran.returncode == 0 and not ran.stderr, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    "words, expected",
    [
        (["dlog", "pro"], "produce"),
        (["dlog", "topic", "cr"], "create"),
        (["dlog", "topic", "create", "--part"], "--partitions"),
        (["dlog", "produce", "--compr"], "--compression"),
        (["dlog", "completion", "fi"], "fish"),
    ],
)
def test_the_shell_offers_what_can_follow(shell: str, words: list[str], expected: str):
    assert expected in offered(shell, words)
