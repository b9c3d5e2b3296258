#include "broker/data_folder.h"

#include <doctest/doctest.h>

#include <vector>

namespace dlog::broker {
namespace {

const NodeMeta kMeta{.node_id = NodeId(7), .cluster_id = "abcDEF-_123", .epoch = LeaderEpoch(42)};

TEST_CASE("the meta file reads back as it was written") {
    const Buffer bytes = encode_node_meta(kMeta);
    const auto meta = decode_node_meta(bytes.view());
    REQUIRE(meta.has_value());
    CHECK(*meta == kMeta);
}

TEST_CASE("any truncation and any flipped bit of the meta file is noticed") {
    const Buffer bytes = encode_node_meta(kMeta);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CHECK(!decode_node_meta(bytes.view().first(size)).has_value());
    }
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        std::vector<std::uint8_t> damaged(bytes.data(), bytes.data() + bytes.size());
        damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        CAPTURE(bit);
        CHECK(!decode_node_meta(damaged).has_value());
    }
}

}  // namespace
}  // namespace dlog::broker
