#include "cli/top_collect.h"

#include <utility>

#include "base/result.h"
#include "cli/http_get.h"
#include "cli/parse.h"
#include "cli/session.h"
#include "client/admin.h"
#include "client/groups.h"
#include "port/clock.h"

namespace dlog::cli {

namespace {

/// A node that is slower than this with its numbers is shown without them.
constexpr Duration kHttpTimeout = seconds(2);

port::Task<void> look_at_topics(Session& session, Look* look,
                                std::vector<client::TopicInfoPtr> topics) {
    const Instant deadline = session.deadline();
    const auto first = co_await client::offsets_everywhere(session.cluster, topics,
                                                           client::kEarliestOffset, deadline);
    const auto end = co_await client::offsets_everywhere(session.cluster, topics,
                                                         client::kLatestOffset, deadline);
    const auto offset_in = [](const auto& offsets, const client::PartitionName& name) {
        const auto found = offsets.find(name);
        return found == offsets.end() ? kNoOffset : found->second;
    };
    for (const client::TopicInfoPtr& topic : topics) {
        auto& partitions = look->topics[topic->name];
        for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
            const client::PartitionName name{topic->name, static_cast<std::int32_t>(i)};
            partitions.push_back({.leader = topic->partitions[i].leader,
                                  .first = offset_in(first, name),
                                  .end = offset_in(end, name)});
        }
    }
}

port::Task<void> look_at_nodes(Session& session, Look* look) {
    for (const NodeId id : session.cluster.known_brokers()) {
        NodeLook& node = look->nodes[id];
        node.address = session.cluster.address_of(id).text();
        auto stored = co_await client::stored_logs(session.cluster, id, session.deadline());
        if (stored) {
            node.stored = *std::move(stored);
        } else {
            look->complaints.push_back("node " + std::to_string(id.value) + ": " +
                                       stored.error().text());
        }
    }
}

port::Task<void> look_at_metrics(Session& session, Look* look, std::vector<HttpPlace> places) {
    for (const HttpPlace& place : places) {
        if (!place.node && look->nodes.size() != 1) {
            look->complaints.push_back("--http " + place.endpoint.text() +
                                       " of which node? Write --http ID=HOST:PORT");
            continue;
        }
        const NodeId id = place.node.value_or(look->nodes.begin()->first);
        const auto node = look->nodes.find(id);
        if (node == look->nodes.end()) continue;  // it is away
        const auto text =
            co_await http_get(&session.ports, place.endpoint, "/metrics", kHttpTimeout);
        if (text) {
            node->second.metrics = parse_metrics(*text);
        } else {
            look->complaints.push_back(text.error());
        }
    }
}

port::Task<client::Result<GroupLook>> look_at_group(Session& session, std::string id) {
    const Instant deadline = session.deadline();
    DLOG_CO_TRY_ASSIGN(const auto group,
                       co_await client::describe_group(session.cluster, id, deadline));
    DLOG_CO_TRY_ASSIGN(const auto committed,
                       co_await client::committed_offsets(session.cluster, id, deadline));
    GroupLook look{.state = group.state, .members = group.members.size()};
    for (const client::CommittedOffset& offset : committed) {
        look.committed[{offset.topic, offset.partition}] = offset.offset;
    }
    co_return look;
}

port::Task<void> look_at_groups(Session& session, Look* look) {
    const auto groups = co_await client::list_groups(session.cluster, {}, session.deadline());
    if (!groups) {
        look->complaints.push_back("groups: " + groups.error().text());
        co_return;
    }
    for (const client::GroupSummary& group : *groups) {
        auto one = co_await look_at_group(session, group.id);
        if (one) look->groups[group.id] = *std::move(one);
    }
}

}  // namespace

std::expected<HttpPlace, std::string> parse_http_place(std::string_view text) {
    HttpPlace place;
    std::string_view address = text;
    if (const std::size_t equals = text.find('='); equals != std::string_view::npos) {
        DLOG_TRY_ASSIGN(const std::int64_t id,
                        whole_number("http", std::string(text.substr(0, equals)), 0, INT32_MAX));
        place.node = NodeId{static_cast<std::int32_t>(id)};
        address = text.substr(equals + 1);
    }
    if (!port::parse_endpoint(address, place.endpoint) || place.endpoint.port == 0) {
        return unexpected("--http \"" + std::string(text) +
                          "\" is not HOST:PORT or ID=HOST:PORT, such as 127.0.0.1:9644");
    }
    return place;
}

port::Task<client::Result<Look>> take_look(Session& session, std::vector<HttpPlace> places) {
    DLOG_CO_TRY_ASSIGN(auto topics, co_await session.cluster.all_topics(session.deadline()));
    std::erase_if(topics, [](const client::TopicInfoPtr& topic) { return topic->is_internal; });
    Look look{.at = session.ports.clock.now(), .wall = session.ports.clock.wall_now()};
    co_await look_at_topics(session, &look, std::move(topics));
    co_await look_at_nodes(session, &look);
    co_await look_at_metrics(session, &look, std::move(places));
    co_await look_at_groups(session, &look);
    co_return look;
}

}  // namespace dlog::cli
