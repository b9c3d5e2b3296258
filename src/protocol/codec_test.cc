/// All messages alike: what holds for every version of every one of them.
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "protocol/message_case.h"

namespace dlog::protocol {

namespace {

template <class Check>
void for_every_version(Check check) {
    for (const MessageCase& message : message_cases()) {
        CAPTURE(message.name);
        for (std::int16_t version = message.lowest_version; version <= message.highest_version;
             ++version) {
            CAPTURE(version);
            check(message, version);
        }
    }
}

std::string hex(ByteView bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

std::vector<std::uint8_t> bytes_of_hex(std::string_view text) {
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        bytes.push_back(
            static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
    }
    return bytes;
}

}  // namespace

TEST_CASE("every version of every message survives encoding and decoding") {
    Random random(1);
    int versions = 0;
    for_every_version([&](const MessageCase& message, std::int16_t version) {
        ++versions;
        for (int round = 0; round < 8; ++round) {
            const Result<Buffer> bytes = message.encode_random(random, version);
            REQUIRE(bytes.has_value());
            const Result<Recoded> recoded = message.recode(bytes->view(), version);
            REQUIRE(recoded.has_value());
            CHECK(recoded->is_equal);
            CHECK(hex(recoded->bytes.view()) == hex(bytes->view()));
        }
    });
    CHECK(versions > 500);
}

TEST_CASE("a message with nothing but defaults survives encoding and decoding") {
    for_every_version([&](const MessageCase& message, std::int16_t version) {
        const Result<Buffer> bytes = message.encode_default(version);
        REQUIRE(bytes.has_value());
        const Result<Recoded> recoded = message.recode(bytes->view(), version);
        REQUIRE(recoded.has_value());
        CHECK(recoded->is_equal);
    });
}

TEST_CASE("a message cut off at any byte, or with a byte too many, is refused") {
    Random random(2);
    for_every_version([&](const MessageCase& message, std::int16_t version) {
        const Result<Buffer> bytes = message.encode_random(random, version);
        REQUIRE(bytes.has_value());
        for (std::size_t size = 0; size < bytes->size(); ++size) {
            // A copy of its own, so that a read beyond its end is one that the sanitizers see.
            const std::vector<std::uint8_t> cut(bytes->data(), bytes->data() + size);
            const Result<void> result = message.decode(cut, version);
            REQUIRE_FALSE(result.has_value());
            REQUIRE(result.error().position <= size);
        }
        std::vector<std::uint8_t> longer(bytes->data(), bytes->data() + bytes->size());
        longer.push_back(0);
        const Result<void> result = message.decode(longer, version);
        REQUIRE_FALSE(result.has_value());
        CHECK(result.error() == Error{.fault = Fault::kTrailingBytes, .position = bytes->size()});
    });
}

TEST_CASE("a message with flipped bits is decoded or refused, and what is decoded can be encoded") {
    Random random(3);
    for_every_version([&](const MessageCase& message, std::int16_t version) {
        const Result<Buffer> bytes = message.encode_random(random, version);
        REQUIRE(bytes.has_value());
        if (bytes->empty()) return;
        for (int round = 0; round < 20; ++round) {
            std::vector<std::uint8_t> broken(bytes->data(), bytes->data() + bytes->size());
            broken[random.below(broken.size())] ^= static_cast<std::uint8_t>(1U << random.below(8));
            if (message.decode(broken, version)) {
                CHECK(message.recode(broken, version).has_value());
            }
        }
    });
}

TEST_CASE("versions outside the schema are refused both ways") {
    Random random(4);
    const std::uint8_t zeros[64] = {};
    for (const MessageCase& message : message_cases()) {
        CAPTURE(message.name);
        for (const int version : {message.lowest_version - 1, message.highest_version + 1}) {
            const auto wrong = static_cast<std::int16_t>(version);
            CHECK(message.decode(zeros, wrong).error().fault == Fault::kUnsupportedVersion);
            CHECK(message.encode_default(wrong).error().fault == Fault::kUnsupportedVersion);
        }
    }
}

TEST_CASE("unknown tagged fields are passed over in every flexible message") {
    for_every_version([&](const MessageCase& message, std::int16_t version) {
        if (version < message.first_flexible_version) return;
        const Result<Buffer> bytes = message.encode_default(version);
        REQUIRE(bytes.has_value());
        // With nothing set, the last byte says that there are no tagged fields.
        std::vector<std::uint8_t> more(bytes->data(), bytes->data() + bytes->size());
        REQUIRE(more.back() == 0);
        more.back() = 2;
        more.insert(more.end(), {0x7f, 3, 1, 2, 3, 0x80, 0x01, 0});
        const Result<Recoded> recoded = message.recode(more, version);
        REQUIRE(recoded.has_value());
        CHECK(hex(recoded->bytes.view()) == hex(bytes->view()));
    });
}

TEST_CASE("bytes that Kafka's own classes wrote are decoded and written again as they were") {
    std::map<std::string, MessageCase, std::less<>> cases;
    for (const MessageCase& message : message_cases()) cases.emplace(message.name, message);
    std::ifstream file(DLOG_ROOT "/src/protocol/testdata/kafka_clients_4.4.0.txt");
    REQUIRE(file.good());
    std::string name;
    std::string text;
    int version = 0;
    int lines = 0;
    while (file >> name >> version >> text) {
        CAPTURE(name);
        CAPTURE(version);
        const auto found = cases.find(name);
        REQUIRE(found != cases.end());
        if (text == "-") text.clear();
        const Result<Recoded> recoded =
            found->second.recode(bytes_of_hex(text), static_cast<std::int16_t>(version));
        REQUIRE(recoded.has_value());
        CHECK(recoded->is_equal);
        CHECK(hex(recoded->bytes.view()) == text);
        ++lines;
    }
    CHECK(lines > 500);
}

}  // namespace dlog::protocol
