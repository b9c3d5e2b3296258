#include "coordination/group/coordinator.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "coordination/group/coordinator_state.h"
#include "coordination/group/records.h"

namespace dlog::coordination {

namespace {

using protocol::ErrorCode;

constexpr std::int16_t kOldOffsetCommitType = 0;
/// Without its id, beside which it stands: both together could be too long for a string.
constexpr std::string_view kUnknownGroup = "No group of this id is known.";

std::string lower_case(std::string_view text) {
    std::string result(text);
    for (char& letter : result) {
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    }
    return result;
}

/// An empty filter lets all through. Letters count without their case.
bool passes(const std::vector<std::string>& filter, std::string_view value) {
    const std::string wanted = lower_case(value);
    return filter.empty() || std::ranges::any_of(filter, [&](const std::string& each) {
               return lower_case(each) == wanted;
           });
}

std::expected<void, std::string> replay_offset(Offsets& offsets, ByteView fields, bool is_tombstone,
                                               ByteView bytes) {
    const auto key = decode_key<OffsetCommitKey>(fields);
    if (!key) return std::unexpected("an offset's key: " + key.error());
    if (is_tombstone) {
        offsets.remove(key->group, key->topic, key->partition);
        return {};
    }
    const auto value = decode_value<OffsetCommitValue>(bytes);
    if (!value) return std::unexpected("an offset: " + value.error());
    offsets.put(key->group, key->topic, key->partition, offset_from_record(*value));
    return {};
}

std::expected<void, std::string> replay_group(ClassicGroups& classic, ByteView fields,
                                              bool is_tombstone, ByteView bytes) {
    auto key = decode_key<GroupMetadataKey>(fields);
    if (!key) return std::unexpected("a group's key: " + key.error());
    if (is_tombstone) {
        if (ClassicGroup* const group = classic.find(key->group)) classic.erase(*group);
        return {};
    }
    const auto value = decode_value<GroupMetadataValue>(bytes);
    if (!value) return std::unexpected("a group: " + value.error());
    classic.put(ClassicGroup::from_record(std::move(key->group), *value));
    return {};
}

}  // namespace

std::string make_member_id(std::string_view prefix, Random& random) {
    // A member id must still fit into the two-byte length that it has in a record.
    constexpr std::size_t kPrefixBytesMax = 32'000;
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string result(prefix.substr(0, kPrefixBytesMax));
    const std::uint64_t high = (random.next() & ~0xf000ULL) | 0x4000;
    const std::uint64_t low = (random.next() & ~(0xc000ULL << 48)) | (0x8000ULL << 48);
    for (int digit = 0; digit < 32; ++digit) {
        if (digit == 0 || digit == 8 || digit == 12 || digit == 16 || digit == 20) result += '-';
        const std::uint64_t half = digit < 16 ? high : low;
        result += kDigits[(half >> (60 - 4 * (digit % 16))) & 0xf];
    }
    return result;
}

Coordinator::Coordinator(GroupSettings settings, std::uint64_t seed)
    : state_(std::make_unique<State>(std::move(settings), seed)) {}
Coordinator::~Coordinator() = default;

std::expected<void, std::string> Coordinator::replay(ByteView key, bool is_tombstone,
                                                     ByteView value) {
    protocol::Reader reader(key);
    std::int16_t type = 0;
    reader.read(type);
    if (!reader.ok()) return std::unexpected("a key without a record type");
    const ByteView fields = reader.rest();
    switch (type) {
        case kOldOffsetCommitType:
        case OffsetCommitKey::kId:
            return replay_offset(state_->offsets, fields, is_tombstone, value);
        case GroupMetadataKey::kId:
            return replay_group(state_->classic, fields, is_tombstone, value);
        default:
            if (type < 0) return std::unexpected("a record type below zero");
            return state_->consumer.replay(type, fields, is_tombstone, value);
    }
}

Effects Coordinator::begin(const Now& now) {
    DLOG_ASSERT(state_->next_expiry == kNever);
    Effects effects;
    Step step{now, state_->settings, state_->random, effects};
    state_->resolve_twins();
    // Groups that are known by their offsets alone have no record.
    for (const auto& [group_id, topics] : state_->offsets.groups()) {
        const bool is_known =
            state_->classic.find(group_id) != nullptr || state_->consumer.find(group_id) != nullptr;
        if (!is_known) state_->classic.create(group_id);
    }
    state_->classic.begin_sessions(step);
    state_->consumer.begin_sessions(step);
    state_->next_expiry = step.after(state_->settings.offsets_check_interval);
    effects.wake_at = std::min(state_->timetable.earliest(), state_->next_expiry);
    return effects;
}

Effects Coordinator::step(const Now& now, const Input& input) {
    Effects effects;
    Step step{now, state_->settings, state_->random, effects};
    std::visit([&](const auto& each) { state_->handle(step, each); }, input);
    effects.wake_at = std::min(state_->timetable.earliest(), state_->next_expiry);
    return effects;
}

void Coordinator::set_settings(const GroupSettings& settings) {
    state_->settings = settings;
}

GroupCounts Coordinator::counts() const {
    GroupCounts counts{
        .groups = state_->classic.groups().size() + state_->consumer.groups().size(),
        .offsets = state_->offsets.count(),
        .rebalances = state_->classic.completed_rebalances() + state_->consumer.rebalances()};
    for (const auto& [group_id, group] : state_->classic.groups()) {
        counts.members += group->members().size();
    }
    for (const auto& [group_id, group] : state_->consumer.groups()) {
        counts.members += group->members().size();
    }
    return counts;
}

/// Only damaged records tell of a group of both kinds: the one with members is kept.
void Coordinator::State::resolve_twins() {
    std::vector<std::string> twins;
    for (const auto& [group_id, group] : consumer.groups()) {
        if (classic.find(group_id) != nullptr) twins.push_back(group_id);
    }
    for (const std::string& group_id : twins) {
        ConsumerGroup& group = *consumer.find(group_id);
        if (group.members().empty()) {
            consumer.erase(group);
        } else {
            classic.erase(*classic.find(group_id));
        }
    }
}

void Coordinator::State::handle(Step& step, const Tick&) {
    const Instant now = step.now.instant;
    while (const auto group_id = timetable.due(now)) {
        if (ClassicGroup* const group = classic.find(*group_id)) {
            classic.look_at(step, *group);
            continue;
        }
        ConsumerGroup* const group = consumer.find(*group_id);
        DLOG_ASSERT(group != nullptr, *group_id);
        consumer.look_at(step, *group);
        downgrade_if_due(step, *group_id);
    }
    if (next_expiry <= now) expire_offsets(step);
}

void Coordinator::State::handle(Step& step, const Join& join) {
    ConsumerGroup* const group = consumer.find(join.request.group_id);
    if (group != nullptr && !group->members().empty()) {
        consumer.join(step, *group, join);
        // A static member of the new protocol may have come back as a classic one.
        return downgrade_if_due(step, join.request.group_id);
    }
    // A group without members changes its kind.
    if (group != nullptr) timetable.forget(group->id, group->slot);
    classic.join(step, join);
    if (group == nullptr || classic.find(group->id) == nullptr) return;
    group->add_tombstones(step.effects);
    consumer.erase(*group);
}

void Coordinator::State::handle(Step& step, const Leave& leave) {
    ConsumerGroup* const group = consumer.find(leave.request.group_id);
    if (group == nullptr) return classic.leave(step, leave);
    consumer.leave(step, *group, leave);
    downgrade_if_due(step, leave.request.group_id);
}

void Coordinator::State::handle(Step& step, const Sync& sync) {
    ConsumerGroup* const group = consumer.find(sync.request.group_id);
    if (group != nullptr) return consumer.sync(step, *group, sync);
    classic.sync(step, sync);
}

void Coordinator::State::handle(Step& step, const Beat& beat) {
    ConsumerGroup* const group = consumer.find(beat.request.group_id);
    if (group != nullptr) return consumer.beat(step, *group, beat);
    classic.beat(step, beat);
}

void Coordinator::State::handle(Step& step, const ConsumerBeat& beat) {
    const auto& request = beat.request;
    protocol::ConsumerGroupHeartbeatResponse refusal;
    if (auto found = ConsumerGroups::check(step.settings, request)) {
        refusal.error_code = found->code;
        refusal.error_message = std::move(found->message);
        return step.reply(beat.ticket, std::move(refusal));
    }
    ClassicGroup* group = classic.find(request.group_id);
    const bool joins = request.member_epoch == kJoiningEpoch;
    const bool has_members = group != nullptr && group->state != GroupState::kEmpty;
    if (has_members && joins && upgrade(step, *group, request)) group = nullptr;
    if (group != nullptr && (has_members || !joins)) {
        refusal.error_code = ErrorCode::kGroupIdNotFound;
        refusal.error_message = "The group is not a consumer group.";
        return step.reply(beat.ticket, std::move(refusal));
    }
    // A group without members changes its kind.
    if (group != nullptr) timetable.forget(group->id, group->slot);
    consumer.beat(step, beat);
    if (group == nullptr) return downgrade_if_due(step, request.group_id);
    if (consumer.find(group->id) == nullptr) {
        return timetable.wake_by(step.after(milliseconds(0)), group->id, group->slot);
    }
    step.effects.records.push_back(tombstone(GroupMetadataKey{.group = group->id}));
    classic.erase(*group);
}

void Coordinator::State::handle(Step& step, const Describe& describe) {
    std::vector<Buffer> backing;
    if (const ClassicGroup* const group = classic.find(describe.group_id)) {
        auto found = ClassicGroups::describe(*group, backing);
        return step.reply(describe.ticket, std::move(found), std::move(backing));
    }
    protocol::DescribeGroupsResponse::DescribedGroup unknown;
    unknown.group_id = describe.group_id;
    unknown.group_state = "Dead";
    unknown.error_code = ErrorCode::kGroupIdNotFound;
    unknown.error_message = kUnknownGroup;
    step.reply(describe.ticket, std::move(unknown));
}

void Coordinator::State::handle(Step& step, const List& list) {
    protocol::ListGroupsResponse response;
    const auto add = [&](std::string_view type, const std::string& group_id, std::string_view state,
                         std::string_view protocol_type) {
        if (!passes(list.request.types_filter, type)) return;
        if (!passes(list.request.states_filter, state)) return;
        auto& out = response.groups.emplace_back();
        out.group_id = group_id;
        out.protocol_type = protocol_type;
        out.group_state = state;
        out.group_type = type;
    };
    for (const auto& [group_id, group] : classic.groups()) {
        const std::string_view protocol_type =
            group->protocol_type ? std::string_view(*group->protocol_type) : std::string_view();
        add("classic", group_id, group_state_name(group->state), protocol_type);
    }
    for (const auto& [group_id, group] : consumer.groups()) {
        add("consumer", group_id, group->state(), "consumer");
    }
    step.reply(list.ticket, std::move(response));
}

void Coordinator::State::handle(Step& step, const Delete& remove) {
    protocol::DeleteGroupsResponse::DeletableGroupResult result;
    result.group_id = remove.group_id;
    ClassicGroup* const group = classic.find(remove.group_id);
    ConsumerGroup* const consumer_group = consumer.find(remove.group_id);
    if (group == nullptr && consumer_group == nullptr) {
        result.error_code = ErrorCode::kGroupIdNotFound;
        result.error_message = kUnknownGroup;
    } else if (group != nullptr ? group->state != GroupState::kEmpty
                                : !consumer_group->members().empty()) {
        result.error_code = ErrorCode::kNonEmptyGroup;
        result.error_message = "The group still has members.";
    } else {
        offsets.remove_group(remove.group_id, step.effects);
        if (group != nullptr) {
            step.effects.records.push_back(tombstone(GroupMetadataKey{.group = result.group_id}));
            classic.erase(*group);
        } else {
            consumer_group->add_tombstones(step.effects);
            consumer.erase(*consumer_group);
        }
    }
    step.reply(remove.ticket, std::move(result));
}

void Coordinator::State::handle(Step& step, const ConsumerDescribe& describe) {
    if (const ConsumerGroup* const group = consumer.find(describe.group_id)) {
        return step.reply(describe.ticket, ConsumerGroups::describe(step, *group));
    }
    protocol::ConsumerGroupDescribeResponse::DescribedGroup response;
    response.group_id = describe.group_id;
    response.error_code = ErrorCode::kGroupIdNotFound;
    response.error_message = classic.find(describe.group_id) == nullptr
                                 ? kUnknownGroup
                                 : "The group is not a consumer group.";
    step.reply(describe.ticket, std::move(response));
}

}  // namespace dlog::coordination
