/// For tests: one coordinator in virtual time, with the log that its records make and the clients'
/// side of its replies.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "coordination/group/coordinator.h"
#include "coordination/group/records.h"

namespace dlog::coordination::test {

using protocol::ErrorCode;

class FixedTopics final : public Topics {
  public:
    [[nodiscard]] bool find(std::string_view name, Topic& found) const override {
        return take(std::ranges::find(topics, name, &Topic::name), found);
    }
    [[nodiscard]] bool find(TopicId id, Topic& found) const override {
        return take(std::ranges::find(topics, id, &Topic::id), found);
    }
    [[nodiscard]] std::vector<Topic> all() const override { return topics; }
    [[nodiscard]] std::uint64_t version() const override { return changes; }
    [[nodiscard]] OwnSettings own_settings(std::string_view group_id) const override {
        return group_id == "g" ? own : OwnSettings{};
    }

    OwnSettings own = {};       ///< Of the group "g".
    std::uint64_t changes = 1;  ///< To be counted by who changes `topics`.
    std::vector<Topic> topics = {{.id = {1, 1}, .name = "orders", .partition_count = 4},
                                 {.id = {2, 2}, .name = "payments", .partition_count = 4}};

  private:
    bool take(std::vector<Topic>::const_iterator at, Topic& found) const {
        if (at == topics.end()) return false;
        found = *at;
        return true;
    }
};

/// The consumer protocol's subscription to these topics, version 0.
inline std::string subscription(const std::vector<std::string>& topics) {
    protocol::Writer writer;
    writer.write(std::int16_t{0});
    writer.write(static_cast<std::int32_t>(topics.size()));
    for (const std::string& topic : topics) {
        writer.write(static_cast<std::int16_t>(topic.size()));
        for (const char letter : topic) writer.write(static_cast<std::int8_t>(letter));
    }
    writer.write(std::int32_t{-1});
    return std::string(as_text(writer.take().view()));
}

struct JoinSpec {
    std::string group = "g";
    std::string member = {};
    std::optional<std::string> instance = {};
    std::vector<std::pair<std::string, std::string>> protocols = {
        {"range", subscription({"orders"})}};
    std::int32_t session_ms = 10'000;
    std::int32_t rebalance_ms = 60'000;
    /// Below 4 a dynamic member needs no id to join.
    std::int16_t version = 3;
    std::string type = "consumer";
};

class World {
  public:
    explicit World(GroupSettings group_settings = {}) : settings(std::move(group_settings)) {
        start();
    }

    /// The log that there is so far is all that the next coordinator knows. Tickets that wait are
    /// dropped with the old one.
    void restart() {
        waiting.clear();
        start();
    }

    Ticket apply(Input input, Ticket ticket) {
        const bool asks = ticket != 0;
        if (asks) DLOG_ASSERT(waiting.insert(ticket).second, ticket);
        const Now now{instant, wall(), topics};
        take(coordinator->step(now, input));
        return ticket;
    }

