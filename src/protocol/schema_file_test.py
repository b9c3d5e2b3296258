#!/usr/bin/env python3
"""Tests of the schema parser: what it understands, and that each mistake is told with its line."""

import tempfile
import unittest
from pathlib import Path

from schema_file import NONE, Range, SchemaError, parse_file, parse_files

HEAD = "api 1 Fetch versions 4-18 flexible 12+\nrequest\n"
TAIL = "\nresponse\n"

# What is wrong -> (the line that tells, the file)
MISTAKES = {
    "a tab": (3, HEAD + "\ta int32" + TAIL),
    "odd indentation": (3, HEAD + "   a int32" + TAIL),
    "too deep": (3, HEAD + "    a int32" + TAIL),
    "fields below a number": (4, HEAD + "  a int32\n    b int32" + TAIL),
    "a CamelCase field": (3, HEAD + "  Ab int32" + TAIL),
    "an unknown type": (3, HEAD + "  a int31" + TAIL),
    "an undeclared struct": (3, HEAD + "  a []Topic" + TAIL),
    "an unused struct": (3, HEAD + "  struct Topic\n    a int32" + TAIL),
    "a struct in itself": (3, HEAD + "  struct Topic\n    a []Topic\n  b Topic" + TAIL),
    "two structs of one name": (5, HEAD + "  a []T\n    x int32\n  b []T\n    x int32" + TAIL),
    "a struct without fields": (3, HEAD + "  struct Topic\n  b Topic" + TAIL),
    "the same field twice": (4, HEAD + "  a int32\n  a int64" + TAIL),
    "a field in no version": (3, HEAD + "  a int32 0-3" + TAIL),
    "an empty range": (3, HEAD + "  a int32 7-5" + TAIL),
    "an unknown attribute": (3, HEAD + "  a int32 7+ optional" + TAIL),
    "a default that does not fit": (3, HEAD + "  a int8 = 128" + TAIL),
    "a default of another type": (3, HEAD + "  a bool = 1" + TAIL),
    "a word after the default": (3, HEAD + "  a int8 = 1 ignorable" + TAIL),
    "null for what is not nullable": (3, HEAD + "  a string = null" + TAIL),
    "a nullable number": (3, HEAD + "  a int32 nullable" + TAIL),
    "a tag in an old version": (3, HEAD + "  a int32 11+ tag 0" + TAIL),
    "a gap in the tags": (2, HEAD + "  a int32 12+ tag 1" + TAIL),
    "records in a tagged field": (3, HEAD + "  a T 12+ tag 0\n    x records" + TAIL),
    "a classic number": (3, HEAD + "  a int32 classic" + TAIL),
    "no response": (1, HEAD),
    "two requests": (3, HEAD + "request" + TAIL),
    "no upper bound": (1, "api 1 Fetch versions 4+ flexible 12+"),
    "no key": (1, "api Fetch versions 4-5 flexible 12+"),
    "a field before any message": (1, "  a int32"),
    "an unknown headline": (1, "message 1 Fetch"),
}


class SchemaFileTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def parse(self, text, name="x.kafka"):
        path = self.folder / name
        path.write_text(text)
        return parse_file(path)

    def test_mistakes_are_told_with_their_line(self):
        for mistake, (line, text) in MISTAKES.items():
            with self.subTest(mistake), self.assertRaises(SchemaError) as caught:
                self.parse(text)
            self.assertIn(f"x.kafka:{line}: ", str(caught.exception), mistake)

    def test_a_field_exists_where_its_struct_does(self):
        schema = self.parse(HEAD + "  a []T 7+  # comment\n    x string 3-9 nullable 8+\n    y int32 = -1" + TAIL)
        (a,) = schema.apis[0].request.root.fields
        x, y = a.struct.fields
        self.assertEqual((a.versions, x.versions, x.nullable), (Range(7, 18), Range(7, 9), Range(8, 9)))
        self.assertEqual((y.versions, y.nullable, y.default), (Range(7, 18), NONE, -1))

    def test_a_shared_struct_exists_wherever_it_is_used(self):
        schema = self.parse(HEAD + "  struct T\n    x int32\n  a T 4-6\n  b []T 9-12" + TAIL)
        request = schema.apis[0].request
        self.assertEqual([s.name for s in request.structs], ["T"])
        self.assertEqual(request.structs[0].versions, Range(4, 12))

    def test_keys_names_and_ids_are_unique_in_a_room(self):
        for first, second in [
            ("api 1 A versions none", "api 1 B versions none"),
            ("record 1 A versions 0 flexible none\n  x int8", "record 1 B versions 0 flexible none\n  x int8"),
            ("record A versions 0 flexible none\n  x int8", "record A versions 0 flexible none\n  x int8"),
        ]:
            paths = []
            for name, text in [("a.kafka", first), ("b.kafka", second)]:
                self.parse(text, name)
                paths.append(self.folder / name)
            with self.assertRaisesRegex(SchemaError, "b.kafka:1: "):
                parse_files(paths)


if __name__ == "__main__":
    unittest.main()
