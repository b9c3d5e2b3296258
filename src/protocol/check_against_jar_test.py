#!/usr/bin/env python3
"""The schema files agree with Kafka's definitions, and the comparison notices when they do not."""

import copy
import tempfile
import unittest
from pathlib import Path

import check_against_jar
from schema_file import parse_files

SCHEMA = """
api 500 Ping versions 1-3 flexible 2+
request
  name    string  nullable = null
  places  []Place  2+
    rack  int16  = 7
response
  error_code  error  ignorable
"""

RACK = {"name": "Rack", "type": "int16", "versions": "0+", "default": "7"}
NAME = {"name": "Name", "type": "string", "versions": "0+", "nullableVersions": "0+", "default": "null"}
PLACES = {"name": "Places", "type": "[]Place", "versions": "2+", "fields": [RACK]}
HEAD = {"apiKey": 500, "validVersions": "1-3", "flexibleVersions": "2+"}
DEFINITIONS = {
    "PingRequest": HEAD | {"name": "PingRequest", "fields": [NAME, PLACES]},
    "PingResponse": HEAD | {
        "name": "PingResponse",
        "fields": [{"name": "ErrorCode", "type": "int16", "versions": "0+", "ignorable": True}],
    },
}


class CheckAgainstJarTest(unittest.TestCase):
    def compare(self, definitions):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ping.kafka"
            path.write_text(SCHEMA)
            return check_against_jar.compare(parse_files([path]), definitions).differences

    def test_what_is_the_same_makes_no_difference(self):
        self.assertEqual(self.compare(DEFINITIONS), [])

    def test_each_change_is_noticed(self):
        changes = {
            "Name": [("type", "bytes"), ("versions", "2+"), ("nullableVersions", "2+"), ("default", ""),
                     ("name", "Nane"), ("ignorable", True), ("flexibleVersions", "none")],
            "Places": [("type", "[]Plaze"), ("versions", "2-2"), ("nullableVersions", "2+")],
            "Rack": [("type", "uint16"), ("default", "8"), ("versions", "3+")],
        }
        for field, edits in changes.items():
            for key, value in edits:
                definitions = copy.deepcopy(DEFINITIONS)
                fields = definitions["PingRequest"]["fields"]
                edited = {"Name": fields[0], "Places": fields[1], "Rack": fields[1]["fields"][0]}[field]
                edited[key] = value
                with self.subTest(field=field, key=key):
                    self.assertNotEqual(self.compare(definitions), [])
        for key, value in [("apiKey", 501), ("validVersions", "0-3"), ("flexibleVersions", "3+"),
                           ("latestVersionUnstable", True)]:
            definitions = copy.deepcopy(DEFINITIONS)
            definitions["PingRequest"][key] = value
            with self.subTest(key=key):
                self.assertNotEqual(self.compare(definitions), [])

    def test_a_missing_message_is_noticed_on_either_side(self):
        self.assertNotEqual(self.compare({"PingRequest": DEFINITIONS["PingRequest"]}), [])
        extra = {"name": "PongRequest", "apiKey": 501, "validVersions": "0", "fields": []}
        self.assertNotEqual(self.compare(DEFINITIONS | {"PongRequest": extra}), [])


if check_against_jar.find_jar() is None:
    print(f"skipped: no kafka-clients {check_against_jar.JAR_VERSION} jar at hand to compare with")
else:

    class JarTest(unittest.TestCase):
        def test_the_schema_files_are_the_same_as_the_jar(self):
            files = parse_files((Path(check_against_jar.__file__).parent / "schema").glob("*.kafka"))
            definitions = check_against_jar.load_definitions(check_against_jar.find_jar())
            self.assertEqual(check_against_jar.compare(files, definitions).differences, [])
            self.assertEqual(len(definitions), 203)


if __name__ == "__main__":
    unittest.main()
