/// What a consumer does as a member of a group.
#include <algorithm>
#include <utility>

#include "base/result.h"
#include "pattern/topic_pattern.h"
#include "protocol/error_code.h"
#include "sdk/consumer_core.h"

namespace dlog::sdk {

using protocol::ErrorCode;
using Kind = GroupSession::Event::Kind;

namespace {

/// Whether it only says that the group has moved on without this member, which the rebalance tells.
bool is_about_membership(const client::Error& error) {
    switch (error.code) {
        case ErrorCode::kRebalanceInProgress:
        case ErrorCode::kIllegalGeneration:
        case ErrorCode::kUnknownMemberId:
        case ErrorCode::kFencedInstanceId:
        case ErrorCode::kStaleMemberEpoch:
            return true;
        default:
            return error.is_retriable() || error.kind == client::ErrorKind::kClosed;
    }
}

template <class Visit>
void each(const client::TopicPartitions& partitions, Visit visit) {
    for (const auto& [topic, numbers] : partitions) {
        for (const std::int32_t number : numbers) visit(TopicPartition{topic, number});
    }
}

}  // namespace

Result<void> ConsumerCore::need_group() const {
    if (group_ != nullptr) return {};
    return unexpected(error_of(ErrorKind::kBadRequest,
                               "this consumer belongs to no group: ConsumerOptions::group.id"));
}

Result<void> ConsumerCore::subscribe(std::span<const std::string_view> topics) {
    std::vector<std::string> names(topics.begin(), topics.end());
    if (names.empty() || std::ranges::find(names, "") != names.end()) {
        return unexpected(
            error_of(ErrorKind::kBadRequest, "subscribe: no topic, or one without a name"));
    }
    return subscribe(Wanted(std::move(names)));
}

Result<void> ConsumerCore::subscribe_pattern(std::string_view pattern) {
    if (pattern.empty()) {
        return unexpected(error_of(ErrorKind::kBadRequest, "subscribe_pattern: it is empty"));
    }
    if (const auto checked = pattern::check_pattern(pattern); !checked) {
        return unexpected(error_of(ErrorKind::kBadRequest,
                                   "subscribe_pattern: it cannot be used: " + checked.error()));
    }
    return subscribe(Wanted(std::string(pattern)));
}

Result<void> ConsumerCore::subscribe(Wanted wanted) {
    DLOG_TRY(need_group());
    {
        const std::lock_guard lock(mutex_);
        if (!is_subscribed_ && !places_.empty()) {
            return unexpected(
                error_of(ErrorKind::kBadRequest, "this consumer has partitions assigned by hand"));
        }
    }
    const Instant now = monotonic_now();
    static_cast<void>(group_->polled(now));
    if (!is_subscribed_) next_commit_ = now + duration_of(options_.group.commit_interval);
    is_subscribed_ = core_->run([self = Ref<ConsumerCore>(this), wanted = std::move(wanted)](
                                    port::Ports&) { return subscribe_on(self, wanted); });
    if (is_subscribed_) return {};
    return unexpected(error_of(ErrorKind::kClosed, Core::kClosedText));
}

port::Task<void> ConsumerCore::subscribe_on(Ref<ConsumerCore> self, Wanted wanted) {
    {
        const std::lock_guard lock(self->mutex_);
        if (self->is_closing_) co_return;
    }
    client::GroupMember& member = self->group_->member();
    if (auto* const topics = std::get_if<std::vector<std::string>>(&wanted)) {
        member.subscribe(std::move(*topics));
    } else {
        member.subscribe_pattern(std::get<std::string>(std::move(wanted)));
    }
    if (!std::exchange(self->has_started_member_, true)) member.start();
}

/// There is an event: a poll that waits is to take it.
void ConsumerCore::poke() {
    const std::lock_guard lock(mutex_);
    has_event_ = true;
    changed_.notify_all();
}

// Rebalances, within `poll`.

void ConsumerCore::take_part() {
    const Instant now = monotonic_now();
    if (group_->polled(now)) {
        const std::lock_guard lock(mutex_);
        bell_.ring();
    }
    for (;;) {
        {
            const std::lock_guard lock(mutex_);
            has_event_ = false;
        }
        auto event = group_->take();
        if (!event) break;
        follow(*std::move(event));
        group_->finish();
        const std::lock_guard lock(mutex_);
        bell_.ring();
    }
    commit_when_due(now);
}

void ConsumerCore::follow(GroupSession::Event event) {
    std::vector<TopicPartition> all;
    each(event.partitions, [&](const TopicPartition& one) { all.push_back(one); });
    const PartitionList list(all.data(), all.size());
    RebalanceObserver* const observer = options_.group.observer;
    if (event.kind == Kind::kAssigned) {
        begin_at(event);
        if (observer != nullptr) observer->assigned(list);
        return;
    }
    const bool may_commit = event.kind == Kind::kRevoked && options_.group.commits_by_itself;
    // Were it refused, the records come again at whoever reads them next.
    if (may_commit) static_cast<void>(commit());
    if (observer != nullptr && event.kind == Kind::kRevoked) observer->revoked(list);
    if (observer != nullptr && event.kind == Kind::kLost) observer->lost(list);
    for (const TopicPartition& one : all) unassign(one);
}

void ConsumerCore::begin_at(const GroupSession::Event& event) {
    const std::lock_guard lock(mutex_);
    for (const auto& [topic, numbers] : event.partitions) {
        const auto name = std::make_shared<const std::string>(topic);
        for (const std::int32_t number : numbers) {
            const auto start = event.starts.find({topic, number});
            if (start != event.starts.end()) {
                place_at({name, number}, start->second);
                continue;
            }
            // It rests until it is sought.
            places_[{name, number}] = {.position = -1, .version = ++next_version_};
            errors_.push_back(error_of(
                ErrorKind::kBadRequest,
                topic + " partition " + std::to_string(number) + ": group " +
                    std::string(options_.group.id.view()) +
                    " has committed no offset, and on_missing_offset does not say where to begin"));
        }
    }
}

// Commits.

ConsumerCore::Offsets ConsumerCore::offsets_to_commit() {
    Offsets offsets;
    const std::lock_guard lock(mutex_);
    for (const auto& [key, place] : places_) {
        if (place.position < 0) continue;
        offsets.push_back({*key.topic, key.partition, Offset{place.position}, ""});
    }
    return offsets;
}

Result<void> ConsumerCore::commit(Offsets offsets) {
    DLOG_TRY(need_group());
    if (offsets.empty()) return {};
    return core_->call<void>(
        [this, offsets = std::move(offsets)](client::Cluster&, Instant deadline) {
            return group_->member().commit(offsets, deadline);
        });
}

Result<void> ConsumerCore::commit() {
    return commit(offsets_to_commit());
}

Result<void> ConsumerCore::commit(const TopicPartition& partition, std::int64_t offset) {
    if (offset < 0) {
        return unexpected(
            error_of(ErrorKind::kBadRequest, "offset " + std::to_string(offset) + " is below 0"));
    }
    return commit(Offsets{{std::string(partition.topic), partition.partition, Offset{offset}, ""}});
}

Result<void> ConsumerCore::commit_soon() {
    DLOG_TRY(need_group());
    Offsets offsets = offsets_to_commit();
    if (offsets.empty()) return {};
    const bool is_running =
        core_->run([self = Ref<ConsumerCore>(this), offsets = std::move(offsets)](port::Ports&) {
            return commit_on(self, offsets);
        });
    if (is_running) return {};
    return unexpected(error_of(ErrorKind::kClosed, Core::kClosedText));
}

port::Task<void> ConsumerCore::commit_on(Ref<ConsumerCore> self, Offsets offsets) {
    const Instant deadline = self->core_->cluster().default_deadline();
    const auto outcome = co_await self->group_->member().commit(std::move(offsets), deadline);
    if (!outcome && !is_about_membership(outcome.error())) self->hand_over(outcome.error());
}

void ConsumerCore::commit_when_due(Instant now) {
    if (!options_.group.commits_by_itself || now < next_commit_) return;
    next_commit_ = now + duration_of(options_.group.commit_interval);
    static_cast<void>(commit_soon());
}

Result<void> ConsumerCore::leave() {
    Result<void> outcome;
    if (std::exchange(is_subscribed_, false)) {
        group_->cancel();
        std::vector<TopicPartition> all;
        {
            const std::lock_guard lock(mutex_);
            bell_.ring();
            for (const auto& [key, place] : places_) all.push_back({*key.topic, key.partition});
        }
        if (options_.group.commits_by_itself) outcome = commit();
        RebalanceObserver* const observer = options_.group.observer;
        if (observer != nullptr && !all.empty()) observer->revoked({all.data(), all.size()});
        const Result<void> left = core_->call<void>([this](client::Cluster&, Instant deadline) {
            return group_->member().leave(deadline);
        });
        if (outcome) outcome = left;
    }
    close();
    return outcome;
}

}  // namespace dlog::sdk
