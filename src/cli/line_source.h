/// The lines of standard input or of files, read on the pool so that a slow pipe does not stop the
/// loop.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "port/spawn.h"
#include "port/task.h"

namespace dlog::cli {

/// Belongs to one core.
class LineSource {
  public:
    static constexpr std::size_t kLineBytesMax = std::size_t{256} << 20;

    /// No files: standard input.
    LineSource(port::Spawn& spawn, std::vector<std::string> files)
        : spawn_(spawn), files_(std::move(files)) {}
    LineSource(const LineSource&) = delete;
    LineSource& operator=(const LineSource&) = delete;
    ~LineSource();

    /// Reads more. False at the end of everything; the error names the file that cannot be read.
    [[nodiscard]] port::Task<std::expected<bool, std::string>> read_more();
    /// The next whole line without its newline, good until `read_more`; nothing when more must be
    /// read. A last line without newline counts as a line.
    [[nodiscard]] std::optional<std::string_view> next_line();

    [[nodiscard]] std::uint64_t bytes_read() const { return bytes_read_; }
    /// The files' sizes together; 0 when unknown.
    [[nodiscard]] std::uint64_t total_bytes() const { return total_bytes_; }
    /// Finds the sizes of the files; the error names the one that is not there.
    [[nodiscard]] std::expected<void, std::string> measure();

  private:
    [[nodiscard]] std::expected<bool, std::string> open_next();

    port::Spawn& spawn_;
    std::vector<std::string> files_;
    std::size_t next_file_ = 0;
    int fd_ = -1;
    std::string buffer_;
    std::size_t line_start_ = 0;
    std::size_t searched_ = 0;
    bool is_at_end_ = false;
    std::uint64_t bytes_read_ = 0;
    std::uint64_t total_bytes_ = 0;
};

}  // namespace dlog::cli
