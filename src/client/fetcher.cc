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

/// One `poll`: what is asked of whom, and what has come.
struct Fetcher::Round {
    std::map<NodeId, std::vector<Key>> keys;
    std::vector<Fetched> fetched;
    std::optional<Error> failure;
    std::size_t open = 0;
    port::Notifier done;
};

void Fetcher::assign(std::string topic, std::int32_t partition, Offset from) {
    places_[{std::move(topic), partition}] = {.position = from};
}

void Fetcher::unassign(const std::string& topic, std::int32_t partition) {
    places_.erase({topic, partition});
}

void Fetcher::seek(const std::string& topic, std::int32_t partition, Offset from) {
    const auto found = places_.find({topic, partition});
    DLOG_ASSERT(found != places_.end(), topic, partition);
    found->second = {.position = from};
}

Offset Fetcher::position(const std::string& topic, std::int32_t partition) const {
    const auto found = places_.find({topic, partition});
    DLOG_ASSERT(found != places_.end(), topic, partition);
    return found->second.position;
}

bool Fetcher::has_work() const {
    return std::any_of(places_.begin(), places_.end(),
                       [](const auto& place) { return !place.second.rests; });
}

port::Task<Result<std::vector<Fetched>>> Fetcher::poll(Instant deadline) {
    const port::Ports& ports = cluster_.ports();
    Backoff backoff(cluster_.config(), cluster_.random());
    for (;;) {
        if (!has_work()) co_return std::vector<Fetched>();
        auto round = std::make_shared<Round>();
        Result<void> grouped = co_await group_by_leader(*round, deadline);
        if (grouped) {
            round->open = round->keys.size();
            for (const auto& [leader, keys] : round->keys) {
                ports.spawn.spawn(ask(this, round, leader));
            }
            while (round->open > 0) static_cast<void>(co_await round->done.wait());
            if (!round->fetched.empty() || !round->failure) co_return std::move(round->fetched);
            grouped = unexpected(*std::move(round->failure));
        }
        if (!grouped.error().is_retriable()) co_return unexpected(std::move(grouped).error());
        const bool is_in_time = co_await cluster_.wait(backoff.next(), deadline);
        if (!is_in_time) co_return unexpected(std::move(grouped).error());
    }
}

port::Task<Result<void>> Fetcher::group_by_leader(Round& round, Instant deadline) {
    for (const auto& [key, place] : places_) {
        if (place.rests) continue;
        DLOG_CO_TRY_ASSIGN(const TopicInfoPtr topic,
                           co_await cluster_.topic(key.topic, false, deadline));
        const auto index = static_cast<std::size_t>(key.partition);
        if (index >= topic->partitions.size()) {
            co_return unexpected(broker_error(
                ErrorCode::kUnknownTopicOrPartition,
                "topic " + key.topic + " has no partition " + std::to_string(key.partition)));
        }
        round.keys[topic->partitions[index].leader].push_back(key);
    }
    co_return Result<void>();
}

port::Task<void> Fetcher::ask(Fetcher* self, std::shared_ptr<Round> round, NodeId leader) {
    auto fetched = co_await self->ask_leader(leader, round->keys.at(leader));
    if (fetched) {
        std::move(fetched->begin(), fetched->end(), std::back_inserter(round->fetched));
    } else {
        for (const Key& key : round->keys.at(leader)) self->cluster_.forget_topic(key.topic);
        round->failure = std::move(fetched).error();
    }
    --round->open;
    round->done.notify_all();
}

port::Task<Result<std::vector<Fetched>>> Fetcher::ask_leader(NodeId leader, std::vector<Key> keys) {
    protocol::FetchRequest request;
    request.max_wait_ms = static_cast<std::int32_t>(config_.wait_max.ms());
    request.min_bytes = config_.bytes_min;
    request.max_bytes = config_.bytes_max;
    request.isolation_level = config_.reads_committed ? 1 : 0;
    for (const Key& key : keys) {
        if (request.topics.empty() || request.topics.back().topic != key.topic) {
            request.topics.emplace_back().topic = key.topic;
        }
        auto& partition = request.topics.back().partitions.emplace_back();
        partition.partition = key.partition;
        partition.fetch_offset = places_[key].position.value;
        partition.partition_max_bytes = config_.partition_bytes_max;
    }
    DLOG_CO_TRY_ASSIGN(const ConnectionPtr connection, co_await cluster_.connection_to(leader));
    const Instant deadline = cluster_.default_deadline() + config_.wait_max;
    DLOG_CO_TRY_ASSIGN(const auto answer, co_await connection->call(
                                              std::move(request), {.deadline = deadline,
                                                                   .version_max = kLastWithNames}));
    if (answer->error_code != ErrorCode::kNone) {
        co_return unexpected(broker_error(answer->error_code, "Fetch"));
    }
    std::vector<Fetched> all;
    std::optional<Error> failure;
    for (const auto& topic : answer->responses) {
        for (const auto& data : topic.partitions) {
            const Key key{topic.topic, data.partition_index};
            if (!places_.contains(key)) continue;
            auto fetched = take_answer(key, answer.frame, data);
            if (fetched) {
                all.push_back(*std::move(fetched));
            } else {
                failure = std::move(fetched).error();
                cluster_.forget_topic(key.topic);
            }
        }
    }
    if (all.empty() && failure) co_return unexpected(*std::move(failure));
    co_return all;
}

/// The error: one that may pass, after which the same is asked again.
template <class Data>
Result<Fetched> Fetcher::take_answer(const Key& key, const Buffer& frame, const Data& data) {
    Error error =
        broker_error(data.error_code, key.topic + " partition " + std::to_string(key.partition));
    const bool is_wrong = data.error_code != ErrorCode::kNone;
    const bool may_pass = error.is_retriable() && data.error_code != ErrorCode::kCorruptMessage;
    if (is_wrong && may_pass) return unexpected(std::move(error));
    Fetched fetched = take(key, frame, data.records.view());
    fetched.high_watermark = Offset{data.high_watermark};
    fetched.log_start_offset = Offset{data.log_start_offset};
    if (is_wrong) fetched.error = std::move(error);
    if (fetched.error) places_[key].rests = true;
    return fetched;
}

/// Checks the batches and moves the partition's position behind them. Half a batch at the end is
/// normal: the broker cuts at a number of bytes.
Fetched Fetcher::take(const Key& key, const Buffer& frame, ByteView records) {
    Place& place = places_[key];
    Fetched fetched{.topic = key.topic,
                    .partition = key.partition,
                    .from = place.position,
                    .next_offset = place.position,
                    .frame = frame};
    record::BatchSplitter splitter(records);
    for (;;) {
        const auto item = splitter.next();
        const bool is_cut = !item && item.error() == record::Error::kTruncated;
        if (is_cut && (!fetched.batches.empty() || records.empty())) break;
        if (item && !item->has_value()) break;
        auto fault = item ? record::verify_crc((*item)->bytes)
                          : record::Result<void>(unexpected(item.error()));
        if (!fault) {
            fetched.error =
                Error{.kind = ErrorKind::kCorrupt,
                      .detail = key.topic + " partition " + std::to_string(key.partition) +
                                " at offset " + std::to_string(fetched.next_offset.value) + ": " +
                                std::string(record::error_text(fault.error()))};
            break;
        }
        fetched.batches.push_back((*item)->bytes);
        fetched.next_offset = std::max(fetched.next_offset, (*item)->header.next_offset());
    }
    place.position = fetched.next_offset;
    return fetched;
}

}  // namespace dlog::client
