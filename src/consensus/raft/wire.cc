#include "consensus/raft/wire.h"

#include <optional>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/result.h"
#include "consensus/messages/raft_messages.h"
#include "consensus/raft/wire_epochs.h"
#include "protocol/record_variant.h"

namespace dlog::consensus::raft {

namespace {

using WireMessage =
    std::variant<VoteRequestRecord, VoteReplyRecord, AppendRecord, AppendReplyRecord, InstallRecord,
                 TimeoutNowRecord, ResignedRecord>;

LogPosition position(std::int32_t term, std::int64_t offset) {
    return {LeaderEpoch(term), Offset(offset)};
}

WireMessage to_wire(const VoteRequest& request) {
    VoteRequestRecord wire;
    wire.term = request.term.value;
    wire.end_term = request.log_end.term.value;
    wire.end_offset = request.log_end.end.value;
    wire.is_pre_vote = request.is_pre_vote;
    wire.is_handover = request.is_handover;
    return wire;
}

WireMessage to_wire(const VoteReply& reply) {
    VoteReplyRecord wire;
    wire.term = reply.term.value;
    wire.is_pre_vote = reply.is_pre_vote;
    wire.is_granted = reply.is_granted;
    return wire;
}

WireMessage to_wire(const Append& append) {
    AppendRecord wire;
    wire.term = append.term.value;
    wire.previous_term = append.previous.term.value;
    wire.previous_offset = append.previous.end.value;
    wire.end_term = append.end.term.value;
    wire.end_offset = append.end.end.value;
    wire.commit_term = append.commit.term.value;
    wire.commit_offset = append.commit.end.value;
    wire.question = static_cast<std::int64_t>(append.question);
    put_epochs(append.epochs, wire.epochs);
    return wire;
}

WireMessage to_wire(const AppendReply& reply) {
    AppendReplyRecord wire;
    wire.term = reply.term.value;
    wire.is_accepted = reply.is_accepted;
    wire.question = static_cast<std::int64_t>(reply.question);
    wire.refused_term = reply.refused.term.value;
    wire.refused_offset = reply.refused.end.value;
    wire.received_term = reply.received.term.value;
    wire.received_offset = reply.received.end.value;
    wire.persisted_term = reply.persisted.term.value;
    wire.persisted_offset = reply.persisted.end.value;
    wire.support = static_cast<std::int64_t>(reply.support);
    return wire;
}

WireMessage to_wire(const Install& install) {
    InstallRecord wire;
    wire.term = install.term.value;
    wire.start_term = install.start.term.value;
    wire.start_offset = install.start.end.value;
    put_configuration(install.configuration, wire);
    return wire;
}

WireMessage to_wire(const TimeoutNow& now) {
    TimeoutNowRecord wire;
    wire.term = now.term.value;
    return wire;
}

WireMessage to_wire(const Resigned& resigned) {
    ResignedRecord wire;
    wire.term = resigned.term.value;
    return wire;
}

std::optional<Message> from_wire(const VoteRequestRecord& wire) {
    if (!is_term(wire.term) || !is_position(wire.end_term, wire.end_offset)) return {};
    return VoteRequest{.term = LeaderEpoch(wire.term),
                       .log_end = position(wire.end_term, wire.end_offset),
                       .is_pre_vote = wire.is_pre_vote,
                       .is_handover = wire.is_handover};
}

std::optional<Message> from_wire(const VoteReplyRecord& wire) {
    if (!is_term(wire.term)) return {};
    return VoteReply{.term = LeaderEpoch(wire.term),
                     .is_pre_vote = wire.is_pre_vote,
                     .is_granted = wire.is_granted};
}

std::optional<Message> from_wire(const AppendRecord& wire) {
    Append append{.term = LeaderEpoch(wire.term),
                  .previous = position(wire.previous_term, wire.previous_offset),
                  .end = position(wire.end_term, wire.end_offset),
                  .commit = position(wire.commit_term, wire.commit_offset),
                  .question = static_cast<std::uint64_t>(wire.question)};
    const bool is_in_bounds = is_term(wire.term) &&
                              is_position(wire.previous_term, wire.previous_offset) &&
                              is_position(wire.end_term, wire.end_offset) &&
                              is_position(wire.commit_term, wire.commit_offset);
    if (!is_in_bounds || !take_epochs(wire.epochs, append.epochs)) return {};
    return append;
}

std::optional<Message> from_wire(const AppendReplyRecord& wire) {
    const bool is_in_bounds = is_term(wire.term) &&
                              is_position(wire.refused_term, wire.refused_offset) &&
                              is_position(wire.received_term, wire.received_offset) &&
                              is_position(wire.persisted_term, wire.persisted_offset);
    if (!is_in_bounds) return {};
    return AppendReply{.term = LeaderEpoch(wire.term),
                       .is_accepted = wire.is_accepted,
                       .question = static_cast<std::uint64_t>(wire.question),
                       .refused = position(wire.refused_term, wire.refused_offset),
                       .received = position(wire.received_term, wire.received_offset),
                       .persisted = position(wire.persisted_term, wire.persisted_offset),
                       .support = static_cast<std::uint64_t>(wire.support)};
}

std::optional<Message> from_wire(const InstallRecord& wire) {
    Install install{.term = LeaderEpoch(wire.term),
                    .start = position(wire.start_term, wire.start_offset),
                    .configuration = take_configuration(wire)};
    if (!is_term(wire.term) || !is_position(wire.start_term, wire.start_offset)) return {};
    if (!is_valid(install.configuration)) return {};
    return install;
}

std::optional<Message> from_wire(const TimeoutNowRecord& wire) {
    if (!is_term(wire.term)) return {};
    return TimeoutNow{.term = LeaderEpoch(wire.term)};
}

std::optional<Message> from_wire(const ResignedRecord& wire) {
    if (!is_term(wire.term)) return {};
    return Resigned{.term = LeaderEpoch(wire.term)};
}

}  // namespace

void encode_message(protocol::Writer& writer, const Message& message) {
    const WireMessage wire = std::visit([](const auto& one) { return to_wire(one); }, message);
    const auto written = protocol::write_record(writer, wire);
    DLOG_ASSERT(written.has_value());
}

Result<Message> decode_message(ByteView bytes) {
    DLOG_TRY_ASSIGN(const WireMessage wire, read_wire<WireMessage>(bytes));
    std::optional<Message> message =
        std::visit([](const auto& one) { return from_wire(one); }, wire);
    if (!message) return std::unexpected(Error::kMalformed);
    return std::move(*message);
}

void encode_pulse(protocol::Writer& writer, const Pulse& pulse) {
    PulseRecord wire;
    wire.incarnation = static_cast<std::int64_t>(pulse.incarnation);
    wire.to_incarnation = static_cast<std::int64_t>(pulse.to_incarnation);
    wire.support = static_cast<std::int64_t>(pulse.support);
    wire.support_for = pulse.support_for.ns;
    wire.sent_at = pulse.sent_at.ns;
    wire.echo = pulse.echo.ns;
    const auto written = protocol::write_record(writer, std::variant<PulseRecord>(wire));
    DLOG_ASSERT(written.has_value());
}

Result<Pulse> decode_pulse(ByteView bytes) {
    DLOG_TRY_ASSIGN(const auto record, read_wire<std::variant<PulseRecord>>(bytes));
    const PulseRecord& wire = std::get<PulseRecord>(record);
    // An hour is more than anyone waits, and cannot overflow what it is added to.
    const bool is_in_bounds = wire.incarnation > 0 && wire.support_for >= 0 &&
                              wire.support_for <= seconds(3'600).ns && wire.sent_at >= 0 &&
                              wire.echo >= 0 && wire.echo < INT64_MAX / 2;
    if (!is_in_bounds) return std::unexpected(Error::kMalformed);
    return Pulse{.incarnation = static_cast<std::uint64_t>(wire.incarnation),
                 .to_incarnation = static_cast<std::uint64_t>(wire.to_incarnation),
                 .support = static_cast<std::uint64_t>(wire.support),
                 .support_for = {wire.support_for},
                 .sent_at = {wire.sent_at},
                 .echo = {wire.echo}};
}

}  // namespace dlog::consensus::raft
