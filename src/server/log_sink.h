/// Where a node's log lines go: one line each to a file descriptor, as text or as JSON.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"

namespace dlog::server {

enum class LogFormat : std::uint8_t { kText, kJson };

/// One formatted line with its newline. `unix_ms` is the wall clock's time.
/// Text: `2026-11-22T20:00:00.000Z INFO  message key=value`. JSON:
/// {"time":…,"level":…,"message":…,"key":value}.
[[nodiscard]] std::string format_log_line(LogFormat format, std::int64_t unix_ms, LogLevel level,
                                          std::string_view message,
                                          std::span<const LogField> fields);

/// Writes lines to `fd` from a thread of its own, so that a core's loop never waits for a slow
/// reader. Lines are handed over in a buffer of at most kBufferBytesMax; what does not fit is
/// dropped and counted, and the next line that fits is preceded by one that says how many. Any core
/// may call `write`.
class FileLogSink final : public LogSink {
  public:
    static constexpr std::size_t kBufferBytesMax = 1 << 20;

    FileLogSink(int fd, LogFormat format, LogLevel least_level);
    /// Writes what is buffered, waiting at most one second for a reader that is slow.
    ~FileLogSink() override;

    void write(LogLevel level, std::string_view message, std::span<const LogField> fields) override;
    [[nodiscard]] bool is_enabled(LogLevel level) const override { return level >= least_level_; }

  private:
    struct Shared;
    LogFormat format_;
    LogLevel least_level_;
    std::shared_ptr<Shared> shared_;
};

}  // namespace dlog::server
