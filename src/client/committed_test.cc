#include "client/committed.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "record/builder.h"

namespace dlog::client {
namespace {

enum class Kind : std::uint8_t { kPlain, kTransactional, kCommit, kAbort, kBrokenMarker };

/// A log as a broker keeps it: batches one after the other, each by a producer or by none.
struct Log {
    Offset end{0};
    std::vector<Buffer> batches;

    Log& add(std::int64_t producer, Kind kind, int records = 1) {
        const bool is_control = kind >= Kind::kCommit;
        record::BatchBuilder builder({.base_offset = end,
                                      .producer_id = ProducerId{producer},
                                      .producer_epoch = ProducerEpoch{0},
                                      .base_sequence = is_control ? -1 : 0,
                                      .is_transactional = kind != Kind::kPlain,
                                      .is_control = is_control});
        const std::uint8_t type = kind == Kind::kCommit ? 1 : 0;
        std::vector<std::uint8_t> key{0, 0, 0, type};
        if (kind == Kind::kBrokenMarker) key.pop_back();
        for (int i = 0; i < records; ++i) builder.append(Timestamp{0}, ByteView(key), std::nullopt);
        batches.push_back(builder.build().value());
        end = Offset(end.value + records);
        return *this;
    }

    /// Takes the records out of the last batch, as compaction does.
    Log& emptied() {
        Buffer& batch = batches.back();
        batch = batch.slice(0, record::kBatchHeaderSize);
        constexpr std::int32_t kLeft = record::kBatchHeaderSize - record::kLogOverhead;
        store_big_endian(batch.mutable_data() + 8, kLeft);
        store_big_endian(batch.mutable_data() + record::kRecordCountAt, std::int32_t{0});
        return *this;
    }

    /// The base offsets of what is kept when this and nothing else comes.
    [[nodiscard]] std::vector<std::int64_t> kept(AbortedTransactions aborted) const {
        std::vector<std::int64_t> offsets;
        for (const Buffer& batch : batches) {
            const auto header = record::read_batch_header(batch.view()).value();
            const auto skips = aborted.must_skip(header, batch.view());
            REQUIRE(skips.has_value());
            if (!*skips) offsets.push_back(header.base_offset.value);
        }
        return offsets;
    }
};

using Offsets = std::vector<std::int64_t>;
using Begun = std::vector<std::pair<std::int64_t, std::int64_t>>;  // producers, first offsets

AbortedTransactions aborted(const Begun& begun) {
    AbortedTransactions result;
    for (const auto& [producer, first] : begun) result.add(ProducerId{producer}, Offset{first});
    return result;
}

TEST_CASE("of two transactions side by side only the committed one is read") {
    Log log;
    log.add(1, Kind::kTransactional, 2).add(2, Kind::kTransactional).add(-1, Kind::kPlain);
    log.add(1, Kind::kTransactional).add(2, Kind::kAbort).add(1, Kind::kCommit);
    CHECK(log.kept(aborted({{2, 2}})) == Offsets{0, 3, 4});
    CHECK(log.kept(aborted({})) == Offsets{0, 2, 3, 4});
    CHECK(log.kept(aborted({{1, 0}, {2, 2}})) == Offsets{3});
}

TEST_CASE("a producer is read again behind its abort marker, until its next aborted transaction") {
    Log log;
    log.add(7, Kind::kTransactional).add(7, Kind::kAbort);           // 0, 1
    log.add(7, Kind::kTransactional).add(7, Kind::kCommit);          // 2, 3
    log.add(7, Kind::kPlain);                                        // 4
    log.add(7, Kind::kTransactional).add(7, Kind::kAbort);           // 5, 6
    log.add(7, Kind::kTransactional);                                // 7
    CHECK(log.kept(aborted({{7, 5}, {7, 0}})) == Offsets{2, 4, 7});  // in any order
}

TEST_CASE("a transaction that began before the first batch that came is known from its start") {
    Log log;
    log.end = Offset{100};
    log.add(3, Kind::kTransactional).add(4, Kind::kTransactional).add(3, Kind::kAbort);
    CHECK(log.kept(aborted({{3, 17}})) == Offsets{101});
}

TEST_CASE("a transaction may begin within a batch's offsets that compaction left, and end empty") {
    Log log;
    log.add(3, Kind::kTransactional, 5).emptied().add(3, Kind::kTransactional);
    log.add(3, Kind::kAbort).emptied().add(3, Kind::kTransactional);
    // An emptied marker says nothing: what was aborted stays so.
    CHECK(log.kept(aborted({{3, 4}})).empty());
    CHECK(log.kept(aborted({})) == Offsets{0, 5, 7});
}

TEST_CASE("a marker whose key is cut off is damage") {
    Log log;
    log.add(3, Kind::kBrokenMarker);
    AbortedTransactions none;
    const auto header = record::read_batch_header(log.batches[0].view()).value();
    CHECK(none.must_skip(header, log.batches[0].view()).error() == record::Error::kCorruptRecord);
}

}  // namespace
}  // namespace dlog::client
