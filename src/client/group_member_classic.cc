/// The classic protocol: a member joins, the leader decides for all, each fetches its share.
#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "client/group_codec.h"
#include "client/group_member.h"
#include "pattern/topic_pattern.h"
#include "port/clock.h"
#include "protocol/messages/heartbeat.h"
#include "protocol/messages/join_group.h"
#include "protocol/messages/sync_group.h"

namespace dlog::client {

using protocol::ErrorCode;

namespace {

constexpr std::string_view kProtocolType = "consumer";

/// Beyond the rebalance's own timeout, for the way there and back.
constexpr Duration kAnswerTime = seconds(5);

std::vector<std::string_view> names_of(OfferedAssignors offered) {
    switch (offered) {
        case OfferedAssignors::kRange:
            return {kRangeName};
        case OfferedAssignors::kCooperativeSticky:
            return {kCooperativeStickyName};
        case OfferedAssignors::kRangeOrCooperativeSticky:
            return {kRangeName, kCooperativeStickyName};
    }
    DLOG_UNREACHABLE();
}

}  // namespace

port::Task<void> GroupMember::join() {
    must_join_ = false;
    if (!is_cooperative() && !owned_.empty()) {
        co_await listener_.revoked(owned_);
        if (is_lost_ || is_ending_) co_return;
        owned_.clear();
    }
    is_joining_ = true;
    auto assigned = co_await join_and_sync();
    is_joining_ = false;
    last_heard_ = cluster_.ports().clock.now();
    if (assigned) {
        backoff_.reset();
        co_await take(*std::move(assigned));
        co_return;
    }
    must_join_ = true;
    if (is_ending_ || assigned.error().code == ErrorCode::kMemberIdRequired) co_return;
    const Verdict verdict = judge(assigned.error());
    if (verdict == Verdict::kLost) lose();
    if (verdict == Verdict::kRejoin) co_return;
    port::Clock& clock = cluster_.ports().clock;
    const Instant until = clock.now() + backoff_.next();
    static_cast<void>(co_await changed_.wait_until(clock, until));
}

port::Task<Result<TopicPartitions>> GroupMember::join_and_sync() {
    DLOG_CO_TRY_ASSIGN(const ConnectionPtr connection, co_await connect());
    if (has_pattern()) DLOG_CO_TRY(co_await match_topics());
    if (is_ending_) co_return unexpected(Error{.kind = ErrorKind::kClosed});
    const Subscription mine{.topics = topics_, .owned = owned_, .generation = generation_};
    const Buffer metadata = encode_subscription(mine);
    protocol::JoinGroupRequest request;
    request.group_id = config_.group;
    request.session_timeout_ms = wire_ms(config_.session_timeout);
    request.rebalance_timeout_ms = wire_ms(config_.poll_interval_max);
    request.member_id = member_id_;
    request.group_instance_id = config_.instance_id;
    request.protocol_type = kProtocolType;
    for (const std::string_view name : names_of(config_.assignors)) {
        request.protocols.push_back({std::string(name), metadata.view()});
    }
    const port::Clock& clock = cluster_.ports().clock;
    const Duration patience = config_.poll_interval_max + kAnswerTime;
    auto joined =
        co_await connection->call(std::move(request), {.deadline = clock.now() + patience});
    if (!joined) co_return unexpected(std::move(joined).error());
    const ErrorCode code = (*joined)->error_code;
    if (code == ErrorCode::kMemberIdRequired) member_id_ = (*joined)->member_id;
    if (code != ErrorCode::kNone)
        co_return unexpected(broker_error(code, "group " + config_.group));
    member_id_ = (*joined)->member_id;
    protocol::SyncGroupRequest sync;
    sync.group_id = config_.group;
    sync.generation_id = (*joined)->generation_id;
    sync.member_id = member_id_;
    sync.group_instance_id = config_.instance_id;
    sync.protocol_type = kProtocolType;
    sync.protocol_name = (*joined)->protocol_name;
    const bool is_leader = (*joined)->leader == member_id_ && !(*joined)->skip_assignment;
    counts_.reset();
    std::vector<Buffer> encoded;
    if (is_leader) {
        DLOG_CO_TRY_ASSIGN(const Assignments decided, co_await decide(&joined->message));
        encoded.reserve(decided.size());
        for (const auto& [member, partitions] : decided) {
            encoded.push_back(encode_assignment(partitions));
            sync.assignments.push_back({member, encoded.back().view()});
        }
    }
    const std::int32_t generation = sync.generation_id;
    DLOG_CO_TRY_ASSIGN(
        const auto synced,
        co_await connection->call(std::move(sync), {.deadline = clock.now() + patience}));
    if (synced->error_code != ErrorCode::kNone) {
        co_return unexpected(broker_error(synced->error_code, "group " + config_.group));
    }
    generation_ = generation;
    co_return decode_assignment(synced->assignment);
}

/// As the leader: who gets what, by the assignor that all have.
template <class Joined>
port::Task<Result<Assignments>> GroupMember::decide(Joined joined) {
    std::vector<Subscription> members;
    std::set<std::string> topics;
    for (const auto& member : joined->members) {
        auto subscription = decode_subscription(member.metadata);
        if (!subscription) co_return unexpected(std::move(subscription).error());
        subscription->member_id = member.member_id;
        subscription->instance_id = member.group_instance_id;
        topics.insert(subscription->topics.begin(), subscription->topics.end());
        members.push_back(*std::move(subscription));
    }
    counted_topics_.assign(topics.begin(), topics.end());
    DLOG_CO_TRY_ASSIGN(counts_, co_await count_partitions(counted_topics_));
    const std::string name = joined->protocol_name.value_or("");
    if (name == kRangeName) co_return assign_range(std::move(members), *counts_);
    if (name == kCooperativeStickyName) co_return assign_cooperative_sticky(members, *counts_);
    co_return unexpected(
        Error{.kind = ErrorKind::kBadResponse, .detail = "JoinGroup: assignor \"" + name + "\""});
}

/// Of those that are there.
port::Task<Result<PartitionCounts>> GroupMember::count_partitions(std::vector<std::string> topics) {
    PartitionCounts counts;
    for (const std::string& topic : topics) {
        const auto info = co_await cluster_.topic(topic, false, cluster_.default_deadline());
        if (info) {
            counts[topic] = static_cast<std::int32_t>((*info)->partitions.size());
        } else if (info.error().is_retriable() &&
                   info.error().code != ErrorCode::kUnknownTopicOrPartition) {
            // It may be there: nobody is to lose its partitions because nobody answers.
            co_return unexpected(info.error());
        }
    }
    co_return counts;
}

/// A leader makes the group join again when topics appear, go or grow.
port::Task<void> GroupMember::look_for_new_partitions() {
    if (!counts_ || generation_ < 0) co_return;
    const std::int32_t generation = generation_;
    const auto counts = co_await count_partitions(counted_topics_);
    if (!counts) co_return;
    if (counts_ && generation == generation_ && *counts != *counts_) must_join_ = true;
}

port::Task<Result<void>> GroupMember::match_topics() {
    const std::string pattern = *pattern_;
    DLOG_CO_TRY_ASSIGN(const auto all, co_await cluster_.all_topics(cluster_.default_deadline()));
    std::vector<std::string_view> names;
    for (const TopicInfoPtr& topic : all) {
        if (!topic->is_internal) names.emplace_back(topic->name);
    }
    std::ranges::sort(names);
    auto matched = pattern::matching_names(pattern, names);
    if (!matched) {
        co_return unexpected(
            Error{.kind = ErrorKind::kBadRequest,
                  .detail = "the pattern \"" + pattern +
                            "\" takes too long to match the topics that there are"});
    }
    // It may have been subscribed anew meanwhile.
    if (pattern_ != pattern) co_return Result<void>();
    topics_ = *std::move(matched);
    matched_at_ = cluster_.ports().clock.now();
    co_return Result<void>();
}

port::Task<void> GroupMember::look_for_new_topics() {
    if (!has_pattern() || generation_ < 0) co_return;
    const Duration age = cluster_.ports().clock.now() - matched_at_;
    if (age < cluster_.config().metadata_age_max) co_return;
    const std::vector<std::string> before = topics_;
    const auto matched = co_await match_topics();
    if (matched && topics_ != before) must_join_ = true;
}

port::Task<Result<void>> GroupMember::heartbeat() {
    DLOG_CO_TRY_ASSIGN(const ConnectionPtr connection, co_await connect());
    if (is_ending_ || is_joining_ || generation_ < 0) co_return Result<void>();
    const std::int32_t generation = generation_;
    protocol::HeartbeatRequest request;
    request.group_id = config_.group;
    request.generation_id = generation;
    request.member_id = member_id_;
    request.group_instance_id = config_.instance_id;
    const Instant deadline = cluster_.ports().clock.now() + config_.session_timeout;
    DLOG_CO_TRY_ASSIGN(const auto answer,
                       co_await connection->call(std::move(request), {.deadline = deadline}));
    // It joined meanwhile: this is about a generation that has passed.
    const bool is_old = is_joining_ || generation != generation_;
    if (is_old || answer->error_code == ErrorCode::kNone) co_return Result<void>();
    co_return unexpected(broker_error(answer->error_code, "group " + config_.group));
}

}  // namespace dlog::client
