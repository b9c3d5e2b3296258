/// ConsumerGroupHeartbeat: who comes, stays and goes.
#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "coordination/group/consumer_groups.h"
#include "pattern/topic_pattern.h"

namespace dlog::coordination {

namespace {

using protocol::ConsumerGroupHeartbeatRequest;
using protocol::ConsumerGroupHeartbeatResponse;
using protocol::ErrorCode;

constexpr std::size_t kErrorBytesMax = 1'000;

std::unexpected<Refusal> refuse(ErrorCode code, std::string message) {
    return std::unexpected(Refusal{code, std::move(message)});
}

std::optional<Refusal> invalid(std::string message) {
    return Refusal{ErrorCode::kInvalidRequest, std::move(message)};
}

/// Whether the sender holds nothing but what it may.
bool holds_only(const OwnedPartitions& owned, const HeldPartitions& assigned) {
    return std::ranges::all_of(owned, [&](const auto& topic) {
        const auto found = assigned.find(topic.topic_id);
        return found != assigned.end() &&
               std::ranges::all_of(topic.partitions, [&](std::int32_t partition) {
                   return found->second.contains(partition);
               });
    });
}

std::expected<void, Refusal> check_epoch(const ConsumerMember& member,
                                         const ConsumerGroupHeartbeatRequest& request) {
    const ConsumerMember::Progress& progress = member.progress;
    if (request.member_epoch == progress.epoch) return {};
    // The response that told the new epoch may have been lost.
    if (request.member_epoch == progress.previous_epoch && request.topic_partitions &&
        request.member_epoch < progress.epoch &&
        holds_only(*request.topic_partitions, progress.assigned)) {
        return {};
    }
    return refuse(ErrorCode::kFencedMemberEpoch,
                  "The member epoch " + std::to_string(request.member_epoch) +
                      " is not the one that the coordinator knows, " +
                      std::to_string(progress.epoch) +
                      ". The member must abandon all its partitions and rejoin.");
}

/// The member that joins again, the static one whose place the sender takes, or null for a new one.
std::expected<ConsumerMember*, Refusal> find_place(ConsumerGroup& group,
                                                   const ConsumerGroupHeartbeatRequest& request) {
    ConsumerMember* const member = group.find(request.member_id);
    if (!request.instance_id) return member;
    ConsumerMember* const holder = group.static_member(*request.instance_id);
    if (holder == nullptr) return member;
    // An instance that changes its protocol comes without saying that it goes.
    if (holder->progress.epoch != kStaticLeavingEpoch && !holder->is_classic()) {
        return refuse(ErrorCode::kUnreleasedInstanceId, "The instance id " + *request.instance_id +
                                                            " is in use by the member " +
                                                            holder->id + ".");
    }
    if (member != nullptr && member != holder) {
        return refuse(ErrorCode::kFencedInstanceId,
                      "The member " + member->id + " is not the one that had the instance id " +
                          *request.instance_id + ".");
    }
    return holder;
}

/// The member that the sender says it is.
std::expected<ConsumerMember*, Refusal> find_member(ConsumerGroup& group,
                                                    const ConsumerGroupHeartbeatRequest& request) {
    if (!request.instance_id) {
        ConsumerMember* const member = group.find(request.member_id);
        if (member != nullptr && !member->is_classic()) return member;
        return refuse(
            ErrorCode::kUnknownMemberId,
            "Member " + request.member_id + " is not a member of group " + group.id + ".");
    }
    ConsumerMember* const holder = group.static_member(*request.instance_id);
    if (holder == nullptr || holder->is_classic()) {
        return refuse(ErrorCode::kUnknownMemberId,
                      "Instance id " + *request.instance_id + " is unknown.");
    }
    if (holder->id != request.member_id) {
        return refuse(ErrorCode::kFencedInstanceId, "The instance id " + *request.instance_id +
                                                        " belongs to the member " + holder->id +
                                                        ".");
    }
    return holder;
}

std::expected<ConsumerMember*, Refusal> admit(const GroupSettings& settings, ConsumerGroup* group,
                                              const ConsumerGroupHeartbeatRequest& request) {
    const bool joins = request.member_epoch == kJoiningEpoch;
    if (group == nullptr && !joins) {
        return refuse(ErrorCode::kGroupIdNotFound,
                      "Consumer group " + request.group_id + " not found.");
    }
    ConsumerMember* member = nullptr;
    std::size_t size = 0;
    if (group != nullptr) {
        DLOG_TRY_ASSIGN(member, joins ? find_place(*group, request) : find_member(*group, request));
        size = group->members().size();
    }
    if (!joins) DLOG_TRY(check_epoch(*member, request));
    const std::int32_t size_max = std::max(settings.consumer_size_max, 0);
    if (member == nullptr && size >= static_cast<std::size_t>(size_max)) {
        return refuse(ErrorCode::kGroupMaxSizeReached,
                      "The consumer group has reached its maximum capacity of " +
                          std::to_string(size_max) + " members.");
    }
    return member;
}

ConsumerGroupHeartbeatResponse::Assignment to_assignment(const HeldPartitions& partitions) {
    ConsumerGroupHeartbeatResponse::Assignment result;
    for (const auto& [topic, epochs] : partitions) {
        auto& out = result.topic_partitions.emplace_back();
        out.topic_id = topic;
        for (const auto& [number, epoch] : epochs) out.partitions.push_back(number);
    }
    return result;
}

/// What they take in a record at most.
std::size_t bytes_of_topics(const ConsumerGroupHeartbeatRequest& request) {
    constexpr std::size_t kLengthBytes = 3;
    std::size_t bytes = 0;
    if (!request.subscribed_topic_names) return bytes;
    for (const std::string& name : *request.subscribed_topic_names) {
        bytes += name.size() + kLengthBytes;
    }
    return bytes;
}

/// A member that says everything wants to be told everything.
bool is_full(const ConsumerGroupHeartbeatRequest& request) {
    return request.member_epoch == kJoiningEpoch ||
           (request.rebalance_timeout_ms != -1 &&
            (request.subscribed_topic_names || request.subscribed_topic_regex) &&
            request.topic_partitions);
}

}  // namespace

std::optional<Refusal> ConsumerGroups::check(const GroupSettings& settings,
                                             const Request& request) {
    const auto is_empty = [](const auto& text) { return text && text->empty(); };
    const std::int32_t epoch = request.member_epoch;
    if (request.group_id.empty()) return invalid("GroupId can't be empty.");
    if (request.member_id.empty() && epoch != kJoiningEpoch) {
        return invalid("MemberId can't be empty.");
    }
    if (is_empty(request.instance_id)) return invalid("InstanceId can't be empty.");
    if (is_empty(request.rack_id)) return invalid("RackId can't be empty.");
    if (epoch == kJoiningEpoch) {
        if (request.rebalance_timeout_ms == -1) {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        if (request.topic_partitions && !request.topic_partitions->empty()) {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        if (!request.subscribed_topic_names && !request.subscribed_topic_regex) {
            return invalid(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be set when "
                "(re-)joining.");
        }
    } else if (epoch == kStaticLeavingEpoch && !request.instance_id) {
        return invalid("InstanceId can't be null.");
    } else if (epoch < kStaticLeavingEpoch) {
        return invalid("MemberEpoch is invalid.");
    }
    const std::size_t topic_bytes = bytes_of_topics(request);
    if (topic_bytes > settings.member_bytes_max()) {
        return Refusal{ErrorCode::kRecordListTooLarge,
                       "SubscribedTopicNames take " + std::to_string(topic_bytes) +
                           " bytes and may take " + std::to_string(settings.member_bytes_max()) +
                           ". Subscribe by a regular expression, or with several groups."};
    }
    if (request.subscribed_topic_regex) {
        const auto checked = pattern::check_pattern(*request.subscribed_topic_regex);
        if (!checked) {
            return Refusal{ErrorCode::kInvalidRegularExpression,
                           "SubscribedTopicRegex cannot be used: " + checked.error() + "."};
        }
    }
    const auto& assignors = settings.consumer_assignors;
    if (request.server_assignor &&
        std::ranges::find(assignors, *request.server_assignor) == assignors.end()) {
        std::string names;
        for (const std::string& name : assignors) names += (names.empty() ? "" : ", ") + name;
        return Refusal{ErrorCode::kUnsupportedAssignor,
                       "ServerAssignor " + *request.server_assignor +
                           " is not supported. Supported assignors: " + names + "."};
    }
    return std::nullopt;
}

void ConsumerGroups::beat(Step& step, const ConsumerBeat& beat) {
    auto response = beat.request.member_epoch < 0 ? leave(step, beat.request) : stay(step, beat);
    if (!response) {
        Response refusal;
        refusal.error_code = response.error().code;
        // Ids in it may be as long as any string of a message.
        refusal.error_message = response.error().message.substr(0, kErrorBytesMax);
        return step.reply(beat.ticket, std::move(refusal));
    }
    step.reply(beat.ticket, *std::move(response));
}

auto ConsumerGroups::stay(Step& step, const ConsumerBeat& beat)
    -> std::expected<Response, Refusal> {
    const Request& request = beat.request;
    DLOG_TRY_ASSIGN(ConsumerMember * member, admit(step.settings, find(request.group_id), request));
    const auto& pattern = request.subscribed_topic_regex;
    const bool has_pattern = pattern && !pattern->empty();
    if (has_pattern && !pattern::matching_names(*pattern, step.now.topics.names())) {
        return refuse(ErrorCode::kInvalidRegularExpression,
                      "SubscribedTopicRegex takes too long to match the topics that there are.");
    }
    ConsumerGroup& group = get(request.group_id);
    update_epoch(step, group, update_member(step, group, beat, member));
    if (group.epoch != group.target_epoch) assign(step, group);

    // Who joins has nothing.
    static const OwnedPartitions kNothing;
    const bool joins = request.member_epoch == kJoiningEpoch;
    const OwnedPartitions* const owned =
        joins ? &kNothing : (request.topic_partitions ? &*request.topic_partitions : nullptr);
    const HeldPartitions assigned_before = member->progress.assigned;
    advance(step, group, *member, owned);
    begin_session(step, group, *member);
    wake_by(group, std::min(member->session_ends, member->revocation_ends));

    Response response;
    response.member_id = member->id;
    response.member_epoch = member->progress.epoch;
    const auto own = step.now.topics.own_settings(group.id).consumer_heartbeat_interval;
    response.heartbeat_interval_ms =
        static_cast<std::int32_t>(own.value_or(step.settings.consumer_heartbeat_interval).ms());
    if (is_full(request) || member->progress.assigned != assigned_before) {
        response.assignment = to_assignment(member->progress.assigned);
    }
    return response;
}

void ConsumerGroups::advance(Step& step, ConsumerGroup& group, ConsumerMember& member,
                             const OwnedPartitions* owned) {
    auto progress = next_progress(group, member, owned);
    if (progress == member.progress) return;
    const bool must_revoke = progress.state == MemberState::kUnrevokedPartitions;
    member.revocation_ends =
        must_revoke ? step.after(milliseconds(member.profile.rebalance_timeout_ms)) : kNever;
    group.set_progress(member, std::move(progress));
    step.effects.records.push_back(group.progress_record(member));
}

bool ConsumerGroups::update_member(Step& step, ConsumerGroup& group, const ConsumerBeat& beat,
                                   ConsumerMember*& member) {
    const Request& request = beat.request;
    // From version 1 on members make their ids themselves.
    const std::string id =
        request.member_id.empty() ? make_member_id({}, step.random).substr(1) : request.member_id;
    ConsumerMember::Profile profile;
    if (member != nullptr) profile = member->profile;
    profile.classic.reset();
    if (request.instance_id) profile.instance_id = request.instance_id;
    if (request.rack_id) profile.rack_id = request.rack_id;
    if (request.rebalance_timeout_ms != -1) {
        profile.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    if (request.server_assignor) profile.assignor = request.server_assignor;
    if (request.subscribed_topic_names) {
        profile.topics = topic_list(*request.subscribed_topic_names);
    }
    if (request.subscribed_topic_regex) {
        profile.pattern = without_empty(request.subscribed_topic_regex);
    }
    profile.client_id = beat.caller.client_id;
    profile.client_host = beat.caller.host;
    return put_member(step, group, id, std::move(profile), member);
}

bool ConsumerGroups::put_member(Step& step, ConsumerGroup& group, const std::string& id,
                                ConsumerMember::Profile profile, ConsumerMember*& member) {
    const bool is_new = member == nullptr;
    if (is_new) member = &group.get(id);
    const bool wants_other = is_new || profile.topics != member->profile.topics ||
                             profile.pattern != member->profile.pattern ||
                             profile.assignor != member->profile.assignor;
    const bool is_changed = is_new || profile != member->profile;

    // An instance comes back with a new id and goes on with what was its own.
    const bool is_back = id != member->id || member->progress.epoch == kStaticLeavingEpoch;
    if (is_back) {
        group.add_tombstones(member->id, step.effects);
        if (id != member->id) member = &group.rename(*member, id);
        ConsumerMember::Progress progress = member->progress;
        progress.epoch = kJoiningEpoch;
        progress.previous_epoch = kJoiningEpoch;
        group.set_progress(*member, std::move(progress));
    }
    // Deadlines of the one protocol mean nothing in the other.
    if (profile.classic.has_value() != member->is_classic()) member->revocation_ends = kNever;
    if (is_changed) group.set_profile(*member, std::move(profile));
    if (is_changed || is_back) step.effects.records.push_back(group.profile_record(*member));
    if (is_back) {
        step.effects.records.push_back(group.target_record(*member));
        step.effects.records.push_back(group.progress_record(*member));
    }
    return wants_other;
}

auto ConsumerGroups::leave(Step& step, const Request& request) -> std::expected<Response, Refusal> {
    ConsumerGroup* const group = find(request.group_id);
    if (group == nullptr) {
        return refuse(ErrorCode::kGroupIdNotFound,
                      "Consumer group " + request.group_id + " not found.");
    }
    DLOG_TRY_ASSIGN(ConsumerMember* const member, find_member(*group, request));
    Response response;
    response.member_id = request.member_id;
    response.member_epoch = request.member_epoch;
    if (request.member_epoch == kLeavingEpoch) {
        remove(step, *group, {member->id});
        return response;
    }
    // It keeps its place, but reads nothing any more.
    ConsumerMember::Progress progress = member->progress;
    progress.epoch = kStaticLeavingEpoch;
    progress.revoking.clear();
    group->set_progress(*member, std::move(progress));
    member->revocation_ends = kNever;
    step.effects.records.push_back(group->progress_record(*member));
    return response;
}

void ConsumerGroups::remove(Step& step, ConsumerGroup& group,
                            const std::vector<std::string>& member_ids) {
    for (const std::string& member_id : member_ids) {
        group.add_tombstones(member_id, step.effects);
        group.remove(member_id);
    }
    update_epoch(step, group, true);
}

void ConsumerGroups::look_at(Step& step, ConsumerGroup& group) {
    timetable_.forget(group.id, group.slot);
    const Instant now = step.now.instant;
    std::vector<std::string> fenced;
    Instant next = kNever;
    for (const auto& [member_id, member] : group.members()) {
        const Instant ends = std::min(member.session_ends, member.revocation_ends);
        if (ends <= now) {
            fenced.push_back(member_id);
        } else {
            next = std::min(next, ends);
        }
    }
    if (!fenced.empty()) remove(step, group, fenced);
    wake_by(group, next);
}

}  // namespace dlog::coordination
