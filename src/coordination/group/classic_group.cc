#include "coordination/group/classic_group.h"

#include <algorithm>
#include <memory>
#include <set>
#include <unordered_map>

#include "base/assert.h"
#include "coordination/group/embedded_protocol.h"

namespace dlog::coordination {

namespace {

using RequestProtocols = std::vector<protocol::JoinGroupRequest::JoinGroupRequestProtocol>;
using protocol::ErrorCode;

/// Calls `visit` with each topic of a subscription of the consumer's protocol. Only the fields of
/// version 0 are read, with which all versions begin. False when they make no sense.
template <class Visit>
bool visit_topics(ByteView subscription, Visit visit) {
    protocol::Reader reader(subscription);
    std::int16_t version = 0;
    std::int32_t count = 0;
    reader.read(version);
    reader.read(count);
    ByteView rest = reader.rest();
    if (!reader.ok() || count < 0) return false;
    for (; count > 0; --count) {
        if (rest.size() < sizeof(std::int16_t)) return false;
        const auto length = load_big_endian<std::uint16_t>(rest.data());
        rest = rest.subspan(sizeof(std::int16_t));
        if (length > rest.size()) return false;
        visit(as_text(rest.first(length)));
        rest = rest.subspan(length);
    }
    return true;
}

template <class Protocols>
std::size_t bytes_of_protocols(const Protocols& protocols) {
    std::size_t bytes = 0;
    for (const auto& each : protocols) {
        bytes += each.name.size() + each.metadata.size() + kClassicFieldBytes;
    }
    return bytes;
}

std::size_t bytes_of(const ClassicMember& member) {
    return member.id.size() + member.client_id.size() + member.client_host.size() +
           member.instance_id.value_or("").size() + 4 * kClassicFieldBytes +
           bytes_of_protocols(member.protocols);
}

}  // namespace

std::size_t content_bytes(const RequestProtocols& protocols) {
    return bytes_of_protocols(protocols);
}

std::string_view group_state_name(GroupState state) {
    switch (state) {
        case GroupState::kEmpty:
            return "Empty";
        case GroupState::kPreparingRebalance:
            return "PreparingRebalance";
        case GroupState::kCompletingRebalance:
            return "CompletingRebalance";
        case GroupState::kStable:
            return "Stable";
    }
    DLOG_UNREACHABLE();
}

ClassicProtocols copy_protocols(const RequestProtocols& protocols) {
    ClassicProtocols result;
    std::set<std::string_view> seen;
    result.reserve(protocols.size());
    for (const auto& each : protocols) {
        if (!seen.insert(each.name).second) continue;
        result.push_back({each.name, Buffer::copy_of(each.metadata)});
    }
    return result;
}

Buffer ClassicMember::metadata(std::string_view protocol) const {
    for (const ClassicProtocol& each : protocols) {
        if (each.name == protocol) return each.metadata;
    }
    return {};
}

bool ClassicMember::has_same(const RequestProtocols& others) const {
    return std::ranges::equal(protocols, others, [](const auto& ours, const auto& theirs) {
        return ours.name == theirs.name &&
               as_text(ours.metadata.view()) == as_text(theirs.metadata);
    });
}

ClassicMember* ClassicGroup::find(std::string_view member_id) {
    const auto found = members_.find(member_id);
    return found == members_.end() ? nullptr : &found->second;
}

const std::string* ClassicGroup::static_member(std::string_view instance_id) const {
    const auto found = static_members_.find(instance_id);
    return found == static_members_.end() ? nullptr : &found->second;
}

ErrorCode ClassicGroup::check_member(std::string_view member_id,
                                     const std::optional<std::string>& instance_id) const {
    if (instance_id) {
        const std::string* const holder = static_member(*instance_id);
        if (holder == nullptr) return ErrorCode::kUnknownMemberId;
        if (*holder != member_id) return ErrorCode::kFencedInstanceId;
    }
    return members_.contains(member_id) ? ErrorCode::kNone : ErrorCode::kUnknownMemberId;
}

ClassicMember& ClassicGroup::add(ClassicMember member, std::string_view type) {
    DLOG_ASSERT(!members_.contains(member.id), member.id);
    DLOG_ASSERT(!member.joining.has_value(), member.id);
    if (members_.empty()) protocol_type = std::string(type);
    if (!leader) leader = member.id;
    if (member.instance_id) static_members_[*member.instance_id] = member.id;
    pending.erase(member.id);
    count(member, 1);
    count_bytes(member, bytes_of(member));
    std::string key = member.id;
    return members_.emplace(std::move(key), std::move(member)).first->second;
}

void ClassicGroup::remove(std::string_view member_id) {
    const auto found = members_.find(member_id);
    DLOG_ASSERT(found != members_.end(), member_id);
    ClassicMember& member = found->second;
    DLOG_ASSERT(!member.joining && !member.syncing, member.id);
    const bool led = leads(member_id);
    count(member, -1);
    count_bytes(member, 0);
    if (member.instance_id) static_members_.erase(*member.instance_id);
    members_.erase(found);
    if (!led) return;
    leader.reset();
    if (!members_.empty()) leader = members_.begin()->first;
}

void ClassicGroup::count(const ClassicMember& member, int change) {
    for (const ClassicProtocol& each : member.protocols) {
        const auto at = supporters_.try_emplace(each.name, 0).first;
        DLOG_ASSERT(change > 0 || at->second > 0, each.name);
        at->second += static_cast<std::size_t>(change);
        if (at->second == 0) supporters_.erase(at);
    }
}

void ClassicGroup::set_protocols(ClassicMember& member, ClassicProtocols protocols) {
    count(member, -1);
    member.protocols = std::move(protocols);
    count(member, 1);
    count_bytes(member, bytes_of(member));
}

void ClassicGroup::count_bytes(ClassicMember& member, std::size_t bytes) {
    DLOG_ASSERT(content_bytes_ >= member.counted_bytes, content_bytes_, member.counted_bytes);
    content_bytes_ += bytes - member.counted_bytes;
    member.counted_bytes = bytes;
}

void ClassicGroup::set_joining(ClassicMember& member, std::optional<Ticket> ticket) {
    if (ticket && !member.joining) ++joining_count_;
    if (!ticket && member.joining) --joining_count_;
    member.joining = ticket;
}

ClassicMember& ClassicGroup::rename(const std::string& old_id, const std::string& new_id) {
    auto node = members_.extract(old_id);
    DLOG_ASSERT(!node.empty() && node.mapped().is_static(), old_id);
    node.key() = new_id;
    node.mapped().id = new_id;
    static_members_[*node.mapped().instance_id] = new_id;
    if (leads(old_id)) leader = new_id;
    const auto inserted = members_.insert(std::move(node));
    DLOG_ASSERT(inserted.inserted, new_id);
    return inserted.position->second;
}

bool ClassicGroup::supports(std::string_view type, const RequestProtocols& protocols) const {
    if (type.empty() || protocols.empty()) return false;
    if (members_.empty()) return true;
    if (protocol_type != type) return false;
    return std::ranges::any_of(protocols, [this](const auto& each) {
        const auto at = supporters_.find(each.name);
        return at != supporters_.end() && at->second == members_.size();
    });
}

std::string ClassicGroup::elect_protocol() const {
    DLOG_ASSERT(!members_.empty());
    std::map<std::string_view, std::size_t> votes;
    for (const auto& [member_id, member] : members_) {
        const auto choice = std::ranges::find_if(member.protocols, [this](const auto& each) {
            return supporters_.find(each.name)->second == members_.size();
        });
        // Nobody is let in without a protocol that all have.
        DLOG_ASSERT(choice != member.protocols.end(), member_id);
        ++votes[choice->name];
    }
    const auto most = std::ranges::max_element(
        votes, [](const auto& left, const auto& right) { return left.second < right.second; });
    return std::string(most->first);
}

bool ClassicGroup::elect_leader() {
    if (joining_count_ == 0) return false;
    const ClassicMember* const old = leader ? find(*leader) : nullptr;
    if (old != nullptr && old->joining) return true;
    for (const auto& [member_id, member] : members_) {
        if (!member.joining) continue;
        leader = member_id;
        return true;
    }
    DLOG_UNREACHABLE();
}

Duration ClassicGroup::rebalance_timeout() const {
    Duration longest = seconds(1);
    for (const auto& [member_id, member] : members_) {
        longest = std::max(longest, member.rebalance_timeout);
    }
    return longest;
}

void ClassicGroup::enter(GroupState next, Timestamp now) {
    state = next;
    state_since = now;
}

std::vector<bool> ClassicGroup::subscribed(const std::vector<std::string_view>& topics) const {
    std::vector<bool> result(topics.size(), false);
    if (protocol_type != kEmbeddedProtocolType || members_.empty()) return result;
    if (!protocol_name) return std::vector<bool>(topics.size(), true);
    std::unordered_map<std::string_view, std::size_t> wanted;
    for (std::size_t i = 0; i < topics.size(); ++i) wanted.emplace(topics[i], i);
    for (const auto& [member_id, member] : members_) {
        const Buffer subscription = member.metadata(*protocol_name);
        const bool understood = visit_topics(subscription.view(), [&](std::string_view topic) {
            const auto at = wanted.find(topic);
            if (at != wanted.end()) result[at->second] = true;
        });
        if (!understood) return std::vector<bool>(topics.size(), true);
    }
    // A topic that is asked for twice is answered the same twice.
    for (std::size_t i = 0; i < topics.size(); ++i) result[i] = result[wanted.at(topics[i])];
    return result;
}

GroupRecord ClassicGroup::record() const {
    DLOG_ASSERT(state == GroupState::kEmpty || state == GroupState::kStable, id);
    DLOG_ASSERT(members_.empty() == (state == GroupState::kEmpty), id);
    GroupMetadataValue value;
    value.protocol_type = protocol_type.value_or("");
    value.generation = generation;
    value.protocol = protocol_name;
    value.leader = leader;
    value.current_state_timestamp = state_since.ms;
    std::vector<Buffer> backing;
    for (const auto& [member_id, member] : members_) {
        // Before the first generation nobody is a member for good.
        if (!protocol_name) break;
        backing.push_back(member.metadata(*protocol_name));
        auto& out = value.members.emplace_back();
        out.member_id = member_id;
        out.group_instance_id = member.instance_id;
        out.client_id = member.client_id;
        out.client_host = member.client_host;
        out.rebalance_timeout = static_cast<std::int32_t>(member.rebalance_timeout.ms());
        out.session_timeout = static_cast<std::int32_t>(member.session_timeout.ms());
        out.subscription = backing.back().view();
        out.assignment = member.assignment.view();
    }
    return make_record(GroupMetadataKey{.group = id}, value, kGroupMetadataVersion);
}

std::unique_ptr<ClassicGroup> ClassicGroup::from_record(std::string group_id,
                                                        const GroupMetadataValue& value) {
    auto group = std::make_unique<ClassicGroup>(std::move(group_id));
    group->generation = std::max(value.generation, 0);
    if (!value.protocol_type.empty()) group->protocol_type = value.protocol_type;
    group->state_since = Timestamp{value.current_state_timestamp};
    if (value.members.empty()) return group;
    group->protocol_name = value.protocol.value_or("");
    group->state = GroupState::kStable;
    for (const auto& each : value.members) {
        if (group->find(each.member_id) != nullptr) continue;
        if (each.group_instance_id && group->static_member(*each.group_instance_id)) continue;
        const std::int32_t rebalance_ms =
            each.rebalance_timeout < 0 ? each.session_timeout : each.rebalance_timeout;
        ClassicMember member{.id = each.member_id,
                             .instance_id = each.group_instance_id,
                             .client_id = each.client_id,
                             .client_host = each.client_host,
                             .rebalance_timeout = milliseconds(std::max(rebalance_ms, 0)),
                             .session_timeout = milliseconds(std::max(each.session_timeout, 0))};
        member.protocols.push_back({*group->protocol_name, Buffer::copy_of(each.subscription)});
        member.assignment = Buffer::copy_of(each.assignment);
        member.has_synced = true;
        group->add(std::move(member), value.protocol_type);
    }
    if (value.leader && group->find(*value.leader) != nullptr) group->leader = value.leader;
    return group;
}

}  // namespace dlog::coordination
