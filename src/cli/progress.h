/// The progress line of `dlog produce` on a terminal.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"

namespace dlog::cli {

struct ProgressNumbers {
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;
    std::uint64_t total_bytes = 0;  ///< 0: unknown
    Duration elapsed;
    /// Of the last interval.
    double records_per_second = 0;
};

/// "12.3 MB"
[[nodiscard]] std::string size_text(std::uint64_t bytes);
/// One line without an end, at most 78 columns: a bar when the total is known, counts and the rate.
[[nodiscard]] std::string progress_text(const ProgressNumbers& numbers);

/// Draws the line on standard error at most five times a second.
class Progress {
  public:
    Progress(bool is_shown, Instant start, std::uint64_t total_bytes)
        : is_shown_(is_shown), start_(start), last_(start), total_bytes_(total_bytes) {}
    void update(Instant now, std::uint64_t records, std::uint64_t bytes);
    /// Replaces the line by the sum.
    void finish(Instant now, std::uint64_t records, std::uint64_t bytes);

  private:
    bool is_shown_;
    Instant start_;
    Instant last_;
    std::uint64_t last_records_ = 0;
    std::uint64_t total_bytes_;
};

}  // namespace dlog::cli
