/// Fetch: reads each partition on the core that owns it, waits for more when there is too little,
/// and answers with the bytes as they lie.
#include <algorithm>
#include <list>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "broker/affinity.h"
#include "broker/client_throttle.h"
#include "broker/core.h"
#include "broker/errors.h"
#include "broker/fetch_session.h"
#include "broker/fetch_wait.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "port/entropy.h"
#include "protocol/messages/fetch.h"

namespace dlog::broker {

namespace {

using protocol::ErrorCode;
using protocol::FetchRequest;
using protocol::FetchResponse;
using replication::Partition;

constexpr std::int16_t kFirstVersionWithTopicIds = 13;

/// One partition of a fetch: what is asked, and what was read.
struct Part {
    std::list<FetchItem>::iterator item;
    TopicId topic_id;
    CoreId owner;
    std::uint32_t order = 0;  // in the session
    ErrorCode error = ErrorCode::kNone;
    replication::EpochEnd diverging;
    std::int64_t high_watermark = -1;
    std::int64_t log_start_offset = -1;
    std::vector<port::OutPart> records;
    std::size_t records_bytes = 0;

    [[nodiscard]] bool is_diverging() const { return diverging.epoch != kNoEpoch; }
};

/// One pass over the partitions.
struct Pass {
    std::size_t bytes = 0;
    std::size_t bytes_max = 0;
    bool must_answer = false;  // an error or a diverging epoch is not to wait
};

FetchSessionRequest session_request(FetchRequest& body, bool uses_topic_ids) {
    FetchSessionRequest request{.session_id = body.session_id,
                                .session_epoch = body.session_epoch,
                                .uses_topic_ids = uses_topic_ids};
    for (const FetchRequest::FetchTopic& topic : body.topics) {
        for (const FetchRequest::FetchPartition& asked : topic.partitions) {
            FetchItem item;
            item.key = {
                .topic_id = topic.topic_id, .topic = topic.topic, .partition = asked.partition};
            item.current_leader_epoch = asked.current_leader_epoch;
            item.fetch_offset = asked.fetch_offset;
            item.last_fetched_epoch = asked.last_fetched_epoch;
            item.max_bytes = asked.partition_max_bytes;
            request.items.push_back(std::move(item));
        }
    }
    for (const FetchRequest::ForgottenTopic& topic : body.forgotten_topics_data) {
        for (const std::int32_t partition : topic.partitions) {
            request.forgotten.push_back(
                {.topic_id = topic.topic_id, .topic = topic.topic, .partition = partition});
        }
    }
    return request;
}

/// Finds each partition's owner; unknown ones get their error here.
std::vector<Part> resolve(Core& core, const View& view, FetchSession& session,
                          bool uses_topic_ids) {
    std::vector<Part> parts;
    parts.reserve(session.items().size());
    for (auto item = session.items().begin(); item != session.items().end(); ++item) {
        Part part;
        part.item = item;
        const TopicView* topic =
            uses_topic_ids ? view.find(item->key.topic_id) : view.find(item->key.topic);
        part.owner = core.id();
        part.order = static_cast<std::uint32_t>(parts.size());
        if (topic == nullptr) {
            part.error =
                uses_topic_ids ? ErrorCode::kUnknownTopicId : ErrorCode::kUnknownTopicOrPartition;
        } else if (!topic->has(item->key.partition)) {
            part.error = ErrorCode::kUnknownTopicOrPartition;
        } else {
            part.topic_id = topic->topic->id;
            part.owner = topic->owner(item->key.partition);
        }
        parts.push_back(std::move(part));
    }
    return parts;
}

/// KIP-320: the reader's idea of the leader's epoch, and where its log and ours part.
bool check_epochs(const Partition& partition, Part& part) {
    const FetchItem& item = *part.item;
    if (item.current_leader_epoch >= 0) {
        const LeaderEpoch epoch(item.current_leader_epoch);
        if (epoch < partition.leader_epoch()) part.error = ErrorCode::kFencedLeaderEpoch;
        if (epoch > partition.leader_epoch()) part.error = ErrorCode::kUnknownLeaderEpoch;
        if (part.error != ErrorCode::kNone) return false;
    }
    if (item.last_fetched_epoch < 0) return true;
    const LeaderEpoch fetched(item.last_fetched_epoch);
    const auto end = partition.end_of_epoch(fetched);
    if (!end) {
        part.error = error_code_of(end.error());
        return false;
    }
    const bool is_diverging = end->epoch < fetched || end->end_offset < Offset(item.fetch_offset);
    if (is_diverging) part.diverging = *end;
    return !is_diverging;
}

/// On the partition's core. Reads what fits into what is left of the pass.
port::Task<void> read_part(Core& owner, Part& part, Pass& pass) {
    const replication::PartitionPtr partition =
        owner.shard.find(part.topic_id, PartitionId(part.item->key.partition));
    if (partition == nullptr) {
        const bool is_by_id = part.item->key.topic.empty();
        part.error =
            owner.missing_error(part.topic_id, is_by_id ? ErrorCode::kUnknownTopicId
                                                        : ErrorCode::kUnknownTopicOrPartition);
        co_return;
    }
    if (!check_epochs(*partition, part)) co_return;
    const Offset from(part.item->fetch_offset);
    if (from < partition->log_start_offset() || from > partition->log_end_offset()) {
        part.error = ErrorCode::kOffsetOutOfRange;
        co_return;
    }
    part.high_watermark = partition->high_watermark().value;
    part.log_start_offset = partition->log_start_offset().value;
    const std::size_t left = pass.bytes_max - std::min(pass.bytes, pass.bytes_max);
    replication::ReadRequest request{.from = from};
    request.max_bytes = std::min(left, static_cast<std::size_t>(std::max(0, part.item->max_bytes)));
    request.at_least_one = pass.bytes == 0;
    if (from >= partition->high_watermark() || (request.max_bytes == 0 && !request.at_least_one)) {
        co_return;
    }
    auto read = partition->read_now(request);
    if (!read) read = co_await partition->read(request);
    if (!*read) {
        part.error = error_code_of(read->error());
        part.high_watermark = -1;
        part.log_start_offset = -1;
        co_return;
    }
    part.high_watermark = (*read)->high_watermark.value;
    part.log_start_offset = (*read)->log_start_offset.value;
    part.records_bytes = (*read)->size_bytes;
    part.records = std::move((*read)->parts);
    pass.bytes += part.records_bytes;
}

/// Goes from core to core, its own first, and reads every partition. `parts` are grouped by owner.
port::Task<Pass> read_all(Core& home, std::vector<Part>& parts, std::size_t bytes_max) {
    Pass pass{.bytes_max = bytes_max};
    Core* here = &home;
    for (Part& part : parts) {
        if (part.topic_id.is_zero()) {  // unknown: its error stays
            pass.must_answer = true;
            continue;
        }
        part.error = ErrorCode::kNone;
        part.diverging = {};
        part.high_watermark = -1;
        part.log_start_offset = -1;
        part.records.clear();
        part.records_bytes = 0;
        if (part.owner != here->id()) {
            Core* const owner = &home.other(part.owner);
            co_await port::hop(here->ports.spawn, part.owner);
            here = owner;
        }
        co_await read_part(*here, part, pass);
        if (part.error != ErrorCode::kNone || part.is_diverging()) pass.must_answer = true;
    }
    co_await port::hop(here->ports.spawn, home.id());
    co_return pass;
}

std::vector<WatchedPartition> watched(const std::vector<Part>& parts) {
    std::vector<WatchedPartition> result;
    result.reserve(parts.size());
    for (const Part& part : parts) {
        result.push_back({.topic = part.topic_id,
                          .partition = part.item->key.partition,
                          .owner = part.owner,
                          .high_watermark = Offset(part.high_watermark),
                          .log_start_offset = Offset(part.log_start_offset)});
    }
    return result;
}

/// Own partitions first, then the other cores' in turn; within a core as the session has them.
void group_by_owner(std::vector<Part>& parts, const Core& home) {
    const std::uint32_t count = home.ports.spawn.core_count();
    const auto distance = [&home, count](const Part& part) {
        return std::pair((part.owner.value + count - home.id().value) % count, part.order);
    };
    std::ranges::sort(parts, {}, distance);
}

FetchResponse::PartitionData partition_answer(const Part& part) {
    FetchResponse::PartitionData answer;
    answer.partition_index = part.item->key.partition;
    answer.error_code = part.error;
    answer.high_watermark = part.high_watermark;
    // Without transactions everything committed is stable.
    answer.last_stable_offset = part.high_watermark;
    answer.log_start_offset = part.log_start_offset;
    if (part.is_diverging()) {
        answer.diverging_epoch.epoch = part.diverging.epoch.value;
        answer.diverging_epoch.end_offset = part.diverging.end_offset.value;
    }
    return answer;
}

/// Puts the records' bytes where the encoder left room for them.
Response splice(const std::vector<protocol::Splice>& places, const Buffer& head,
                std::vector<Part>& parts) {
    Response response;
    std::size_t position = 0;
    for (const protocol::Splice& place : places) {
        if (place.position > position) {
            response.parts.emplace_back(head.slice(position, place.position - position));
        }
        position = place.position;
        for (port::OutPart& records : parts[place.token].records) {
            response.parts.push_back(std::move(records));
        }
    }
    if (head.size() > position) {
        response.parts.emplace_back(head.slice(position, head.size() - position));
    }
    return response;
}

Response answer(const Request& request, FetchSession& session, std::vector<Part>& parts) {
    FetchResponse body;
    Core& core = *request.core;
    std::size_t records_bytes = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        Part& part = parts[i];
        const bool is_told = session.tell(part.item, {.error = part.error,
                                                      .high_watermark = part.high_watermark,
                                                      .log_start_offset = part.log_start_offset,
                                                      .has_records = part.records_bytes > 0,
                                                      .has_diverging_epoch = part.is_diverging()});
        if (!is_told) continue;
        const FetchKey& key = part.item->key;
        const bool is_same_topic = !body.responses.empty() &&
                                   body.responses.back().topic_id == key.topic_id &&
                                   body.responses.back().topic == key.topic;
        if (!is_same_topic) {
            auto& topic = body.responses.emplace_back();
            topic.topic_id = key.topic_id;
            topic.topic = key.topic;
        }
        auto& data = body.responses.back().partitions.emplace_back(partition_answer(part));
        data.records =
            protocol::Records::external(part.records_bytes, static_cast<std::uint32_t>(i));
        if (request.version >= 12 && (part.error == ErrorCode::kFencedLeaderEpoch ||
                                      part.error == ErrorCode::kUnknownLeaderEpoch)) {
            data.current_leader.leader_id = core.config.node_id.value;
            data.current_leader.leader_epoch = core.shared.epoch.value;
        }
        if (part.error != ErrorCode::kNone) ++core.metrics.fetch_errors;
        core.metrics.fetched_bytes += part.records_bytes;
        records_bytes += part.records_bytes;
    }
    body.session_id = core.sessions.end(session);
    charge_fetch(request, records_bytes);
    body.throttle_time_ms = throttle_ms(request);
    protocol::Writer writer;
    const auto encoded =
        protocol::encode_response_frame(writer, request.version, request.correlation_id, body);
    if (!encoded) return unencodable(request, encoded.error());
    const std::vector<protocol::Splice> places = writer.splices();
    return splice(places, writer.take(), parts);
}

}  // namespace

