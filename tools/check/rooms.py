"""Each folder of src/ has a short README, a line in layers.txt and one in docs/architecture.md, which has no other."""

import pathlib
import re

import tree

README_LINES = 40
ROW = re.compile(r"^\|[^|]*\|\s*`([a-z]+)/?`\s*\|")


def check(root: pathlib.Path) -> list[str]:
    problems = []
    rooms = sorted({f.parts[1] for f in tree.files(root, ".cc", ".h", under="src") if len(f.parts) > 2})
    layers = (root / "layers.txt").read_text()
    for room in rooms:
        readme = root / "src" / room / "README.md"
        if not readme.exists():
            problems.append(f"src/{room}: has no README.md")
        elif (count := readme.read_text().count("\n")) > README_LINES:
            problems.append(f"src/{room}/README.md: {count} lines, the limit is {README_LINES}")
        if not re.search(rf"^{room}:", layers, re.MULTILINE):
            problems.append(f"layers.txt: has no line for the room {room}")
    map_file = root / "docs" / "architecture.md"
    listed = [m[1] for line in map_file.read_text().split("\n") if (m := ROW.match(line))] if map_file.exists() else []
    for room in sorted(set(rooms) - set(listed)):
        problems.append(f"docs/architecture.md: does not list the room {room}")
    for room in sorted(set(listed) - set(rooms)):
        problems.append(f"docs/architecture.md: lists the room {room}, which does not exist")
    for room in sorted({room for room in listed if listed.count(room) > 1}):
        problems.append(f"docs/architecture.md: lists the room {room} twice")
    return problems