    Ticket join(const JoinSpec& spec) {
        protocol::JoinGroupRequest request;
        request.group_id = spec.group;
        request.session_timeout_ms = spec.session_ms;
        request.rebalance_timeout_ms = spec.rebalance_ms;
        request.member_id = spec.member;
        request.group_instance_id = spec.instance;
        request.protocol_type = spec.type;
        for (const auto& [name, metadata] : spec.protocols) {
            request.protocols.push_back({.name = name, .metadata = ByteView(as_bytes(metadata))});
        }
        const Ticket ticket = ++last_ticket;
        return apply(Join{ticket, {"client", "/127.0.0.1"}, spec.version, request}, ticket);
    }
    Ticket sync(const std::string& member, std::int32_t generation,
                const std::map<std::string, std::string>& assignments = {},
                const std::string& group = "g") {
        protocol::SyncGroupRequest request;
        request.group_id = group;
        request.member_id = member;
        request.generation_id = generation;
        for (const auto& [id, assignment] : assignments) {
            request.assignments.push_back(
                {.member_id = id, .assignment = ByteView(as_bytes(assignment))});
        }
        const Ticket ticket = ++last_ticket;
        return apply(Sync{ticket, request}, ticket);
    }
    ErrorCode beat(const std::string& member, std::int32_t generation,
                   std::optional<std::string> instance = {}, const std::string& group = "g") {
        protocol::HeartbeatRequest request;
        request.group_id = group;
        request.member_id = member;
        request.generation_id = generation;
        request.group_instance_id = std::move(instance);
        const Ticket ticket = ++last_ticket;
        apply(Beat{ticket, request}, ticket);
        return get<protocol::HeartbeatResponse>(ticket).error_code;
    }
    protocol::LeaveGroupResponse leave(
        std::vector<std::pair<std::string, std::optional<std::string>>> members,
        const std::string& group = "g") {
        protocol::LeaveGroupRequest request;
        request.group_id = group;
        for (auto& [id, instance] : members) {
            request.members.push_back({.member_id = id, .group_instance_id = instance});
        }
        const Ticket ticket = ++last_ticket;
        apply(Leave{ticket, request}, ticket);
        return get<protocol::LeaveGroupResponse>(ticket);
    }
    ErrorCode commit(const std::string& member, std::int32_t generation, std::int64_t offset,
                     const std::string& topic = "orders", std::int32_t partition = 0,
                     const std::string& group = "g") {
        return commit(request_of(member, generation, offset, topic, partition, group));
    }
    static protocol::OffsetCommitRequest request_of(const std::string& member,
                                                    std::int32_t generation, std::int64_t offset,
                                                    const std::string& topic = "orders",
                                                    std::int32_t partition = 0,
                                                    const std::string& group = "g") {
        protocol::OffsetCommitRequest request;
        request.group_id = group;
        request.member_id = member;
        request.generation_id_or_member_epoch = generation;
        auto& out = request.topics.emplace_back();
        out.name = topic;
        out.partitions.push_back({.partition_index = partition, .committed_offset = offset});
        return request;
    }
    /// What the first partition is answered.
    ErrorCode commit(const protocol::OffsetCommitRequest& request, std::int16_t version = 8) {
        const Ticket ticket = ++last_ticket;
        apply(Commit{ticket, request, version}, ticket);
        return get<protocol::OffsetCommitResponse>(ticket).topics.at(0).partitions.at(0).error_code;
    }
    /// -1 when there is none.
    std::int64_t committed(const std::string& topic = "orders", std::int32_t partition = 0,
                           const std::string& group = "g") {
        protocol::OffsetFetchRequest::OffsetFetchRequestGroup request;
        request.group_id = group;
        request.topics.emplace().push_back({.name = topic, .partition_indexes = {partition}});
        return fetch(request).topics.at(0).partitions.at(0).committed_offset;
    }
    protocol::OffsetFetchResponse::OffsetFetchResponseGroup fetch(
        const protocol::OffsetFetchRequest::OffsetFetchRequestGroup& request) {
        const Ticket ticket = ++last_ticket;
        apply(FetchOffsets{ticket, request}, ticket);
        return get<protocol::OffsetFetchResponse::OffsetFetchResponseGroup>(ticket);
    }
    protocol::DescribeGroupsResponse::DescribedGroup describe(const std::string& group = "g") {
        const Ticket ticket = ++last_ticket;
        apply(Describe{ticket, group}, ticket);
        return get<protocol::DescribeGroupsResponse::DescribedGroup>(ticket);
    }
    std::string state(const std::string& group = "g") { return describe(group).group_state; }
    ErrorCode remove(const std::string& group = "g") {
        const Ticket ticket = ++last_ticket;
        apply(Delete{ticket, group}, ticket);
        return get<protocol::DeleteGroupsResponse::DeletableGroupResult>(ticket).error_code;
    }
    std::vector<std::string> list(std::vector<std::string> states,
                                  std::vector<std::string> types = {}) {
        protocol::ListGroupsRequest request;
        request.states_filter = std::move(states);
        request.types_filter = std::move(types);
        const Ticket ticket = ++last_ticket;
        apply(List{ticket, request}, ticket);
        std::vector<std::string> result;
        for (const auto& each : get<protocol::ListGroupsResponse>(ticket).groups) {
            result.push_back(each.group_id);
        }
        std::ranges::sort(result);
        return result;
    }

