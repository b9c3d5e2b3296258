#include "cli/record_format.h"

#include <doctest/doctest.h>

#include "record/builder.h"
#include "record/reader.h"

using namespace dlog;
using namespace dlog::cli;

namespace {

std::string rendered(std::string_view text, std::optional<std::string_view> key,
                     std::optional<std::string_view> value) {
    const auto format = RecordFormat::parse(text);
    REQUIRE_MESSAGE(format.has_value(), format.error());
    record::BatchBuilder builder({.base_offset = Offset{41}});
    const record::RecordHeader headers[] = {{as_bytes("h1"), as_bytes("x")}, {as_bytes("h2"), {}}};
    const auto bytes = [](std::optional<std::string_view> view) {
        return view ? std::optional<ByteView>(as_bytes(*view)) : std::nullopt;
    };
    builder.append(Timestamp{1000}, bytes("other"), bytes("other"));
    builder.append(Timestamp{1234}, bytes(key), bytes(value), headers);
    const auto batch = builder.build();
    REQUIRE(batch.has_value());
    record::ReaderScratch scratch;
    auto reader = record::BatchReader::open(batch->view(), scratch);
    REQUIRE(reader.has_value());
    record::Record record;
    REQUIRE(reader->next(record).value());
    REQUIRE(reader->next(record).value());
    std::string out;
    format->append(out, "orders", 3, record);
    return out;
}

}  // namespace

TEST_CASE("each token prints its part of the record") {
    CHECK(rendered("%t/%p/%o %k=%v @%T [%h] %K %V%%\\n", "key", "value") ==
          "orders/3/42 key=value @1234 [h1=x,h2=] 3 5%\n");
}

TEST_CASE("a missing key or value prints as nothing, its size as -1") {
    CHECK(rendered("<%k|%v> %K %V", {}, {}) == "<|> -1 -1");
    CHECK(rendered("<%k|%v> %K %V", "", "") == "<|> 0 0");
}

TEST_CASE("escapes of the format are read, the record's own bytes are left alone") {
    CHECK(rendered("\\t\\x41\\\\%v\\0", {}, "a\\n%o") == std::string("\tA\\a\\n%o\0", 9));
}

TEST_CASE("an unknown token or escape is refused with the known ones") {
    CHECK(RecordFormat::parse("%q").error().find("%q is unknown; known are %t") !=
          std::string::npos);
    CHECK_FALSE(RecordFormat::parse("50%").has_value());
    CHECK_FALSE(RecordFormat::parse("\\q").has_value());
    CHECK_FALSE(RecordFormat::parse("\\x4").has_value());
}
