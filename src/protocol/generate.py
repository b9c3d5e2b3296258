#!/usr/bin/env python3
"""Generates the C++ codec (structs, decode, encode for every version) from message schema files.

  generate.py codec --room protocol --out DIR --groups N FILE.kafka...
      writes DIR/<file>.h for each schema file and DIR/messages_<n>.cc with their codecs; where there are APIs, also
      DIR/api_key.h and DIR/api_table.h.
  generate.py cases --room protocol --out DIR --groups N FILE.kafka...
      writes DIR/cases_<n>.cc and DIR/cases.cc: every message with a filler of random values, for tests.

A file is only written when its content changes. Python 3 standard library only; the format is in schema/README.md.
"""

import argparse
import re
import sys
from pathlib import Path

from schema_file import INTEGER_BITS, NO_UPPER_BOUND, SCALARS, SchemaError, parse_files

CPP_SCALARS = {
    "bool": "bool", "int8": "std::int8_t", "int16": "std::int16_t", "uint16": "std::uint16_t",
    "int32": "std::int32_t", "uint32": "std::uint32_t", "int64": "std::int64_t", "float64": "double",
    "uuid": "TopicId", "error": "protocol::ErrorCode",
}
CPP_BLOBS = {"string": "std::string", "bytes": "protocol::Bytes", "records": "protocol::Records"}
SCALAR_SIZES = {"bool": 1, "float64": 8, "uuid": 16} | {name: bits // 8 for name, bits in INTEGER_BITS.items()}
CPP_KEYWORDS = {
    "and", "auto", "bool", "break", "case", "catch", "char", "class", "const", "continue", "default", "delete", "do",
    "double", "else", "enum", "explicit", "export", "extern", "false", "float", "for", "friend", "goto", "if",
    "inline", "int", "long", "namespace", "new", "not", "operator", "or", "private", "protected", "public",
    "register", "requires", "return", "short", "signed", "sizeof", "static", "struct", "switch", "template", "this",
    "throw", "true", "try", "typedef", "typename", "union", "unsigned", "using", "virtual", "void", "volatile",
    "while", "xor", "encode", "decode",
}


# Names and types


def snake_case(name):
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()


def member(field):
    return field.name + "_" if field.name in CPP_KEYWORDS else field.name


def struct_type(message, struct):
    """The name of a struct as the codec's functions see it."""
    return message.name if struct is message.root else f"{parts_namespace(message)}::{struct.name}"


def parts_namespace(message):
    """Where the structs inside a message are declared; the message has an alias for each."""
    return snake_case(message.name) + "_parts"


def element_type(field):
    return CPP_SCALARS.get(field.type) or CPP_BLOBS.get(field.type) or field.type


def plain_type(field):
    return f"std::vector<{element_type(field)}>" if field.is_array else element_type(field)


def is_cpp_optional(field):
    return field.is_optional and (field.is_array or field.type != "records")


def integer_literal(field):
    if field.default == -(1 << INTEGER_BITS[field.type] - 1) and field.type.startswith("int"):
        return field.type.upper() + "_MIN"
    return str(field.default)


def declaration(field):
    if is_cpp_optional(field):
        initial = "" if field.default is None else f" = {plain_type(field)}()"
        return f"std::optional<{plain_type(field)}> {member(field)}{initial};"
    if field.is_array or field.type not in SCALARS - {"uuid"}:
        return f"{plain_type(field)} {member(field)};"
    if field.type == "error":
        initial = f"static_cast<protocol::ErrorCode>({field.default})"
        initial = initial if field.default else "protocol::ErrorCode::kNone"
    elif field.type == "bool":
        initial = "true" if field.default else "false"
    else:
        initial = str(field.default) if field.type == "float64" else integer_literal(field)
    return f"{plain_type(field)} {member(field)} = {initial};"


def differs_from_default(field, x="x"):
    """A C++ condition: the member's value is not the schema's default."""
    name = f"{x}.{member(field)}"
    if is_cpp_optional(field):
        return f"{name}.has_value()" if field.default is None else f"(!{name} || !{name}->empty())"
    if field.is_array or field.type in ("string", "bytes"):
        return f"!{name}.empty()"
    if field.type == "records":
        return f"!{name}.is_null()"
    if field.type == "uuid":
        return f"!{name}.is_zero()"
    if field.type == "bool":
        return f"!{name}" if field.default else name
    if field.type == "error":
        return f"static_cast<std::int16_t>({name}) != {field.default}"
    if field.type in SCALARS:
        return f"{name} != {str(field.default) if field.type == 'float64' else integer_literal(field)}"
    return f"!({name} == {name_of_type_of(name)})"


def name_of_type_of(name):
    return f"std::remove_cvref_t<decltype({name})>{{}}"


# Versions


def condition(versions, within):
    """A C++ condition that `v`, known to lie in `within`, lies in `versions`; '' when it always does."""
    if versions.covers(within):
        return ""
    versions = versions & within
    if versions.empty:
        return "false"
    if versions.low == versions.high:
        return f"v == {versions.low}"
    parts = []
    if versions.low > within.low:
        parts.append(f"v >= {versions.low}")
    if versions.high < within.high:
        parts.append(f"v <= {versions.high}")
    return " && ".join(parts)


def flag(versions, within):
    return condition(versions, within) or "true"


def compact(message, struct, field=None):
    """The C++ expression for whether a field of the struct has the compact form."""
    if field is not None and field.classic:
        return "false"
    text = flag(message.flexible, field.versions if field is not None else struct.versions)
    return text if text in ("true", "false") else "compact"


def smallest_size(message, struct, version):
    """The least number of bytes that the struct takes in this version."""
    is_flexible = version in message.flexible
    total = 1 if is_flexible else 0
    for f in struct.fields:
        if version not in f.versions or f.tag is not None:
            continue
        if f.is_array or f.type in ("bytes", "records"):
            total += 1 if is_flexible else 4
        elif f.type == "string":
            total += 1 if is_flexible and not f.classic else 2
        elif f.type in SCALARS:
            total += SCALAR_SIZES[f.type]
        else:
            total += 1 if version in f.nullable else smallest_size(message, f.struct, version)
    return total


def smallest_size_in_any_version(message, struct):
    return max(1, min(smallest_size(message, struct, version) for version in struct.versions.versions()))


# Headers


class Lines(list):
    def __call__(self, *lines):
        self.extend(lines)

    def text(self):
        return "\n".join(self) + "\n"


def banner(schema):
    return f"/// Generated from {schema.path.parent.parent.name}/schema/{schema.path.name}; edit that instead."


def members_and_equality(out, name, fields, indent):
    for f in fields:
        out(f"{indent}{declaration(f)}")
    if fields:
        out("")
    out(f"{indent}bool operator==(const {name}&) const = default;")


def emit_message_header(out, message, api):
    if message.structs:
        out(f"namespace {parts_namespace(message)} {{", "")
        for struct in message.structs:
            out(f"struct {struct.name} {{")
            members_and_equality(out, struct.name, struct.fields, "    ")
            out("};", "")
        out("}", "")
    if api is not None and message is api.request:
        out(f"struct {api.response.name};", "")
    out(f"struct {message.name} {{")
    for struct in message.structs:
        out(f"    using {struct.name} = {parts_namespace(message)}::{struct.name};")
    if api is not None and message is api.request:
        out(f"    using Response = {api.response.name};")
    out(f'    static constexpr std::string_view kName = "{message.name}";')
    if api is not None:
        out(f"    static constexpr protocol::ApiKey kKey = protocol::ApiKey::k{api.name};")
    if message.record_id is not None:
        out(f"    static constexpr std::int16_t kId = {message.record_id};")
    first_flexible = NO_UPPER_BOUND if message.flexible.empty else message.flexible.low
    out(f"    static constexpr std::int16_t kLowestVersion = {message.versions.low};",
        f"    static constexpr std::int16_t kHighestVersion = {message.versions.high};",
        f"    static constexpr std::int16_t kFirstFlexibleVersion = {first_flexible};", "")
    for f in message.root.fields:
        out(f"    {declaration(f)}")
    result = "[[nodiscard]] {0}protocol::Result<{1}> {2};"
    out("" if message.root.fields else None,
        "    " + result.format("static ", message.name, "decode(protocol::Reader& reader, std::int16_t version)"),
        "    " + result.format("", "void", "encode(protocol::Writer& writer, std::int16_t version) const"),
        f"    bool operator==(const {message.name}&) const = default;", "};", "")
    while None in out:
        out.remove(None)


def emit_header(schema, room):
    out = Lines()
    api_of = {id(m): api for api in schema.apis for m in (api.request, api.response)}
    out(banner(schema), "#pragma once", "", "#include <cstdint>", "#include <optional>", "#include <string>",
        "#include <string_view>", "#include <vector>", "", '#include "base/ids.h"',
        '#include "protocol/error_code.h"')
    if schema.apis:
        out(f'#include "{room}/messages/api_key.h"')
    out('#include "protocol/types.h"', "", "namespace dlog::protocol {", "class Reader;", "class Writer;", "}", "",
        f"namespace dlog::{room} {{", "")
    for message in schema.messages():
        emit_message_header(out, message, api_of.get(id(message)))
    out(f"}}  // namespace dlog::{room}")
    return out.text()


def emit_api_key(files, room):
    apis = sorted((api for schema in files for api in schema.apis), key=lambda api: api.key)
    out = Lines()
    out("/// Generated from the schema files; edit those instead.", "#pragma once", "", "#include <cstdint>", "",
        f"namespace dlog::{room} {{", "", "enum class ApiKey : std::int16_t {")
    for api in apis:
        out(f"    k{api.name} = {api.key},")
    out("};", "", f"}}  // namespace dlog::{room}")
    return out.text()


def emit_api_table(files, room):
    apis = sorted((api for schema in files for api in schema.apis), key=lambda api: api.key)
    out = Lines()
    out("/// Generated from the schema files; edit those instead.", "#pragma once", "", f'#include "{room}/api_info.h"',
        "", f"namespace dlog::{room} {{", "", "/// Every API in the order of the keys.",
        "inline constexpr ApiInfo kApis[] = {")
    for api in apis:
        first_flexible = NO_UPPER_BOUND if api.flexible.empty else api.flexible.low
        out(f'    {{ApiKey::k{api.name}, "{api.name}", {api.versions.low}, {api.versions.high}, {first_flexible}, '
            f'{"true" if api.unstable else "false"}}},')
    out("};", "", f"}}  // namespace dlog::{room}")
    return out.text()


# Codecs


def read_statement(message, struct, f):
    name = f"x.{member(f)}"
    form = compact(message, struct, f)
    null = f", {flag(f.nullable, f.versions)}" if f.is_optional else ""
    if f.struct is not None:
        if f.is_array:
            least = smallest_size_in_any_version(message, f.struct)
            return f"r.structs({name}, {form}{null}, {least}, v, read);"
        return f"r.nullable_struct({name}{null}, v, read);" if f.is_optional else f"read(r, v, {name});"
    if f.is_array:
        return f"r.array({name}, {form}{null});"
    if f.type == "records":
        return f"r.records({name}, {form}, {flag(f.nullable, f.versions)});"
    if f.type in SCALARS:
        return f"r.read({name});"
    return f"r.{f.type}({name}, {form}{null});"


def write_statement(message, struct, f):
    name = f"x.{member(f)}"
    form = compact(message, struct, f)
    null = f", {flag(f.nullable, f.versions)}" if f.is_optional else ""
    if f.struct is not None:
        if f.is_array:
            return f"w.structs({name}, {form}{null}, v, write);"
        return f"w.nullable_struct({name}{null}, v, write);" if f.is_optional else f"write(w, v, {name});"
    if f.is_array:
        return f"w.array({name}, {form}{null});"
    if f.type == "records":
        return f"w.records({name}, {form}, {flag(f.nullable, f.versions)});"
    if f.type in SCALARS:
        return f"w.write({name});"
    return f"w.{f.type}({name}, {form}{null});"


def absent_statement(message, struct, f):
    """What encoding does about a field in a version that lacks it, or None."""
    if f.ignorable:
        return None
    return (f"if ({differs_from_default(f)}) "
            f'w.fail(protocol::Fault::kFieldNotInVersion, "{struct_label(message, struct)}.{f.name}");')


def struct_label(message, struct):
    return message.name if struct is message.root else f"{message.name}.{struct.name}"


def blocks(struct, fields):
    """Neighbouring fields that exist in the same versions, as (condition, fields)."""
    result = []
    for f in fields:
        text = condition(f.versions, struct.versions)
        if result and result[-1][0] == text:
            result[-1][1].append(f)
        else:
            result.append((text, [f]))
    return result


def emit_reader(out, message, struct):
    name = struct_type(message, struct)
    out(f"void read([[maybe_unused]] Reader& r, [[maybe_unused]] std::int16_t v, [[maybe_unused]] {name}& x) {{")
    if compact(message, struct) == "compact":
        out(f"    const bool compact = {flag(message.flexible, struct.versions)};")
    for text, fields in blocks(struct, [f for f in struct.fields if f.tag is None]):
        indent = "        " if text else "    "
        if text:
            out(f"    if ({text}) {{")
        out(*(indent + read_statement(message, struct, f) for f in fields))
        if text:
            out("    }")
    form = compact(message, struct)
    tagged = [f for f in struct.fields if f.tag is not None]
    if form != "false" and not tagged:
        out("    r.skip_tags();" if form == "true" else "    if (compact) r.skip_tags();")
    elif form != "false":
        if form == "compact":
            out("    if (!compact) return;")
        out("    TaggedFields fields(r);", "    while (fields.next()) {", "        switch (fields.tag()) {")
        for f in tagged:
            text = condition(f.versions, struct.versions & message.flexible)
            out(f"            case {f.tag}:")
            if text:
                out(f"                if (!({text})) {{", "                    fields.skip();",
                    "                    break;", "                }")
            out(f"                {read_statement(message, struct, f)}", "                break;")
        out("            default:", "                fields.skip();", "        }", "    }")
    out("}", "")


def emit_writer(out, message, struct):
    name = struct_type(message, struct)
    out(f"void write([[maybe_unused]] Writer& w, [[maybe_unused]] std::int16_t v, "
        f"[[maybe_unused]] const {name}& x) {{")
    form = compact(message, struct)
    if form == "compact":
        out(f"    const bool compact = {flag(message.flexible, struct.versions)};")
    for text, fields in blocks(struct, [f for f in struct.fields if f.tag is None]):
        writes = [write_statement(message, struct, f) for f in fields]
        if not text:
            out(*("    " + line for line in writes))
            continue
        out(f"    if ({text}) {{", *("        " + line for line in writes))
        refusals = [line for f in fields if (line := absent_statement(message, struct, f))]
        if refusals:
            out("    } else {", *("        " + line for line in refusals))
        out("    }")
    tagged = sorted((f for f in struct.fields if f.tag is not None), key=lambda f: f.tag)
    for f in tagged:
        text = condition(f.versions, struct.versions)
        refusal = absent_statement(message, struct, f)
        if text and refusal:
            out(f"    if (!({text})) {{", "        " + refusal, "    }")
    if form != "false" and not tagged:
        out("    w.no_tags();" if form == "true" else "    if (compact) w.no_tags();")
    elif form != "false":
        if form == "compact":
            out("    if (!compact) return;")
        out("    const std::size_t tags = w.begin_tags();")
        for f in tagged:
            text = condition(f.versions, struct.versions & message.flexible)
            test = f"{text} && {differs_from_default(f)}" if text else differs_from_default(f)
            out(f"    if ({test}) {{", f"        const std::size_t begin = w.begin_tag(tags, {f.tag});",
                f"        {write_statement(message, struct, f)}", "        w.end_tag(begin);", "    }")
    out("}", "")


def emit_codec(files, room):
    out = Lines()
    out("/// Generated from the schema files; edit those instead.", '#include "protocol/generated.h"')
    out(*(f'#include "{room}/messages/{schema.path.stem}.h"' for schema in files))
    out("", f"namespace dlog::{room} {{", "", "using protocol::Reader;", "using protocol::TaggedFields;",
        "using protocol::Writer;", "", "namespace {", "")
    messages = [m for schema in files for m in schema.messages()]
    for message in messages:
        for struct in [*message.structs, message.root]:
            emit_reader(out, message, struct)
            emit_writer(out, message, struct)
    out("}  // namespace", "")
    for message in messages:
        out(f"protocol::Result<{message.name}> {message.name}::decode(Reader& r, std::int16_t v) {{",
            f"    return protocol::decode_message<{message.name}>(r, v, read);", "}",
            f"protocol::Result<void> {message.name}::encode(Writer& w, std::int16_t v) const {{",
            "    return protocol::encode_message(w, v, *this, write);", "}", "")
    out(f"}}  // namespace dlog::{room}")
    return out.text()


# Cases for tests


def fill_statement(f):
    name = f"x.{member(f)}"
    null = flag(f.nullable, f.versions)
    optional = is_cpp_optional(f)
    if f.struct is not None and f.is_array:
        return f"fill_structs(random, {name}{', ' + null if optional else ''}, v, fill);"
    if f.struct is not None:
        return f"fill_struct(random, {name}, {null}, v, fill);" if optional else f"fill(random, v, {name});"
    if f.type == "records" or optional:
        return f"fill_value(random, {name}, {null});"
    return f"fill_value(random, {name});"


def emit_cases(files, room, number):
    out = Lines()
    out("/// Generated from the schema files; edit those instead.", '#include "protocol/message_case.h"')
    out(*(f'#include "{room}/messages/{schema.path.stem}.h"' for schema in files))
    out("", f"namespace dlog::{room} {{", "", "namespace {", "")
    messages = [m for schema in files for m in schema.messages()]
    for message in messages:
        for struct in [*message.structs, message.root]:
            out("void fill([[maybe_unused]] Random& random, [[maybe_unused]] std::int16_t v, "
                f"[[maybe_unused]] {struct_type(message, struct)}& x) {{")
            for f in struct.fields:
                often = "" if f.tag is None else "random.chance(1, 2)"
                test = " && ".join(part for part in [condition(f.versions, struct.versions), often] if part)
                out(f"    if ({test}) {fill_statement(f)}" if test else f"    {fill_statement(f)}")
            out("}", "")
    out("}  // namespace", "")
    out(f"void add_cases_{number}(std::vector<protocol::MessageCase>& cases) {{")
    out(*(f"    cases.push_back(protocol::case_of<{m.name}, fill>());" for m in messages))
    out("}", "", f"}}  // namespace dlog::{room}")
    return out.text()


def emit_case_list(count, room):
    out = Lines()
    out("/// Generated from the schema files; edit those instead.", '#include "protocol/message_case.h"', "",
        f"namespace dlog::{room} {{", "")
    out(*(f"void add_cases_{n}(std::vector<protocol::MessageCase>& cases);" for n in range(count)))
    out("", "std::vector<protocol::MessageCase> message_cases() {",
        "    std::vector<protocol::MessageCase> cases;")
    out(*(f"    add_cases_{n}(cases);" for n in range(count)))
    out("    return cases;", "}", "", f"}}  // namespace dlog::{room}")
    return out.text()


# Files


def weight(schema):
    return 1 + sum(len(s.fields) for m in schema.messages() for s in [*m.structs, m.root])


def grouped(files, count):
    """The files in `count` groups of about the same weight; the same files always give the same groups."""
    groups = [[] for _ in range(count)]
    for schema in sorted((f for f in files if f.messages()), key=lambda f: (-weight(f), f.path.name)):
        min(groups, key=lambda group: sum(map(weight, group))).append(schema)
    return [sorted(group, key=lambda f: f.path.name) for group in groups]


def write_if_changed(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["codec", "cases"])
    parser.add_argument("--room", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    try:
        files = parse_files(options.files)
    except SchemaError as error:
        sys.exit(f"{error}")
    options.out.mkdir(parents=True, exist_ok=True)
    groups = grouped(files, options.groups)
    if options.what == "cases":
        for number, group in enumerate(groups):
            write_if_changed(options.out / f"cases_{number}.cc", emit_cases(group, options.room, number))
        write_if_changed(options.out / "cases.cc", emit_case_list(len(groups), options.room))
        return
    for schema in files:
        write_if_changed(options.out / f"{schema.path.stem}.h", emit_header(schema, options.room))
    for number, group in enumerate(groups):
        write_if_changed(options.out / f"messages_{number}.cc", emit_codec(group, options.room))
    if any(schema.apis for schema in files):
        write_if_changed(options.out / "api_key.h", emit_api_key(files, options.room))
        write_if_changed(options.out / "api_table.h", emit_api_table(files, options.room))


if __name__ == "__main__":
    main()