    /// Lets time go by, with every tick that is asked for.
    void advance(Duration span) {
        const Instant end = instant + span;
        while (wake_at <= end) {
            instant = std::max(instant, wake_at);
            apply(Tick{}, 0);
            DLOG_ASSERT(wake_at > instant, wake_at.ns, instant.ns);
        }
        instant = end;
    }
    [[nodiscard]] bool waits(Ticket ticket) const { return waiting.contains(ticket); }
    template <class M>
    const M& get(Ticket ticket) const {
        DLOG_ASSERT(replies.contains(ticket), ticket);
        return std::get<M>(replies.at(ticket).message);
    }
    const protocol::JoinGroupResponse& joined(Ticket ticket) const {
        return get<protocol::JoinGroupResponse>(ticket);
    }
    const protocol::SyncGroupResponse& synced(Ticket ticket) const {
        return get<protocol::SyncGroupResponse>(ticket);
    }
    [[nodiscard]] Timestamp wall() const {
        return Timestamp{1'700'000'000'000 + instant.ns / 1'000'000};
    }

    GroupSettings settings;
    FixedTopics topics;
    Instant instant{1};
    Instant wake_at = kNever;
    std::unique_ptr<Coordinator> coordinator;
    std::vector<GroupRecord> log;
    std::map<Ticket, Reply> replies;
    std::set<Ticket> waiting;
    Ticket last_ticket = 0;

  private:
    void start() {
        // No id is made twice, also when nothing was written between two starts.
        coordinator = std::make_unique<Coordinator>(settings, ++starts_);
        for (const GroupRecord& record : log) {
            const auto folded =
                coordinator->replay(record.key.view(), record.is_tombstone, record.value.view());
            DLOG_ASSERT(folded.has_value(), folded.error());
        }
        take(coordinator->begin({instant, wall(), topics}));
    }
    void take(Effects effects) {
        wake_at = effects.wake_at;
        for (GroupRecord& record : effects.records) log.push_back(std::move(record));
        for (Reply& reply : effects.replies) {
            DLOG_ASSERT(waiting.erase(reply.ticket) == 1, reply.ticket);
            const Ticket ticket = reply.ticket;
            DLOG_ASSERT(replies.emplace(ticket, std::move(reply)).second, ticket);
        }
    }

    std::uint64_t starts_ = 6;
};

/// A stable group "g" of so many dynamic members, in generation 1. Each is assigned its own id.
/// The ids; the leader's first.
inline std::vector<std::string> start_group(World& world, std::size_t count,
                                            const JoinSpec& spec = {}) {
    std::vector<Ticket> joins;
    for (std::size_t i = 0; i < count; ++i) joins.push_back(world.join(spec));
    world.advance(seconds(7));
    std::vector<std::string> ids;
    std::map<std::string, std::string> assignments;
    for (const Ticket ticket : joins) {
        const auto& joined = world.joined(ticket);
        DLOG_ASSERT(joined.error_code == ErrorCode::kNone, joined.error_code);
        ids.push_back(joined.member_id);
        assignments[joined.member_id] = joined.member_id;
        if (joined.leader == joined.member_id) std::swap(ids.front(), ids.back());
    }
    const std::int32_t generation = world.joined(joins.front()).generation_id;
    for (const std::string& id : ids) {
        world.sync(id, generation, id == ids.front() ? assignments : decltype(assignments)(),
                   spec.group);
    }
    return ids;
}

}  // namespace dlog::coordination::test
