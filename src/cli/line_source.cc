#include "cli/line_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/result.h"

namespace dlog::cli {

namespace {

constexpr std::size_t kChunkBytes = 256 << 10;

std::string failure(const std::string& path) {
    return "cannot read " + path + ": " + std::strerror(errno);
}

/// Appends what one read gives; 0 at the end, below 0 for an error.
ssize_t append_from(int fd, std::string& buffer) {
    const std::size_t before = buffer.size();
    buffer.resize(before + kChunkBytes);
    ssize_t count = -1;
    do {
        count = ::read(fd, buffer.data() + before, kChunkBytes);
    } while (count < 0 && errno == EINTR);
    buffer.resize(before + static_cast<std::size_t>(count > 0 ? count : 0));
    return count;
}

}  // namespace

LineSource::~LineSource() {
    if (fd_ > STDIN_FILENO) ::close(fd_);
}

std::expected<void, std::string> LineSource::measure() {
    for (const std::string& path : files_) {
        struct stat info{};
        if (::stat(path.c_str(), &info) != 0) return unexpected(failure(path));
        if (S_ISREG(info.st_mode)) total_bytes_ += static_cast<std::uint64_t>(info.st_size);
    }
    return {};
}

std::expected<bool, std::string> LineSource::open_next() {
    if (fd_ > STDIN_FILENO) ::close(fd_);
    fd_ = -1;
    if (files_.empty() && next_file_ == 0) {
        ++next_file_;
        fd_ = STDIN_FILENO;
        return true;
    }
    if (next_file_ >= files_.size()) return false;
    const std::string& path = files_[next_file_++];
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) return unexpected(failure(path));
    return true;
}

port::Task<std::expected<bool, std::string>> LineSource::read_more() {
    buffer_.erase(0, line_start_);
    searched_ -= line_start_;
    line_start_ = 0;
    if (buffer_.size() > kLineBytesMax) {
        co_return unexpected<std::string>("a line is longer than 256 MiB");
    }
    for (;;) {
        if (fd_ < 0) {
            DLOG_CO_TRY_ASSIGN(const bool is_open, open_next());
            if (!is_open) {
                is_at_end_ = true;
                co_return line_start_ < buffer_.size();
            }
        }
        ssize_t count = -1;
        int error = 0;
        co_await spawn_.offload([this, &count, &error] {
            count = append_from(fd_, buffer_);
            error = errno;
        });
        if (count < 0) {
            errno = error;
            co_return unexpected(
                failure(files_.empty() ? "standard input" : files_[next_file_ - 1]));
        }
        if (count > 0) {
            bytes_read_ += static_cast<std::uint64_t>(count);
            co_return true;
        }
        // A file that does not end with a newline: its last line does not run into the next file.
        if (!buffer_.empty() && buffer_.back() != '\n' && next_file_ < files_.size())
            buffer_ += '\n';
        if (fd_ == STDIN_FILENO) fd_ = -1;
        DLOG_CO_TRY_ASSIGN(const bool is_open, open_next());
        if (!is_open) {
            is_at_end_ = true;
            co_return line_start_ < buffer_.size();
        }
    }
}

std::optional<std::string_view> LineSource::next_line() {
    const std::size_t newline = buffer_.find('\n', searched_);
    if (newline == std::string::npos) {
        searched_ = buffer_.size();
        if (!is_at_end_ || line_start_ == buffer_.size()) return std::nullopt;
        const std::string_view rest = std::string_view(buffer_).substr(line_start_);
        line_start_ = buffer_.size();
        return rest;
    }
    std::string_view line = std::string_view(buffer_).substr(line_start_, newline - line_start_);
    line_start_ = newline + 1;
    searched_ = line_start_;
    return line;
}

}  // namespace dlog::cli
