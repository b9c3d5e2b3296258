#include "broker/fetch_session.h"

#include <functional>
#include <utility>

#include "base/assert.h"

namespace dlog::broker {

using protocol::ErrorCode;

namespace {

/// Session epochs of a request: 0 begins a session, -1 asks for none.
constexpr std::int32_t kFinalEpoch = -1;
constexpr std::int32_t kInitialEpoch = 0;

std::int32_t epoch_after(std::int32_t epoch) {
    return epoch == INT32_MAX ? 1 : epoch + 1;
}

}  // namespace

std::size_t FetchKeyHash::operator()(const FetchKey& key) const {
    const std::size_t topic =
        key.topic.empty() ? IdHash{}(key.topic_id) : std::hash<std::string>{}(key.topic);
    return mix_bits(topic + static_cast<std::uint32_t>(key.partition));
}

bool FetchSession::tell(std::list<FetchItem>::iterator item, const FetchAnswer& answer) {
    const bool is_news = answer.has_records || answer.has_diverging_epoch ||
                         answer.error != ErrorCode::kNone ||
                         answer.high_watermark != item->told_high_watermark ||
                         answer.log_start_offset != item->told_log_start_offset;
    // After an error the partition is news again as soon as the error is over.
    item->told_high_watermark =
        answer.error == ErrorCode::kNone ? answer.high_watermark : std::int64_t{-1};
    item->told_log_start_offset = answer.log_start_offset;
    if (answer.has_records) items_.splice(items_.end(), items_, item);
    return is_news || !is_incremental_;
}

void FetchSession::update(std::vector<FetchItem> items) {
    for (FetchItem& item : items) {
        const auto found = places_.find(item.key);
        if (found == places_.end()) {
            items_.push_back(std::move(item));
            places_.emplace(items_.back().key, std::prev(items_.end()));
            continue;
        }
        FetchItem& known = *found->second;
        known.current_leader_epoch = item.current_leader_epoch;
        known.fetch_offset = item.fetch_offset;
        known.last_fetched_epoch = item.last_fetched_epoch;
        known.max_bytes = item.max_bytes;
    }
    DLOG_ASSERT(places_.size() == items_.size(), places_.size(), items_.size());
}

void FetchSession::forget(const std::vector<FetchKey>& keys) {
    for (const FetchKey& key : keys) {
        const auto found = places_.find(key);
        if (found == places_.end()) continue;
        items_.erase(found->second);
        places_.erase(found);
    }
}

std::expected<FetchSessionPtr, ErrorCode> FetchSessionCache::begin(FetchSessionRequest request,
                                                                   Instant now,
                                                                   std::uint64_t random) {
    if (request.session_epoch != kInitialEpoch && request.session_epoch != kFinalEpoch) {
        return resume(std::move(request), now);
    }
    if (request.session_id != 0) drop(request.session_id);
    return start(std::move(request), now, random);
}

std::expected<FetchSessionPtr, ErrorCode> FetchSessionCache::resume(FetchSessionRequest request,
                                                                    Instant now) {
    const auto found = sessions_.find(request.session_id);
    if (found == sessions_.end()) return std::unexpected(ErrorCode::kFetchSessionIdNotFound);
    FetchSessionPtr session = found->second;
    if (session->next_epoch_ != request.session_epoch || session->is_busy_) {
        return std::unexpected(ErrorCode::kInvalidFetchSessionEpoch);
    }
    if (session->uses_topic_ids_ != request.uses_topic_ids) {
        return std::unexpected(ErrorCode::kFetchSessionTopicIdError);
    }
    session->update(std::move(request.items));
    session->forget(request.forgotten);
    session->is_incremental_ = true;
    session->next_epoch_ = epoch_after(session->next_epoch_);
    session->last_used_ = now;
    session->is_busy_ = true;
    if (session->items_.empty()) drop(session->id_);
    return session;
}

FetchSessionPtr FetchSessionCache::start(FetchSessionRequest request, Instant now,
                                         std::uint64_t random) {
    // Ids are positive; one that is taken, or an empty request, gets no session this time.
    const auto id = static_cast<std::int32_t>(random & 0x7fff'ffff);
    const bool wants_session = request.session_epoch == kInitialEpoch && !request.items.empty();
    const bool gets_session = wants_session && id != 0 && !sessions_.contains(id) && make_room(now);
    auto session = std::make_shared<FetchSession>(gets_session ? id : 0, request.uses_topic_ids);
    session->update(std::move(request.items));
    session->last_used_ = now;
    session->is_busy_ = true;
    if (gets_session) {
        session->is_cached_ = true;
        sessions_.emplace(id, session);
    }
    return session;
}

bool FetchSessionCache::make_room(Instant now) {
    if (sessions_.size() < slots_) return true;
    auto oldest = sessions_.end();
    for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
        if (it->second->is_busy_) continue;
        // The id settles equal times, so that the choice does not depend on the table's order.
        if (oldest == sessions_.end() || std::pair(it->second->last_used_, it->first) <
                                             std::pair(oldest->second->last_used_, oldest->first)) {
            oldest = it;
        }
    }
    if (oldest == sessions_.end() || now - oldest->second->last_used_ < kIdleBeforeEviction) {
        return false;
    }
    ++evictions_;
    drop(oldest->first);
    return true;
}

std::int32_t FetchSessionCache::end(FetchSession& session) {
    DLOG_ASSERT(session.is_busy_, session.id_);
    session.is_busy_ = false;
    return session.is_cached_ ? session.id_ : 0;
}

FetchSessionPtr FetchSessionCache::extract(std::int32_t id) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end() || found->second->is_busy_) return nullptr;
    FetchSessionPtr session = found->second;
    drop(id);
    return session;
}

void FetchSessionCache::insert(FetchSessionPtr session, Instant now) {
    DLOG_ASSERT(session != nullptr && !session->is_busy_ && !session->is_cached_);
    if (sessions_.contains(session->id_) || !make_room(now)) return;
    session->is_cached_ = true;
    const std::int32_t id = session->id_;
    sessions_.emplace(id, std::move(session));
}

void FetchSessionCache::drop(std::int32_t id) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return;
    found->second->is_cached_ = false;
    sessions_.erase(found);
}

}  // namespace dlog::broker