port::Task<Response> handle_fetch(Request request) {
    Core& core = *request.core;
    const Instant begin = core.ports.clock.now();
    auto body = decode_request<FetchRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    request.frame = {};
    const bool uses_topic_ids = request.version >= kFirstVersionWithTopicIds;
    auto session = core.sessions.begin(session_request(*body, uses_topic_ids), begin,
                                       core.ports.entropy.next());
    if (!session) {
        FetchResponse refusal;
        refusal.error_code = session.error();
        co_return respond(request, refusal);
    }
    ViewPtr view = core.view;
    std::vector<Part> parts = resolve(core, *view, **session, uses_topic_ids);
    for (const Part& part : parts) request.affinity->visited(part.owner, 1);
    *request.fetch_session_id = (*session)->id();
    group_by_owner(parts, core);
    const auto bytes_max = fetch_bytes_allowed(
        request,
        static_cast<std::size_t>(std::clamp(body->max_bytes, 0, core.config.fetch_bytes_max)));
    const auto bytes_min = static_cast<std::size_t>(std::max(0, body->min_bytes));
    const Instant deadline = begin + milliseconds(std::max(0, body->max_wait_ms));
    while (true) {
        const Pass pass = co_await read_all(core, parts, bytes_max);
        if (pass.bytes >= std::min(bytes_min, bytes_max) || pass.must_answer || parts.empty()) {
            break;
        }
        if (core.is_stopping || core.ports.clock.now() >= deadline) break;
        const std::vector<WatchedPartition> seen = watched(parts);
        co_await wait_for_progress(core, seen, deadline);
    }
    co_return answer(request, **session, parts);
}

}  // namespace dlog::broker
