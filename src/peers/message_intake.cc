#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "peers/arrivals.h"

namespace dlog::peers {

namespace {

/// What a connection has read and no handler has taken yet.
struct Ahead {
    std::size_t frames = 0;
    std::size_t bytes = 0;
    NodeMetrics* metrics = nullptr;
    port::Notifier changed;
};

/// One frame of it, until the last of its messages is taken.
class Charge {
  public:
    Charge(Ahead& ahead, std::size_t bytes) : ahead_(ahead), bytes_(bytes) {
        ++ahead_.frames;
        ahead_.bytes += bytes_;
        ahead_.metrics->ahead_bytes += bytes_;
    }
    Charge(const Charge&) = delete;
    Charge& operator=(const Charge&) = delete;
    ~Charge() {
        --ahead_.frames;
        ahead_.bytes -= bytes_;
        ahead_.metrics->ahead_bytes -= bytes_;
        ahead_.changed.notify_all();
    }

  private:
    Ahead& ahead_;
    const std::size_t bytes_;
};

struct Delivery {
    raft::GroupId group;
    raft::Message message;
    Buffer records;
};
using Deliveries = std::vector<Delivery>;

/// Goes to the owners' core with what a frame has for it.
port::Task<void> deliver(Desk* home, Desk* desk, NodeId from, Deliveries deliveries,
                         std::shared_ptr<Charge> charge) {
    port::Spawn* const there = &desk->ports.spawn;
    co_await port::hop(home->ports.spawn, there->core());
    if (!desk->is_stopping) {
        for (Delivery& delivery : deliveries) {
            desk->handler->received(from, delivery.group, std::move(delivery.message),
                                    std::move(delivery.records));
        }
    }
    deliveries.clear();
    co_await port::hop(*there, home->id());
    charge.reset();
}

void hand_out(Desk& desk, NodeId from, std::vector<raft::Envelope> envelopes, const Frame& frame,
              const std::shared_ptr<Charge>& charge) {
    std::vector<Deliveries> by_core(desk.shared.desks.size());
    std::size_t position = 0;
    for (raft::Envelope& envelope : envelopes) {
        const CoreId owner = desk.shared.owners->owner_of(envelope.group);
        DLOG_ASSERT(owner.value < by_core.size(), owner, by_core.size());
        Buffer records;
        if (envelope.records_bytes > 0) {
            records = frame.records.slice(position, envelope.records_bytes);
        }
        position += envelope.records_bytes;
        by_core[owner.value].push_back({.group = envelope.group,
                                        .message = std::move(envelope.message),
                                        .records = std::move(records)});
    }
    for (std::size_t core = 0; core < by_core.size(); ++core) {
        if (by_core[core].empty()) continue;
        desk.ports.spawn.spawn(
            deliver(&desk, desk.shared.desks[core], from, std::move(by_core[core]), charge));
    }
}

}  // namespace

port::Task<void> receive_messages(Desk* desk, port::Connection* connection, NodeId from) {
    const Config& config = desk->shared.config;
    NodeMetrics& metrics = desk->metrics.nodes[from];
    const FrameBounds bounds{.text_bytes = raft::kFrameTextMax,
                             .records_bytes = raft::kFrameRecordsMax};
    Ahead ahead{.metrics = &metrics};
    while (!desk->is_stopping) {
        if (ahead.frames >= config.ahead_frames_max || ahead.bytes >= config.ahead_bytes_max) {
            co_await ahead.changed.wait();
            continue;
        }
        auto frame = co_await read_frame(connection, bounds);
        if (!frame) {
            desk->note_end(from, frame.error());
            break;
        }
        auto envelopes = frame->head.kind == raft::FrameKind::kMessages
                             ? raft::decode_envelopes(frame->text.view(), frame->head.records_bytes)
                             : std::unexpected(consensus::Error::kMalformed);
        if (!envelopes) {
            desk->note_end(from, FrameFault::kMalformed);
            break;
        }
        metrics.bytes_received += frame->size_bytes();
        ++metrics.frames_received;
        metrics.messages_received += envelopes->size();
        const auto charge = std::make_shared<Charge>(ahead, frame->size_bytes());
        hand_out(*desk, from, *std::move(envelopes), *frame, charge);
    }
    connection->close();
    while (ahead.frames > 0) co_await ahead.changed.wait();
}

}  // namespace dlog::peers
