#!/usr/bin/env python3
"""Compares the schema files with the message definitions inside Kafka's kafka-clients jar.

Every message, field, type, version range, nullability, tag, default and ignorable flag must be the same. Each
difference is printed, and the exit code is 1. The jar is $DLOG_KAFKA_CLIENTS_JAR, or the one of JAR_VERSION in the
local Maven repository. Without one, `skipped` is printed and the exit code is 0. Another version of Kafka than
JAR_VERSION differs, of course: that is how one learns what it changed.
"""

import json
import os
import re
import sys
import zipfile
from pathlib import Path

from schema_file import BUILT_IN, INTEGER_BITS, NONE, NO_UPPER_BOUND, Range, parse_files

JAR_VERSION = "4.4.0"
MESSAGES = "common/message/"


def find_jar():
    named = os.environ.get("DLOG_KAFKA_CLIENTS_JAR")
    if named:
        if not Path(named).is_file():
            sys.exit(f"DLOG_KAFKA_CLIENTS_JAR names no file: {named}")
        return Path(named)
    folder = Path.home() / ".m2/repository/org/apache/kafka/kafka-clients" / JAR_VERSION
    jar = folder / f"kafka-clients-{JAR_VERSION}.jar"
    return jar if jar.is_file() else None


def load_definitions(jar):
    """Kafka's definitions by message name. They are JSON with comment lines."""
    with zipfile.ZipFile(jar) as archive:
        names = [n for n in archive.namelist() if n.startswith(MESSAGES) and n.endswith(".json")]
        texts = [archive.read(n).decode() for n in names]
    definitions = [json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.M)) for text in texts]
    return {d["name"]: d for d in definitions}


def parse_range(text):
    if text in (None, "none"):
        return NONE
    match = re.fullmatch(r"(\d+)(?:-(\d+)|(\+))?", text)
    return Range(int(match[1]), NO_UPPER_BOUND if match[3] else int(match[2] or match[1]))


def letters(name):
    """What is left of a name when its style is taken off: ErrorCode and error_code agree."""
    return name.replace("_", "").lower()


def their_default(field, nullable):
    """Kafka's default as schema_file.py would hold it."""
    text = field.get("default")
    kind = "array" if field["type"].startswith("[]") else field["type"]
    text = None if text is None else str(text)
    if kind in INTEGER_BITS:
        return int(text or "0", 0)
    if kind == "bool":
        return (text or "false").lower() == "true"
    if kind == "float64":
        return float(text or "0")
    if kind == "records" or text == "null":
        return None
    return text or ""


class Comparison:
    def __init__(self):
        self.differences = []
        self.fields = 0

    def differ(self, where, what, ours, theirs):
        if ours != theirs:
            self.differences.append(f"{where}: {what} is {ours} here, {theirs} there")

    def message(self, message, definition):
        where = f"{message.path.name}: {message.name}"
        versions = parse_range(definition["validVersions"])
        self.differ(where, "versions", message.versions, versions)
        flexible = parse_range(definition.get("flexibleVersions")) & Range(0, versions.high)
        self.differ(where, "flexible", message.flexible, flexible)
        shared = {s["name"]: s["fields"] for s in definition.get("commonStructs", [])}
        self.struct(where, message.root, definition["fields"], message.versions, shared)

    def struct(self, where, struct, definitions, scope, shared):
        """`scope` is the versions in which Kafka's struct is on the wire."""
        present = [d for d in definitions if not (parse_range(d["versions"]) & scope).empty]
        ours = [letters(f.name) for f in struct.fields]
        theirs = [letters(d["name"]) for d in present]
        self.differ(where, "the list of fields", ours, theirs)
        by_name = {letters(d["name"]): d for d in present}
        for field in struct.fields:
            if letters(field.name) in by_name:
                self.field(f"{where}.{field.name}", field, by_name[letters(field.name)], scope, shared)

    def field(self, where, field, definition, scope, shared):
        self.fields += 1
        versions = parse_range(definition["versions"]) & scope
        nullable = parse_range(definition.get("nullableVersions")) & versions
        type_text = ("[]" if field.is_array else "") + ("int16" if field.type == "error" else field.type)
        self.differ(where, "type", type_text, definition["type"])
        # A shared struct may be used in fewer versions at one place than at another.
        self.differ(where, "versions", field.versions & scope, versions)
        self.differ(where, "nullable", field.nullable & versions, nullable)
        self.differ(where, "tag", field.tag, definition.get("tag"))
        if "tag" in definition:
            self.differ(where, "tagged versions", versions, parse_range(definition["taggedVersions"]) & scope)
        self.differ(where, "ignorable", field.ignorable, bool(definition.get("ignorable", False)))
        self.differ(where, "default", field.default, their_default(definition, nullable))
        self.differ(where, "classic", field.classic, definition.get("flexibleVersions") == "none")
        element = definition["type"].removeprefix("[]")
        if element not in BUILT_IN and field.struct is not None:
            inner = definition.get("fields") or shared.get(element, [])
            self.struct(where, field.struct, inner, versions, shared)


def compare(files, definitions):
    comparison = Comparison()
    messages = {m.name: m for schema in files for m in schema.messages()}
    apis = {api.key: api for schema in files for api in schema.apis}
    for name, definition in sorted(definitions.items()):
        if definition["validVersions"] == "none":
            api = apis.get(definition["apiKey"])
            removed = api is not None and api.versions.empty and name.startswith(api.name)
            comparison.differ(name, "being removed", removed, True)
        elif name not in messages:
            comparison.differences.append(f"{name}: it is not in the schema files")
        else:
            comparison.message(messages[name], definition)
    for name, message in messages.items():
        if name not in definitions:
            comparison.differences.append(f"{message.path.name}: {name} is not in the jar")
    for api in apis.values():
        request = definitions.get(api.name + "Request")
        if request is not None:
            comparison.differ(api.name, "api key", api.key, request["apiKey"])
            comparison.differ(api.name, "unstable", api.unstable, request.get("latestVersionUnstable", False))
    return comparison


def main():
    jar = find_jar()
    if jar is None:
        print(f"skipped: no kafka-clients {JAR_VERSION} jar at hand (set DLOG_KAFKA_CLIENTS_JAR)")
        return
    files = parse_files((Path(__file__).parent / "schema").glob("*.kafka"))
    definitions = load_definitions(jar)
    comparison = compare(files, definitions)
    for difference in comparison.differences:
        print(difference)
    if comparison.differences:
        sys.exit(f"{len(comparison.differences)} differences from {jar.name}")
    print(f"the same as {jar.name}: {len(definitions)} messages, {comparison.fields} fields")


if __name__ == "__main__":
    main()
