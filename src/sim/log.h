/// What a simulated host logs: the last lines are kept, each is folded into the world's hash.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/log.h"
#include "sim/loop.h"
#include "sim/options.h"

namespace dlog::sim {

struct LogLine {
    Instant time;
    std::uint64_t sequence = 0;
    LogLevel level = LogLevel::kInfo;
    std::string text;
};

class HostLog final : public LogSink {
  public:
    HostLog(Loop& loop, const Options& options, std::string host)
        : loop_(loop), options_(options), host_(std::move(host)) {}
    void write(LogLevel level, std::string_view message, std::span<const LogField> fields) override;
    [[nodiscard]] bool is_enabled(LogLevel level) const override {
        return level >= options_.log_level;
    }

    /// The last lines, oldest first.
    [[nodiscard]] const std::deque<LogLine>& lines() const { return lines_; }
    /// How many lines of at least `level` were written, kept or not.
    [[nodiscard]] std::uint64_t count_at_least(LogLevel level) const;
    /// True when a kept line's text has `part` in it.
    [[nodiscard]] bool has(std::string_view part) const;

  private:
    Loop& loop_;
    const Options& options_;
    std::string host_;
    std::deque<LogLine> lines_;
    std::uint64_t counts_[4] = {};
};

}  // namespace dlog::sim
