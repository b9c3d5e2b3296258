#include "broker/api_table.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "broker/compatibility.h"

namespace dlog::broker {
namespace {

TEST_CASE("every API in the table is found by its key, and no other") {
    for (const ApiEntry& entry : api_table()) CHECK(find_api(entry.key) == &entry);
    CHECK(find_api(-1) == nullptr);
    CHECK(find_api(25) == nullptr);  // AddOffsetsToTxn
    CHECK(find_api(1000) == nullptr);
}

TEST_CASE("produce is advertised from version 0 and served from 3, as in Kafka 4 (KAFKA-18659)") {
    const ApiEntry& produce = *find_api(kProduceKey);
    CHECK(produce.advertised_min() == 0);
    CHECK(!produce.serves(2));
    CHECK(produce.serves(3));
}

TEST_CASE("docs/kafka-compatibility.md says what the tables say") {
    const std::string path = DLOG_ROOT "/docs/kafka-compatibility.md";
    if (std::getenv("DLOG_RENEW_DOCS") != nullptr) std::ofstream(path) << compatibility_markdown();
    std::ifstream file(path);
    REQUIRE_MESSAGE(file.good(), path);
    std::stringstream text;
    text << file.rdbuf();
    const bool is_equal = text.str() == compatibility_markdown();
    CHECK_MESSAGE(is_equal, "renew it: DLOG_RENEW_DOCS=1 build/release/src/test_broker");
}

}  // namespace
}  // namespace dlog::broker
