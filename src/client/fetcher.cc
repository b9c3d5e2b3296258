#include "client/fetcher.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "protocol/messages/fetch.h"
#include "record/error.h"

namespace dlog::client {

using protocol::ErrorCode;

namespace {

/// Topic names disappear from the request with this version; names are what this client knows for
/// certain.
constexpr std::int16_t kLastWithNames = 12;

}  // namespace

void Fetcher::assign(std::string topic, std::int32_t partition, Offset from) {
    places_[{std::move(topic), partition}] = {.position = from};
}

void Fetcher::unassign(const std::string& topic, std::int32_t partition) {
    places_.erase({topic, partition});
}

void Fetcher::seek(const std::string& topic, std::int32_t partition, Offset from) {
    const auto found = places_.find({topic, partition});
    DLOG_ASSERT(found != places_.end(), topic, partition);
    found->second.position = from;
    found->second.rests = false;
}

void Fetcher::set_paused(const std::string& topic, std::int32_t partition, bool is_paused) {
    const auto found = places_.find({topic, partition});
    DLOG_ASSERT(found != places_.end(), topic, partition);
    found->second.is_paused = is_paused;
}

Offset Fetcher::position(const std::string& topic, std::int32_t partition) const {
    const auto found = places_.find({topic, partition});
    DLOG_ASSERT(found != places_.end(), topic, partition);
    return found->second.position;
}

bool Fetcher::has_work() const {
    return std::any_of(places_.begin(), places_.end(), [](const auto& place) {
        return !place.second.rests && !place.second.is_paused;
    });
}

port::Task<Result<std::vector<Fetched>>> Fetcher::poll(Instant deadline) {
    Backoff backoff(cluster_.config(), cluster_.random());
    for (;;) {
        Result<void> asked = co_await ask_idle_leaders(deadline);
        while (asked && !has_answer_ && !is_interrupted_ && !asked_.empty()) {
            static_cast<void>(co_await answered_.wait());
        }
        has_answer_ = false;
        const bool is_wanted_back = std::exchange(is_interrupted_, false);
        if (asked && failure_) asked = unexpected(*std::exchange(failure_, std::nullopt));
        if (!fetched_.empty() || asked || is_wanted_back) co_return std::exchange(fetched_, {});
        if (!asked.error().is_retriable()) co_return unexpected(std::move(asked).error());
        const bool is_in_time = co_await cluster_.wait(backoff.next(), deadline);
        if (!is_in_time) co_return unexpected(std::move(asked).error());
    }
}

void Fetcher::interrupt() {
    is_interrupted_ = true;
    answered_.notify_all();
}

port::Task<void> Fetcher::close() {
    places_.clear();
    interrupt();
    while (gate_.held() > 0) static_cast<void>(co_await gate_.left().wait());
}

port::Task<Result<void>> Fetcher::ask_idle_leaders(Instant deadline) {
    std::vector<Wanted> open;
    for (const auto& [key, place] : places_) {
        if (!place.rests && !place.is_paused) open.push_back({key, place.position});
    }
    std::map<NodeId, std::vector<Wanted>> by_leader;
    std::optional<Key> without_leader;
    for (Wanted& wanted : open) {
        DLOG_CO_TRY_ASSIGN(const TopicInfoPtr topic,
                           co_await cluster_.topic(wanted.key.topic, false, deadline));
        const auto index = static_cast<std::size_t>(wanted.key.partition);
        if (index >= topic->partitions.size()) {
            co_return unexpected(broker_error(ErrorCode::kUnknownTopicOrPartition,
                                              "topic " + wanted.key.topic + " has no partition " +
                                                  std::to_string(wanted.key.partition)));
        }
        const NodeId leader = topic->partitions[index].leader;
        if (leader.value < 0) {
            without_leader = wanted.key;
            continue;
        }
        if (!asked_.contains(leader)) by_leader[leader].push_back(std::move(wanted));
    }
    for (auto& [leader, wanted] : by_leader) {
        asked_.insert(leader);
        cluster_.ports().spawn.spawn(ask(this, gate_.enter(), leader, std::move(wanted)));
    }
    // Those that have one are read meanwhile.
    if (without_leader && asked_.empty()) {
        co_return unexpected(broker_error(
            ErrorCode::kLeaderNotAvailable,
            without_leader->topic + " partition " + std::to_string(without_leader->partition)));
    }
    co_return Result<void>();
}

port::Task<void> Fetcher::ask(Fetcher* self, [[maybe_unused]] port::Gate::Hold hold, NodeId leader,
                              std::vector<Wanted> wanted) {
    std::set<std::string> topics;
    for (const Wanted& one : wanted) topics.insert(one.key.topic);
    auto outcome = co_await self->ask_leader(leader, std::move(wanted));
    if (!outcome) {
        for (const std::string& topic : topics) self->cluster_.forget_topic(topic);
        self->failure_ = std::move(outcome).error();
    }
    self->asked_.erase(leader);
    self->has_answer_ = true;
    self->answered_.notify_all();
}

port::Task<Result<void>> Fetcher::ask_leader(NodeId leader, std::vector<Wanted> wanted) {
    protocol::FetchRequest request;
    request.max_wait_ms = wire_ms(config_.wait_max, 0);
    request.min_bytes = config_.bytes_min;
    request.max_bytes = config_.bytes_max;
    request.isolation_level = static_cast<std::int8_t>(config_.isolation);
    for (const Wanted& one : wanted) {
        if (request.topics.empty() || request.topics.back().topic != one.key.topic) {
            request.topics.emplace_back().topic = one.key.topic;
        }
        auto& partition = request.topics.back().partitions.emplace_back();
        partition.partition = one.key.partition;
        partition.fetch_offset = one.from.value;
        partition.partition_max_bytes = config_.partition_bytes_max;
    }
    DLOG_CO_TRY_ASSIGN(const ConnectionPtr connection,
                       co_await cluster_.connection_to(leader, Lane::kWaits));
    const Instant deadline = cluster_.default_deadline() + config_.wait_max;
    DLOG_CO_TRY_ASSIGN(const auto answer, co_await connection->call(
                                              std::move(request), {.deadline = deadline,
                                                                   .version_max = kLastWithNames}));
    if (answer->error_code != ErrorCode::kNone) {
        co_return unexpected(broker_error(answer->error_code, "Fetch"));
    }
    std::map<Key, Offset> asked;
    for (Wanted& one : wanted) asked.emplace(std::move(one.key), one.from);
    for (const auto& topic : answer->responses) {
        for (const auto& data : topic.partitions) {
            const Key key{topic.topic, data.partition_index};
            const auto from = asked.find(key);
            const auto place = places_.find(key);
            // Sought elsewhere, or unassigned, meanwhile: this is not what is wanted now.
            if (from == asked.end() || place == places_.end()) continue;
            if (place->second.position != from->second || place->second.rests) continue;
            auto fetched = take_answer(key, answer.frame, data);
            if (fetched) {
                fetched_.push_back(*std::move(fetched));
            } else {
                failure_ = std::move(fetched).error();
                cluster_.forget_topic(key.topic);
            }
        }
    }
    co_return Result<void>();
}

/// The error: one that may pass, after which the same is asked again.
template <class Data>
Result<Fetched> Fetcher::take_answer(const Key& key, const Buffer& frame, const Data& data) {
    Error error =
        broker_error(data.error_code, key.topic + " partition " + std::to_string(key.partition));
    const bool is_wrong = data.error_code != ErrorCode::kNone;
    const bool may_pass = error.is_retriable() && data.error_code != ErrorCode::kCorruptMessage;
    if (is_wrong && may_pass) return unexpected(std::move(error));
    AbortedTransactions aborted;
    if (data.aborted_transactions) {
        for (const auto& one : *data.aborted_transactions) {
            aborted.add(ProducerId{one.producer_id}, Offset{one.first_offset});
        }
    }
    Fetched fetched = take(key, frame, data.records.view(), std::move(aborted));
    const bool reads_committed = config_.isolation == Isolation::kReadCommitted;
    fetched.high_watermark =
        Offset{reads_committed ? data.last_stable_offset : data.high_watermark};
    fetched.log_start_offset = Offset{data.log_start_offset};
    if (is_wrong) fetched.error = std::move(error);
    if (fetched.error) places_[key].rests = true;
    return fetched;
}

/// Whether a whole batch is not to be handed over.
record::Result<bool> Fetcher::must_skip(const record::BatchSplitter::Item& batch,
                                        AbortedTransactions& aborted) const {
    DLOG_TRY(record::verify_crc(batch.bytes));
    if (config_.isolation == Isolation::kReadUncommitted) return false;
    return aborted.must_skip(batch.header, batch.bytes);
}

/// Checks the batches and moves the partition's position behind them. Half a batch at the end is
/// normal: the broker cuts at a number of bytes.
Fetched Fetcher::take(const Key& key, const Buffer& frame, ByteView records,
                      AbortedTransactions aborted) {
    Place& place = places_[key];
    Fetched fetched{.topic = key.topic,
                    .partition = key.partition,
                    .from = place.position,
                    .next_offset = place.position,
                    .frame = frame};
    record::BatchSplitter splitter(records);
    for (bool has_whole = false;; has_whole = true) {
        const auto item = splitter.next();
        const bool is_cut = !item && item.error() == record::Error::kTruncated;
        if (is_cut && (has_whole || records.empty())) break;
        if (item && !item->has_value()) break;
        const record::Result<bool> skips =
            item ? must_skip(**item, aborted) : unexpected(item.error());
        if (!skips) {
            fetched.error =
                Error{.kind = ErrorKind::kCorrupt,
                      .detail = key.topic + " partition " + std::to_string(key.partition) +
                                " at offset " + std::to_string(fetched.next_offset.value) + ": " +
                                std::string(record::error_text(skips.error()))};
            break;
        }
        if (!*skips) fetched.batches.push_back((*item)->bytes);
        fetched.next_offset = std::max(fetched.next_offset, (*item)->header.next_offset());
    }
    place.position = fetched.next_offset;
    return fetched;
}

}  // namespace dlog::client
