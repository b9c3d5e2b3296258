"""Reads DLog's message schema files (`*.kafka`, described in schema/README.md) into plain objects, checking every rule.

Shared by generate.py, which writes the C++ codec, and check_against_jar.py, which compares with Kafka's definitions.
"""

import re
from dataclasses import dataclass, field as dataclass_field
from pathlib import Path

INTEGER_BITS = {"int8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 64, "error": 16}
SCALARS = set(INTEGER_BITS) | {"bool", "float64", "uuid"}
BLOBS = {"string", "bytes", "records"}
BUILT_IN = SCALARS | BLOBS
NO_UPPER_BOUND = 32767


class SchemaError(Exception):
    """What is wrong, beginning with file:line."""


@dataclass(frozen=True)
class Range:
    """Versions low to high, both included. Empty when low > high."""

    low: int
    high: int

    def __contains__(self, version):
        return self.low <= version <= self.high

    def __and__(self, other):
        both = Range(max(self.low, other.low), min(self.high, other.high))
        return NONE if both.empty else both

    def hull(self, other):
        if self.empty:
            return other
        return self if other.empty else Range(min(self.low, other.low), max(self.high, other.high))

    def covers(self, other):
        return other.empty or (self.low <= other.low and other.high <= self.high)

    @property
    def empty(self):
        return self.low > self.high

    def versions(self):
        return range(self.low, self.high + 1)


NONE = Range(0, -1)


@dataclass
class Field:
    line: int
    name: str
    type: str  # the element's type when is_array
    is_array: bool
    written_versions: Range | None  # as in the file; None: wherever its struct exists
    written_nullable: Range | None  # as in the file; None: never null
    tag: int | None
    ignorable: bool
    classic: bool  # never in the compact form, even in a flexible version (only RequestHeader.client_id)
    default: object  # None is null; int, float, bool or str otherwise
    struct: "Struct | None" = None
    versions: Range = NONE  # filled by resolve: the versions in which it is on the wire
    nullable: Range = NONE

    @property
    def is_optional(self):
        return not self.nullable.empty or self.default is None


@dataclass
class Struct:
    line: int
    name: str
    fields: list = dataclass_field(default_factory=list)
    versions: Range = NONE  # filled by resolve: the hull of the versions of all its uses


@dataclass
class Message:
    """One struct that can stand alone: a request, a response or a record."""

    path: Path
    name: str
    versions: Range
    flexible: Range
    root: Struct
    structs: list = dataclass_field(default_factory=list)  # without the root, inner ones first
    record_id: int | None = None


@dataclass
class Api:
    path: Path
    line: int
    key: int
    name: str
    versions: Range
    flexible: Range
    unstable: bool
    request: Message | None = None
    response: Message | None = None


@dataclass
class SchemaFile:
    path: Path
    apis: list
    records: list

    def messages(self):
        pairs = [m for api in self.apis for m in (api.request, api.response) if m is not None]
        return pairs + self.records


def contains_records(field):
    return field.type == "records" or (field.struct is not None and any(map(contains_records, field.struct.fields)))


class Parser:
    def __init__(self, path):
        self.path = path
        self.line = 0
        self.file = SchemaFile(path, [], [])
        self.message = None
        self.message_depth = 0
        self.shared = {}  # name -> Struct declared by `struct`, of the current message
        self.stack = []  # (depth, Struct or None) of the open blocks
        self.pending = None  # the Field that deeper lines would describe

    def fail(self, text, line=None):
        raise SchemaError(f"{self.path}:{line or self.line}: {text}")

    def parse(self):
        for self.line, raw in enumerate(self.path.read_text().splitlines(), 1):
            text = raw.split("#", 1)[0].rstrip()
            if not text.strip():
                continue
            spaces = len(text) - len(text.lstrip(" "))
            if "\t" in text or spaces % 2:
                self.fail("indentation is two spaces a level, without tabs")
            self.statement(spaces // 2, text.split())
        self.finish_message()
        for api in self.file.apis:
            if not api.versions.empty and (api.request is None or api.response is None):
                self.fail(f"api {api.name} needs a request and a response", api.line)
        if not self.file.apis and not self.file.records:
            self.fail("no api and no record here")
        return self.file

    def statement(self, depth, words):
        if depth == 0:
            self.finish_message()
            handlers = {"api": self.api, "record": self.record, "request": self.side, "response": self.side}
            if words[0] not in handlers:
                self.fail(f"expected api, request, response or record, found '{words[0]}'")
            handlers[words[0]](words)
            return
        if self.message is None:
            self.fail("a field must stand under request, response or record")
        if words[0] == "struct" and depth == 1:
            self.shared_struct(words)
        else:
            self.field_line(depth, words)

    # Headlines

    def headline(self, words):
        """`versions R flexible R [unstable]` -> (versions, flexible, unstable)."""
        if len(words) < 4 or words[0] != "versions" or words[2] != "flexible":
            self.fail("expected 'versions RANGE flexible RANGE'")
        versions = NONE if words[1] == "none" else self.range(words[1])
        flexible = NONE if words[3] == "none" else self.range(words[3])
        if versions.high == NO_UPPER_BOUND:
            self.fail("the versions of a message need an upper bound")
        if words[4:] not in ([], ["unstable"]):
            self.fail(f"unexpected '{' '.join(words[4:])}'")
        return versions, flexible & Range(0, versions.high), bool(words[4:])

    def api(self, words):
        if len(words) < 3 or not words[1].isdigit():
            self.fail("expected 'api KEY Name versions RANGE flexible RANGE'")
        self.type_name(words[2])
        if words[3:] == ["versions", "none"]:
            words = words + ["flexible", "none"]
        versions, flexible, unstable = self.headline(words[3:])
        api = Api(self.path, self.line, int(words[1]), words[2], versions, flexible, unstable)
        self.file.apis.append(api)

    def side(self, words):
        if len(words) != 1 or not self.file.apis:
            self.fail(f"'{words[0]}' stands alone on its line, after its api")
        api = self.file.apis[-1]
        if getattr(api, words[0]) is not None:
            self.fail(f"api {api.name} has its {words[0]} already")
        if api.versions.empty:
            self.fail(f"api {api.name} has no versions, so no {words[0]}")
        name = api.name + words[0].capitalize()
        self.begin_message(Message(self.path, name, api.versions, api.flexible, Struct(self.line, name)))
        setattr(api, words[0], self.message)

    def record(self, words):
        record_id = None
        if len(words) > 1 and words[1].isdigit():
            record_id = int(words.pop(1))
        if len(words) < 2:
            self.fail("expected 'record [ID] Name versions RANGE flexible RANGE'")
        self.type_name(words[1])
        versions, flexible, unstable = self.headline(words[2:])
        if unstable or versions.empty:
            self.fail("a record has versions, and none of them is unstable")
        self.begin_message(Message(self.path, words[1], versions, flexible, Struct(self.line, words[1])))
        self.message.record_id = record_id
        self.file.records.append(self.message)

    def begin_message(self, message):
        self.message = message
        self.shared = {}
        self.stack = [(1, message.root)]
        self.pending = None

    # Fields

    def shared_struct(self, words):
        if len(words) != 2:
            self.fail("expected 'struct Name'")
        self.type_name(words[1])
        if words[1] in self.shared:
            self.fail(f"struct {words[1]} is there already")
        self.shared[words[1]] = Struct(self.line, words[1])
        self.stack = [(1, self.message.root), (2, self.shared[words[1]])]
        self.pending = None

    def field_line(self, depth, words):
        if depth == self.stack[-1][0] + 1 and self.pending is not None:
            owner = self.pending
            if owner.type in BUILT_IN:
                self.fail(f"{owner.name} is {owner.type}, so it has no fields of its own")
            owner.struct = Struct(owner.line, owner.type)
            self.stack.append((depth, owner.struct))
        while self.stack[-1][0] > depth:
            self.stack.pop()
        if self.stack[-1][0] != depth:
            self.fail("this line is indented deeper than anything above it allows")
        self.pending = self.field(words)
        siblings = self.stack[-1][1].fields
        if any(other.name == self.pending.name for other in siblings):
            self.fail(f"a field named {self.pending.name} is here already")
        siblings.append(self.pending)

    def field(self, words):
        if len(words) < 2:
            self.fail("expected 'name type …'")
        name, type_text, rest = words[0], words[1], words[2:]
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
            self.fail(f"'{name}' is not a snake_case name")
        is_array = type_text.startswith("[]")
        type_name = type_text[2:] if is_array else type_text
        if type_name not in BUILT_IN:
            self.type_name(type_name)
        if is_array and type_name in ("records", "bool", "error", "bytes"):
            self.fail(f"arrays of {type_name} are not supported")
        result = Field(self.line, name, type_name, is_array, None, None, None, False, False, "unset")
        if rest and rest[0][0].isdigit():
            result.written_versions = self.range(rest.pop(0))
        while rest:
            self.attribute(result, rest)
        self.check_default(result)
        return result

    def attribute(self, result, rest):
        word = rest.pop(0)
        if word == "nullable":
            is_range = bool(rest) and rest[0][0].isdigit()
            result.written_nullable = self.range(rest.pop(0)) if is_range else Range(0, NO_UPPER_BOUND)
        elif word == "tag":
            if not rest or not rest[0].isdigit():
                self.fail("tag needs a number")
            result.tag = int(rest.pop(0))
        elif word == "ignorable":
            result.ignorable = True
        elif word == "classic":
            result.classic = True
        elif word == "=":
            if not rest:
                self.fail("'=' needs a value")
            result.default = rest.pop(0)
            if rest:
                self.fail("the default stands last on its line")
        else:
            self.fail(f"unknown attribute '{word}'")

    def check_default(self, f):
        text, kind = f.default, "array" if f.is_array else f.type
        if text == "null":
            if f.written_nullable is None:
                self.fail(f"{f.name} is never nullable, so null cannot be its default")
            f.default = None
        elif text == "unset":
            zero = {"bool": False, "float64": 0.0, "string": "", "records": None}
            f.default = 0 if kind in INTEGER_BITS else zero.get(kind, "")
        elif kind in INTEGER_BITS:
            f.default = self.integer_default(f, text)
        elif kind == "bool" and text in ("true", "false"):
            f.default = text == "true"
        else:
            self.fail(f"'{text}' cannot be the default of a field of type {kind}")
        if f.written_nullable is not None and (kind in SCALARS):
            self.fail(f"a field of type {kind} cannot be null")
        if f.classic and kind != "string":
            self.fail("only a string can be classic")

    def integer_default(self, f, text):
        try:
            value = int(text, 0)
        except ValueError:
            self.fail(f"'{text}' is not an integer")
        bits = INTEGER_BITS[f.type]
        low, high = (0, 1 << bits) if f.type.startswith("u") else (-(1 << bits - 1), 1 << bits - 1)
        if not low <= value < high:
            self.fail(f"{value} does not fit {f.type}")
        return value

    def type_name(self, name):
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name):
            self.fail(f"'{name}' is neither a type nor a CamelCase name")

    def range(self, text):
        match = re.fullmatch(r"(\d+)(?:-(\d+)|(\+))?", text)
        if not match:
            self.fail(f"'{text}' is not a version range (as 3, 3-5 or 3+)")
        low = int(match[1])
        high = NO_UPPER_BOUND if match[3] else int(match[2] or low)
        if low > high:
            self.fail(f"the range {text} is empty")
        return Range(low, high)

    # Names and versions

    def finish_message(self):
        message, self.message = self.message, None
        if message is None:
            return
        self.uses = set()
        self.collected = {}
        self.resolve(message, message.root, message.versions, ())
        message.structs = list(self.collected.values())
        for name, struct in self.shared.items():
            if name not in self.collected:
                self.fail(f"struct {name} is never used", struct.line)
        for struct in [message.root, *message.structs]:
            self.check_struct(message, struct)

    def resolve(self, message, struct, versions, path):
        """Fills the versions of a struct's fields and of what they contain; collects the structs, inner ones first."""
        if struct.name in path:
            self.fail(f"struct {struct.name} contains itself", struct.line)
        struct.versions = struct.versions.hull(versions)
        for f in struct.fields:
            written = f.written_versions or Range(0, NO_UPPER_BOUND)
            f.versions = written & struct.versions
            f.nullable = (f.written_nullable or NONE) & f.versions
            if f.versions.empty:
                self.fail(f"{f.name} exists in no version of {struct.name} ({versions.low}-{versions.high})", f.line)
            if f.type in BUILT_IN:
                continue
            if f.struct is None:
                f.struct = self.shared.get(f.type)
            if f.struct is None:
                self.fail(f"no struct {f.type}: give its fields below {f.name}, or a 'struct {f.type}'", f.line)
            self.resolve(message, f.struct, f.versions, (*path, struct.name))
            if self.collected.setdefault(f.type, f.struct) is not f.struct or f.type == message.name:
                self.fail(f"two structs named {f.type}", f.line)

    def check_struct(self, message, struct):
        if not struct.fields and struct is not message.root:
            self.fail(f"struct {struct.name} has no fields", struct.line)
        tagged = [f for f in struct.fields if f.tag is not None]
        for f in tagged:
            if not message.flexible.covers(f.versions):
                self.fail(f"{f.name} is tagged in a version that is not flexible", f.line)
            if contains_records(f):
                self.fail(f"{f.name}: nothing tagged can contain records", f.line)
        if sorted(f.tag for f in tagged) != list(range(len(tagged))):
            self.fail(f"the tags of {struct.name} must be 0, 1, 2, … without gaps", struct.line)


def parse_file(path):
    return Parser(Path(path)).parse()


def parse_files(paths):
    """All files, with the names, keys and ids checked for being unique."""
    files = [parse_file(path) for path in sorted(map(Path, paths))]
    seen = {}
    for schema in files:
        for api in schema.apis:
            if seen.setdefault(("api key", api.key), api) is not api:
                raise SchemaError(f"{api.path}:{api.line}: the api key {api.key} is taken")
        for message in schema.messages():
            keys = [("name", message.name)]
            if message.record_id is not None:
                keys.append(("record id", message.record_id))
            for key in keys:
                if seen.setdefault(key, message) is not message:
                    raise SchemaError(f"{message.path}:{message.root.line}: the {key[0]} {key[1]} is taken")
    return files
