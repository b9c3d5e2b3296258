#include "broker/fetch_session.h"

#include <doctest/doctest.h>

namespace dlog::broker {
namespace {

using protocol::ErrorCode;

constexpr Instant kStart{1'000};

FetchItem item(std::uint64_t topic, std::int32_t partition, std::int64_t offset = 0) {
    FetchItem result;
    result.key.topic_id = TopicId{topic, 0};
    result.key.partition = partition;
    result.fetch_offset = offset;
    return result;
}

FetchSessionRequest full(std::vector<FetchItem> items, std::int32_t id = 0) {
    return {
        .session_id = id, .session_epoch = 0, .uses_topic_ids = true, .items = std::move(items)};
}

FetchSessionRequest next(std::int32_t id, std::int32_t epoch, std::vector<FetchItem> items = {},
                         std::vector<FetchKey> forgotten = {}) {
    return {.session_id = id,
            .session_epoch = epoch,
            .uses_topic_ids = true,
            .items = std::move(items),
            .forgotten = std::move(forgotten)};
}

FetchAnswer at(std::int64_t high_watermark, bool has_records = false) {
    return {.high_watermark = high_watermark, .log_start_offset = 0, .has_records = has_records};
}

/// The partitions of the session in the order in which they are served.
std::vector<std::int32_t> order(FetchSession& session) {
    std::vector<std::int32_t> result;
    for (const FetchItem& one : session.items()) result.push_back(one.key.partition);
    return result;
}

TEST_CASE("a full fetch opens a session and answers every partition") {
    FetchSessionCache cache(10);
    auto session = cache.begin(full({item(1, 0), item(1, 1)}), kStart, 77);
    REQUIRE(session.has_value());
    CHECK(!(*session)->is_incremental());
    CHECK((*session)->tell((*session)->items().begin(), at(0)));
    CHECK(cache.end(**session) == 77);
    CHECK(cache.size() == 1);
}

TEST_CASE("an incremental fetch answers only what changed") {
    FetchSessionCache cache(10);
    FetchSessionPtr session = *cache.begin(full({item(1, 0), item(1, 1)}), kStart, 77);
    for (auto it = session->items().begin(); it != session->items().end(); ++it) {
        session->tell(it, at(5));
    }
    cache.end(*session);

    session = *cache.begin(next(77, 1), kStart, 0);
    CHECK(session->is_incremental());
    CHECK(session->items().size() == 2);
    CHECK(!session->tell(session->items().begin(), at(5)));
    CHECK(session->tell(std::prev(session->items().end()), at(6)));
    CHECK(cache.end(*session) == 77);
}

TEST_CASE("a partition whose error is over is answered again") {
    FetchSessionCache cache(10);
    FetchSessionPtr session = *cache.begin(full({item(1, 0)}), kStart, 77);
    session->tell(session->items().begin(), at(5));
    cache.end(*session);
    session = *cache.begin(next(77, 1), kStart, 0);
    CHECK(session->tell(session->items().begin(), {.error = ErrorCode::kOffsetOutOfRange}));
    cache.end(*session);
    session = *cache.begin(next(77, 2), kStart, 0);
    CHECK(session->tell(session->items().begin(), at(5)));
    cache.end(*session);
    session = *cache.begin(next(77, 3), kStart, 0);
    CHECK(!session->tell(session->items().begin(), at(5)));
    cache.end(*session);
}

TEST_CASE("an item with records goes behind the others") {
    FetchSessionCache cache(10);
    FetchSessionPtr session = *cache.begin(full({item(1, 0), item(1, 1), item(1, 2)}), kStart, 7);
    session->tell(session->items().begin(), at(5, true));
    CHECK(order(*session) == std::vector<std::int32_t>{1, 2, 0});
    cache.end(*session);
}

TEST_CASE("a request adds, changes and forgets partitions of its session") {
    FetchSessionCache cache(10);
    FetchSessionPtr session = *cache.begin(full({item(1, 0), item(1, 1)}), kStart, 7);
    cache.end(*session);
    session = *cache.begin(
        next(7, 1, {item(1, 1, 42), item(2, 9)}, {item(1, 0).key, item(8, 8).key}), kStart, 0);
    CHECK(order(*session) == std::vector<std::int32_t>{1, 9});
    CHECK(session->items().front().fetch_offset == 42);
    cache.end(*session);
}

TEST_CASE("a wrong session id, epoch or kind of topic name is refused by its own code") {
    FetchSessionCache cache(10);
    FetchSessionPtr session = *cache.begin(full({item(1, 0)}), kStart, 7);
    CHECK(cache.begin(next(7, 1), kStart, 0).error() == ErrorCode::kInvalidFetchSessionEpoch);
    cache.end(*session);
    CHECK(cache.begin(next(8, 1), kStart, 0).error() == ErrorCode::kFetchSessionIdNotFound);
    CHECK(cache.begin(next(7, 2), kStart, 0).error() == ErrorCode::kInvalidFetchSessionEpoch);
    FetchSessionRequest by_name = next(7, 1);
    by_name.uses_topic_ids = false;
    CHECK(cache.begin(by_name, kStart, 0).error() == ErrorCode::kFetchSessionTopicIdError);
    CHECK(cache.begin(next(7, 1), kStart, 0).has_value());
}

TEST_CASE("a full fetch ends the session that it names; the final epoch asks for no other") {
    FetchSessionCache cache(10);
    FetchSessionPtr session = *cache.begin(full({item(1, 0)}), kStart, 7);
    cache.end(*session);
    FetchSessionRequest final = full({item(1, 0)}, 7);
    final.session_epoch = -1;
    session = *cache.begin(final, kStart, 8);
    CHECK(cache.size() == 0);
    CHECK(session->tell(session->items().begin(), at(0)));
    CHECK(cache.end(*session) == 0);
}

TEST_CASE("a session without partitions ends") {
    FetchSessionCache cache(10);
    FetchSessionPtr session = *cache.begin(full({item(1, 0)}), kStart, 7);
    cache.end(*session);
    session = *cache.begin(next(7, 1, {}, {item(1, 0).key}), kStart, 0);
    CHECK(session->items().empty());
    CHECK(cache.end(*session) == 0);
    CHECK(cache.size() == 0);
}

TEST_CASE("with all slots taken a client works without a session until one has been idle") {
    FetchSessionCache cache(1);
    FetchSessionPtr first = *cache.begin(full({item(1, 0)}), kStart, 7);
    cache.end(*first);
    FetchSessionPtr second = *cache.begin(full({item(1, 0)}), kStart + seconds(119), 8);
    CHECK(cache.end(*second) == 0);
    second = *cache.begin(full({item(1, 0)}), kStart + seconds(120), 8);
    CHECK(cache.end(*second) == 8);
    CHECK(cache.evictions() == 1);
    CHECK(cache.begin(next(7, 1), kStart + seconds(120), 0).error() ==
          ErrorCode::kFetchSessionIdNotFound);
}

}  // namespace
}  // namespace dlog::broker
