/// Incremental fetch sessions (KIP-227): a client names its partitions once and then sends and
/// receives only what changes. Pure: time and randomness are arguments.
#pragma once

#include <cstdint>
#include <expected>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "protocol/error_code.h"

namespace dlog::broker {

/// What names a partition in a fetch: the topic's id from version 13 on, its name before.
struct FetchKey {
    TopicId topic_id;
    std::string topic;
    std::int32_t partition = 0;

    bool operator==(const FetchKey&) const = default;
};

struct FetchKeyHash {
    std::size_t operator()(const FetchKey& key) const;
};

/// One partition that a client fetches, with what it was last told about it.
struct FetchItem {
    FetchKey key;
    std::int32_t current_leader_epoch = -1;
    std::int64_t fetch_offset = 0;
    std::int32_t last_fetched_epoch = -1;
    std::int32_t max_bytes = 0;

    std::int64_t told_high_watermark = -1;
    std::int64_t told_log_start_offset = -1;
};

/// What of an answer decides whether an incremental response carries it.
struct FetchAnswer {
    protocol::ErrorCode error = protocol::ErrorCode::kNone;
    std::int64_t high_watermark = -1;
    std::int64_t log_start_offset = -1;
    bool has_records = false;
    bool has_diverging_epoch = false;
};

/// The partitions of one client, in the order in which they are served. One request works with it
/// at a time.
class FetchSession {
  public:
    FetchSession(std::int32_t id, bool uses_topic_ids) : id_(id), uses_topic_ids_(uses_topic_ids) {}

    [[nodiscard]] std::int32_t id() const { return id_; }
    [[nodiscard]] std::list<FetchItem>& items() { return items_; }
    [[nodiscard]] bool is_incremental() const { return is_incremental_; }

    /// Whether the response carries this item. Remembers what the client is told, and moves an item
    /// with records behind all others so that a full response does not starve them.
    bool tell(std::list<FetchItem>::iterator item, const FetchAnswer& answer);

  private:
    friend class FetchSessionCache;
    void update(std::vector<FetchItem> items);
    void forget(const std::vector<FetchKey>& keys);

    std::int32_t id_;
    std::int32_t next_epoch_ = 1;
    bool uses_topic_ids_;
    bool is_incremental_ = false;
    bool is_cached_ = false;
    bool is_busy_ = false;
    Instant last_used_;
    std::list<FetchItem> items_;
    std::unordered_map<FetchKey, std::list<FetchItem>::iterator, FetchKeyHash> places_;
};
using FetchSessionPtr = std::shared_ptr<FetchSession>;

/// The part of a Fetch request that concerns sessions.
struct FetchSessionRequest {
    std::int32_t session_id = 0;
    std::int32_t session_epoch = -1;
    bool uses_topic_ids = false;
    std::vector<FetchItem> items;
    std::vector<FetchKey> forgotten;
};

/// The sessions of one core, at most `slots`. When all slots are taken a new client gets one only
/// from a session that has been idle for two minutes; until then it works without a session, which
/// is always correct.
class FetchSessionCache {
  public:
    static constexpr Duration kIdleBeforeEviction = seconds(120);

    explicit FetchSessionCache(std::size_t slots) : slots_(slots) {}

    /// The partitions that this request reads. `random` picks a new session's id. The session is
    /// busy until `end`.
    [[nodiscard]] std::expected<FetchSessionPtr, protocol::ErrorCode> begin(
        FetchSessionRequest request, Instant now, std::uint64_t random);

    /// The request is answered. Returns the session id to answer with, 0 for none.
    std::int32_t end(FetchSession& session);

    /// Takes a session out, for the cache of another core; null when it is not here or is busy.
    [[nodiscard]] FetchSessionPtr extract(std::int32_t id);
    /// Takes a session in that another cache gave out. It ends when there is no room for it.
    void insert(FetchSessionPtr session, Instant now);

    [[nodiscard]] std::size_t size() const { return sessions_.size(); }
    [[nodiscard]] std::uint64_t evictions() const { return evictions_; }

  private:
    [[nodiscard]] std::expected<FetchSessionPtr, protocol::ErrorCode> resume(
        FetchSessionRequest request, Instant now);
    [[nodiscard]] FetchSessionPtr start(FetchSessionRequest request, Instant now,
                                        std::uint64_t random);
    [[nodiscard]] bool make_room(Instant now);
    void drop(std::int32_t id);

    std::size_t slots_;
    std::uint64_t evictions_ = 0;
    std::unordered_map<std::int32_t, FetchSessionPtr> sessions_;
};

}  // namespace dlog::broker
