/// The new protocol (KIP-848): each heartbeat tells the broker what the member owns and wants, and
/// the answer says what it is to own.
#include <algorithm>
#include <utility>

#include "base/result.h"
#include "client/group_member.h"
#include "port/clock.h"
#include "protocol/messages/consumer_group_heartbeat.h"

namespace dlog::client {

using protocol::ErrorCode;

namespace {

/// The member chooses its id itself, as long as it lives: 128 random bits.
std::string new_member_id(Random& random) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string id;
    for (int half = 0; half < 2; ++half) {
        std::uint64_t bits = random.next();
        for (int digit = 0; digit < 16; ++digit, bits >>= 4) id += kDigits[bits & 15];
    }
    return id;
}

}  // namespace

port::Task<Result<void>> GroupMember::consumer_heartbeat() {
    using Request = protocol::ConsumerGroupHeartbeatRequest;
    DLOG_CO_TRY_ASSIGN(const ConnectionPtr connection, co_await connect());
    if (is_ending_ || is_lost_) co_return Result<void>();
    if (member_id_.empty()) member_id_ = new_member_id(cluster_.random());
    const bool joins = generation_ < 0;
    Request request;
    request.group_id = config_.group;
    request.member_id = member_id_;
    request.member_epoch = joins ? 0 : generation_;
    request.instance_id = config_.instance_id;
    if (joins || !is_all_said_) {
        request.rebalance_timeout_ms = wire_ms(config_.poll_interval_max);
        request.subscribed_topic_names = topics_;
        request.subscribed_topic_regex = pattern_;
    }
    is_all_said_ = true;
    auto& owned = request.topic_partitions.emplace();
    for (const auto& [topic, partitions] : owned_) {
        const auto info = co_await cluster_.topic(topic, false, cluster_.default_deadline());
        if (info) owned.push_back({(*info)->id, partitions});
    }
    const Instant deadline = cluster_.ports().clock.now() + config_.session_timeout;
    auto answer = co_await connection->call(std::move(request), {.deadline = deadline});
    // Nobody knows what the broker has heard: say everything again.
    if (!answer || (*answer)->error_code != ErrorCode::kNone) is_all_said_ = false;
    if (!answer) co_return unexpected(std::move(answer).error());
    const protocol::ConsumerGroupHeartbeatResponse& response = answer->message;
    if (response.error_code != ErrorCode::kNone) {
        co_return unexpected(broker_error(
            response.error_code, response.error_message.value_or("group " + config_.group)));
    }
    generation_ = response.member_epoch;
    if (response.member_id) member_id_ = *response.member_id;
    if (response.heartbeat_interval_ms > 0) {
        heartbeat_interval_ = milliseconds(response.heartbeat_interval_ms);
    }
    if (response.assignment) {
        // A topic of which nothing is known yet: the broker repeats what is not acknowledged.
        const bool is_known = co_await learn_target(&response.assignment->topic_partitions);
        if (!is_known) is_all_said_ = false;
        changed_.notify_all();
    }
    co_return Result<void>();
}

/// False when it names a topic that the brokers do not know; then the rest counts.
template <class Topics>
port::Task<bool> GroupMember::learn_target(Topics topics) {
    std::vector<TopicId> ids;
    for (const auto& one : *topics) {
        if (!one.partitions.empty()) ids.push_back(one.topic_id);
    }
    const std::size_t wanted = ids.size();
    const auto names = co_await cluster_.names_of(std::move(ids), cluster_.default_deadline());
    if (!names) co_return false;
    TopicPartitions target;
    for (const auto& one : *topics) {
        const auto name = names->find(one.topic_id);
        if (name != names->end()) target[name->second] = one.partitions;
    }
    const bool is_complete = target.size() == wanted;
    target_ = std::move(target);
    co_return is_complete;
}

}  // namespace dlog::client
