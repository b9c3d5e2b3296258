#include "peers/outbox.h"

#include <utility>
#include <variant>

#include "base/assert.h"

namespace dlog::peers {

namespace raft = consensus::raft;

namespace {

/// No envelope is longer, apart from the epochs in it and the voters of each.
constexpr std::size_t kEnvelopeBytesMost = 160;
constexpr std::size_t kEpochBytesMost = 32;
constexpr std::size_t kVoterBytes = 6;

std::size_t text_bytes_most(const raft::Message& message) {
    std::size_t bytes = kEnvelopeBytesMost;
    const auto add_voters = [&bytes](const consensus::Configuration& configuration) {
        bytes += kVoterBytes *
                 (configuration.voters.members.size() + configuration.outgoing.members.size());
    };
    if (const auto* append = std::get_if<raft::Append>(&message)) {
        for (const raft::Epoch& epoch : append->epochs) {
            bytes += kEpochBytesMost;
            add_voters(epoch.configuration);
        }
    }
    if (const auto* install = std::get_if<raft::Install>(&message)) {
        add_voters(install->configuration);
    }
    return bytes;
}

}  // namespace

void Outbox::add(raft::Envelope envelope, std::vector<Buffer> records) {
    std::size_t records_bytes = 0;
    for (const Buffer& part : records) records_bytes += part.size();
    DLOG_ASSERT(records_bytes <= raft::kFrameRecordsMax, records_bytes);
    DLOG_ASSERT(records_bytes == 0 || std::holds_alternative<raft::Append>(envelope.message));
    envelope.records_bytes = static_cast<std::uint32_t>(records_bytes);
    Entry entry{.envelope = std::move(envelope), .records = std::move(records)};
    entry.text_bytes_most = text_bytes_most(entry.envelope.message);
    // One message alone always has room.
    if (!queue_.empty() && size_bytes_ + entry.size_bytes() > limits_.queue_bytes) {
        metrics_.messages_dropped += queue_.size();
        clear();
        has_overflowed_ = true;
    }
    if (has_overflowed_) {
        ++metrics_.messages_dropped;
        return;
    }
    size_bytes_ += entry.size_bytes();
    queue_.push_back(std::move(entry));
}

Cargo::Load Outbox::take() {
    DLOG_ASSERT(!queue_.empty());
    std::vector<raft::Envelope> envelopes;
    std::vector<port::OutPart> parts(1);
    std::size_t text_bytes = 0;
    std::size_t records_bytes = 0;
    while (!queue_.empty() && text_bytes + records_bytes < limits_.frame_bytes) {
        Entry& entry = queue_.front();
        text_bytes += entry.text_bytes_most;
        records_bytes += entry.envelope.records_bytes;
        const bool fits =
            text_bytes <= raft::kFrameTextMax && records_bytes <= raft::kFrameRecordsMax;
        if (!fits && !envelopes.empty()) break;
        size_bytes_ -= entry.size_bytes();
        for (Buffer& part : entry.records) parts.emplace_back(std::move(part));
        envelopes.push_back(std::move(entry.envelope));
        queue_.pop_front();
    }
    parts.front() = raft::encode_envelopes(envelopes);
    metrics_.messages_sent += envelopes.size();
    return {.parts = std::move(parts), .frames = 1};
}

void Outbox::report() {
    if (!std::exchange(has_overflowed_, false)) return;
    ++metrics_.resets;
    listener_.link_reset();
}

void Outbox::drop() {
    metrics_.messages_dropped += queue_.size();
    clear();
    has_overflowed_ = false;
    ++metrics_.resets;
    listener_.link_reset();
}

void Outbox::clear() {
    queue_.clear();
    size_bytes_ = 0;
}

}  // namespace dlog::peers
