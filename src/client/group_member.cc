/// What both protocols have in common.
#include "client/group_member.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "client/coordinator.h"
#include "pattern/topic_pattern.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "protocol/messages/consumer_group_heartbeat.h"
#include "protocol/messages/leave_group.h"

namespace dlog::client {

using protocol::ErrorCode;

namespace {

/// From this version on LeaveGroup names its members in a list.
constexpr std::int16_t kFirstLeaveOfMany = 3;

// Epochs by which a member of the new protocol leaves (KIP-848), for good or to come back.
constexpr std::int32_t kLeaveEpoch = -1;
constexpr std::int32_t kStaticLeaveEpoch = -2;

}  // namespace

GroupMember::GroupMember(Cluster& cluster, GroupMemberConfig config, GroupListener& listener)
    : cluster_(cluster),
      config_(std::move(config)),
      listener_(listener),
      heartbeat_interval_(config_.heartbeat_interval),
      backoff_(cluster.config(), cluster.random()) {
    DLOG_ASSERT(!config_.group.empty());
    DLOG_ASSERT(heartbeat_interval_.ns > 0 && config_.session_timeout.ns > 0);
}

void GroupMember::start() {
    last_heard_ = cluster_.ports().clock.now();
    port::Spawn& spawn = cluster_.ports().spawn;
    spawn.spawn(run(this, gate_.enter()));
    spawn.spawn(beat(this, gate_.enter()));
}

void GroupMember::subscribe(std::vector<std::string> topics) {
    const std::set<std::string> once(topics.begin(), topics.end());
    topics_.assign(once.begin(), once.end());
    if (pattern_) pattern_->clear();
    subscribe_anew();
}

void GroupMember::subscribe_pattern(std::string pattern) {
    DLOG_ASSERT(pattern::check_pattern(pattern).has_value() && !pattern.empty(), pattern);
    topics_.clear();
    pattern_ = std::move(pattern);
    subscribe_anew();
}

void GroupMember::subscribe_anew() {
    must_join_ = true;
    must_beat_ = true;
    is_all_said_ = false;
    is_fenced_ = false;
    changed_.notify_all();
}

bool GroupMember::is_late() const {
    const Instant now = cluster_.ports().clock.now();
    return now - listener_.last_poll() > config_.poll_interval_max;
}

/// Joins, or takes what the broker wants it to have, one thing after the other.
port::Task<void> GroupMember::run(GroupMember* self, [[maybe_unused]] port::Gate::Hold hold) {
    port::Clock& clock = self->cluster_.ports().clock;
    while (!self->is_ending_) {
        if (self->is_lost_) {
            co_await self->tell_of_loss();
            continue;
        }
        const bool may_join = self->is_subscribed() && !self->is_fenced_ && !self->is_late();
        if (self->is_classic() && self->must_join_ && may_join) {
            co_await self->join();
            continue;
        }
        const bool has_target = self->generation_ >= 0 && self->target_ != self->owned_;
        if (!self->is_classic() && has_target) {
            co_await self->take(self->target_);
            continue;
        }
        if (self->is_classic()) {
            co_await self->look_for_new_partitions();
            co_await self->look_for_new_topics();
        }
        const bool has_work = self->is_lost_ || (self->must_join_ && may_join);
        if (self->is_ending_ || (self->is_classic() && has_work)) continue;
        const Instant until = clock.now() + self->heartbeat_interval_;
        static_cast<void>(co_await self->changed_.wait_until(clock, until));
    }
}

port::Task<void> GroupMember::beat(GroupMember* self, [[maybe_unused]] port::Gate::Hold hold) {
    port::Clock& clock = self->cluster_.ports().clock;
    Instant next = clock.now();
    while (!self->is_ending_) {
        if (clock.now() < next && !std::exchange(self->must_beat_, false)) {
            static_cast<void>(co_await self->changed_.wait_until(clock, next));
            continue;
        }
        next = clock.now() + self->heartbeat_interval_;
        const bool is_in_group = self->generation_ >= 0;
        if (is_in_group && !self->is_lost_ && self->is_late()) {
            // A static member is missed when its session ends.
            if (!self->comes_back()) {
                static_cast<void>(co_await self->say_goodbye(self->cluster_.default_deadline()));
                if (self->is_classic()) self->member_id_.clear();
            }
            self->lose();
            continue;
        }
        const bool is_for_classic = is_in_group && !self->is_joining_;
        const bool is_for_other =
            self->is_subscribed() && !self->is_fenced_ && (is_in_group || !self->is_late());
        if (self->is_lost_ || !(self->is_classic() ? is_for_classic : is_for_other)) continue;
        const auto outcome =
            co_await (self->is_classic() ? self->heartbeat() : self->consumer_heartbeat());
        if (outcome) {
            self->last_heard_ = clock.now();
            self->backoff_.reset();
            if (!self->is_classic()) next = clock.now() + self->heartbeat_interval_;
            continue;
        }
        next = std::min(next, clock.now() + self->backoff_.next());
        const Verdict verdict = self->judge(outcome.error());
        const bool is_too_long = clock.now() - self->last_heard_ > self->config_.session_timeout;
        if (verdict == Verdict::kLost || (self->generation_ >= 0 && is_too_long)) self->lose();
    }
}

/// Also notes what the error says about this member's id, its coordinator and what to do next.
GroupMember::Verdict GroupMember::judge(const Error& error) {
    switch (error.code) {
        case ErrorCode::kNone:  // no broker said so
            break;
        case ErrorCode::kRebalanceInProgress:
            must_join_ = true;
            changed_.notify_all();
            return Verdict::kRejoin;
        case ErrorCode::kUnknownMemberId:
            if (is_classic()) member_id_.clear();
            return Verdict::kLost;
        case ErrorCode::kIllegalGeneration:
        case ErrorCode::kFencedMemberEpoch:
            return Verdict::kLost;
        case ErrorCode::kFencedInstanceId:
            is_fenced_ = true;
            listener_.failed(error);
            return Verdict::kLost;
        default:
            break;
    }
    coordinator_.reset();
    if (error.is_retriable() || error.kind == ErrorKind::kClosed) return Verdict::kAgain;
    listener_.failed(error);
    return Verdict::kRefused;
}

port::Task<Result<ConnectionPtr>> GroupMember::connect() {
    if (coordinator_ != nullptr && coordinator_->is_open()) co_return coordinator_;
    DLOG_CO_TRY_ASSIGN(
        const CoordinatorPlace place,
        co_await locate_coordinator(cluster_, config_.group, cluster_.default_deadline()));
    auto opened =
        co_await Connection::open(&cluster_.ports(), place.endpoint, cluster_.config().connection);
    if (cluster_.is_closed()) co_return unexpected(Error{.kind = ErrorKind::kClosed});
    if (opened) coordinator_ = *opened;
    co_return opened;
}

void GroupMember::lose() {
    is_lost_ = true;
    changed_.notify_all();
}

/// Whatever it held is somebody else's by now, and it begins anew.
port::Task<void> GroupMember::tell_of_loss() {
    generation_ = -1;
    target_.clear();
    counts_.reset();
    must_join_ = true;
    is_all_said_ = false;
    TopicPartitions gone = std::exchange(owned_, {});
    if (!gone.empty()) co_await listener_.lost(std::move(gone));
    is_lost_ = false;
    must_beat_ = true;
    changed_.notify_all();
}

/// From what it owns to `assigned`. Another member may be waiting for what is given up, so the
/// group is told of that before anything else.
port::Task<void> GroupMember::take(TopicPartitions assigned) {
    TopicPartitions revoked = without(owned_, assigned);
    TopicPartitions added = without(assigned, owned_);
    if (!revoked.empty()) {
        co_await listener_.revoked(std::move(revoked));
        if (is_lost_ || is_ending_) co_return;
        must_join_ = true;
    }
    owned_ = std::move(assigned);
    must_beat_ = true;
    changed_.notify_all();
    co_await listener_.assigned(std::move(added));
}

port::Task<Result<void>> GroupMember::commit(std::vector<CommittedOffset> offsets,
                                             Instant deadline) {
    if (offsets.empty()) co_return Result<void>();
    const std::int32_t generation = generation_;
    auto outcome = co_await commit_offsets(cluster_, config_.group,
                                           {member_id_, config_.instance_id, generation},
                                           std::move(offsets), deadline);
    const bool is_stranger = !outcome && (outcome.error().code == ErrorCode::kUnknownMemberId ||
                                          outcome.error().code == ErrorCode::kIllegalGeneration ||
                                          outcome.error().code == ErrorCode::kFencedInstanceId);
    // During a join the generation may just have passed; the join's own outcome tells the truth.
    if (is_stranger && generation == generation_ && !is_joining_) {
        static_cast<void>(judge(outcome.error()));
        lose();
    }
    co_return outcome;
}

port::Task<Result<void>> GroupMember::say_goodbye(Instant deadline) {
    const std::string group = config_.group;
    DLOG_CO_TRY_ASSIGN(const ConnectionPtr connection, co_await connect());
    if (!is_classic()) {
        protocol::ConsumerGroupHeartbeatRequest request;
        request.group_id = group;
        request.member_id = member_id_;
        request.instance_id = config_.instance_id;
        request.member_epoch = config_.instance_id ? kStaticLeaveEpoch : kLeaveEpoch;
        DLOG_CO_TRY_ASSIGN(const auto answer,
                           co_await connection->call(std::move(request), {.deadline = deadline}));
        if (answer->error_code == ErrorCode::kNone) co_return Result<void>();
        co_return unexpected(broker_error(answer->error_code, "group " + group));
    }
    protocol::LeaveGroupRequest request;
    request.group_id = group;
    DLOG_CO_TRY_ASSIGN(const std::int16_t version,
                       connection->version_of<protocol::LeaveGroupRequest>());
    if (version >= kFirstLeaveOfMany) {
        request.members.push_back(
            {.member_id = member_id_, .group_instance_id = config_.instance_id});
    } else {
        request.member_id = member_id_;
    }
    DLOG_CO_TRY_ASSIGN(const auto answer,
                       co_await connection->call(std::move(request), {.deadline = deadline}));
    ErrorCode code = answer->error_code;
    if (code == ErrorCode::kNone && !answer->members.empty()) {
        code = answer->members.front().error_code;
    }
    if (code == ErrorCode::kNone) co_return Result<void>();
    co_return unexpected(broker_error(code, "group " + group));
}

void GroupMember::end() {
    is_ending_ = true;
    if (const ConnectionPtr open = std::exchange(coordinator_, nullptr)) open->close();
    changed_.notify_all();
}

port::Task<Result<void>> GroupMember::leave(Instant deadline) {
    co_await close();
    const bool is_known = is_classic() ? !member_id_.empty() : generation_ >= 0;
    if (!is_known || comes_back()) co_return Result<void>();
    auto outcome = co_await say_goodbye(deadline);
    generation_ = -1;
    member_id_.clear();
    if (const ConnectionPtr open = std::exchange(coordinator_, nullptr)) open->close();
    co_return outcome;
}

port::Task<void> GroupMember::close() {
    end();
    while (gate_.held() > 0) static_cast<void>(co_await gate_.left().wait());
    end();  // what connected meanwhile
}

}  // namespace dlog::client
