/// Reading only what transactions have committed (KIP-98).
#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "record/batch.h"
#include "record/error.h"

namespace dlog::client {

/// Which records of transactions are read. The numbers are those of the protocol.
enum class Isolation : std::uint8_t {
    kReadUncommitted = 0,
    /// Those of committed transactions, up to the first one that is still open.
    kReadCommitted = 1,
};

/// Tells the batches of aborted transactions in one partition's part of a Fetch answer. The broker
/// lists every aborted transaction of which the answer may hold something: from its first offset
/// on, all of its producer's batches up to the next abort marker belong to it.
class AbortedTransactions {
  public:
    /// Of `producer`, beginning at `first`. Before the first call of `must_skip`.
    void add(ProducerId producer, Offset first) { begun_.emplace_back(first, producer); }

    /// Whether a reader of committed records is not to see this batch: it is aborted, or a control
    /// batch. Called with every whole batch of the answer in turn; kCorruptRecord for a marker
    /// that is none.
    [[nodiscard]] record::Result<bool> must_skip(const record::BatchHeader& header, ByteView batch);

  private:
    std::vector<std::pair<Offset, ProducerId>> begun_;
    std::size_t next_ = 0;  ///< of `begun_`, once that is sorted
    bool is_sorted_ = false;
    std::set<ProducerId> aborted_;  ///< whose batches are aborted ones at this point
};

}  // namespace dlog::client
