/// A producer that calls a partition's replica directly, without broker and network, and outlives
/// the crashes of its node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "base/buffer.h"
#include "base/random.h"
#include "base/time.h"
#include "history.h"
#include "payload.h"
#include "port/task.h"
#include "replication/partition.h"

namespace dlog::port {
class Clock;
}

namespace dlog::simtest {

struct DirectProducer {
    /// A batch on its way: sent again after every failure until it is acknowledged.
    struct Outgoing {
        RecordName first;
        std::uint32_t count = 0;
        Buffer bytes;
    };

    /// Makes batches until as many as it likes now are unacknowledged.
    void fill_window(History& history, Timestamp now);

    std::uint32_t number = 0;
    std::size_t partition = 0;
    LogId log = 0;
    std::uint32_t key_count = 0;
    bool keys_collide = false;
    bool is_idempotent = false;
    std::uint64_t next_record = 0;
    std::deque<Outgoing> unacknowledged;
    Random random{0};

  private:
    void make_batch(History& history, Timestamp now);
};

/// Sends all that is not acknowledged, in order, and takes off what becomes so, and what a producer
/// without idempotence does not send again. False when something failed.
port::Task<bool> send_all(DirectProducer* producer, replication::PartitionPtr partition,
                          History* history, port::Clock* clock, Duration patience = seconds(3600));

}  // namespace dlog::simtest
