/// Groups' messages of one core that wait to be sent to one node.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "consensus/raft/frame.h"
#include "peers/cargo.h"
#include "peers/metrics.h"

namespace dlog::peers {

/// Bounded in bytes: when more comes everything that waits is dropped, and so is what follows until
/// the handler has heard of it. A gap without a word would look like a slow link for a second.
class Outbox final : public Cargo {
  public:
    struct Limits {
        std::size_t queue_bytes = 0;
        /// A frame is closed once it holds so much.
        std::size_t frame_bytes = 0;
    };
    /// Tells the handler of the core. Called by `report` and `drop` only.
    class Listener {
      public:
        virtual void link_reset() = 0;

      protected:
        ~Listener() = default;
    };

    Outbox(Limits limits, Listener& listener, NodeMetrics& metrics)
        : limits_(limits), listener_(listener), metrics_(metrics) {}

    void add(consensus::raft::Envelope envelope, std::vector<Buffer> records);
    /// Says what was dropped for want of room, if anything.
    void report();
    [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }

    [[nodiscard]] bool is_empty() const override { return queue_.empty(); }
    [[nodiscard]] Load take() override;
    void drop() override;
    void stop() override { clear(); }
    [[nodiscard]] bool came(Frame) override { return false; }

  private:
    struct Entry {
        consensus::raft::Envelope envelope;
        std::vector<Buffer> records;
        std::size_t text_bytes_most = 0;
        [[nodiscard]] std::size_t size_bytes() const {
            return text_bytes_most + envelope.records_bytes;
        }
    };
    void clear();

    Limits limits_;
    Listener& listener_;
    NodeMetrics& metrics_;
    std::deque<Entry> queue_;
    std::size_t size_bytes_ = 0;
    bool has_overflowed_ = false;
};

}  // namespace dlog::peers
