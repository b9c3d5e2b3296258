#include "server/log_sink.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/assert.h"

namespace dlog::server {

namespace {

std::string_view level_text(LogLevel level) {
    switch (level) {
        case LogLevel::kDebug:
            return "DEBUG";
        case LogLevel::kInfo:
            return "INFO ";
        case LogLevel::kWarn:
            return "WARN ";
        case LogLevel::kError:
            return "ERROR";
    }
    DLOG_UNREACHABLE();
}

void append_padded(std::string& out, std::int64_t number, int width) {
    std::string digits = std::to_string(number);
    while (static_cast<int>(digits.size()) < width) digits.insert(digits.begin(), '0');
    out += digits;
}

void append_time(std::string& out, std::int64_t unix_ms) {
    const time_t whole_seconds = static_cast<time_t>(unix_ms / 1000);
    tm parts{};
    gmtime_r(&whole_seconds, &parts);
    append_padded(out, parts.tm_year + 1900, 4);
    out += '-';
    append_padded(out, parts.tm_mon + 1, 2);
    out += '-';
    append_padded(out, parts.tm_mday, 2);
    out += 'T';
    append_padded(out, parts.tm_hour, 2);
    out += ':';
    append_padded(out, parts.tm_min, 2);
    out += ':';
    append_padded(out, parts.tm_sec, 2);
    out += '.';
    append_padded(out, unix_ms % 1000, 3);
    out += 'Z';
}

/// How many bytes the UTF-8 character at the front of `text` has; 0 when it is not one (RFC 3629
/// §4, without its finer limits on surrogates).
std::size_t utf8_length(std::string_view text) {
    const auto first = static_cast<unsigned char>(text[0]);
    const std::size_t length = first < 0x80   ? 1
                               : first < 0xc2 ? 0
                               : first < 0xe0 ? 2
                               : first < 0xf0 ? 3
                               : first < 0xf5 ? 4
                                              : 0;
    if (length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
    }
    return length;
}

/// The text as the inside of a JSON string (RFC 8259 §7); text lines escape alike. Bytes that are
/// not UTF-8 become U+FFFD.
void append_escaped(std::string& out, std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const auto byte = static_cast<unsigned char>(text[0]);
        if (length == 0) {
            out += "\xef\xbf\xbd";
        } else if (byte == '"' || byte == '\\') {
            out += '\\';
            out += text[0];
        } else if (byte == '\n') {
            out += "\\n";
        } else if (byte < 0x20 || byte == 0x7f) {
            out += "\\u00";
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
}

/// True when a text value can stand without quotes: a client's bytes must not be able to forge a
/// field or a line.
bool is_plain(std::string_view text) {
    if (text.empty()) return false;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte == 0x7f || c == '"' || c == '=' || c == '\\') return false;
    }
    return true;
}

std::int64_t unix_ms_now() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

std::string format_log_line(LogFormat format, std::int64_t unix_ms, LogLevel level,
                            std::string_view message, std::span<const LogField> fields) {
    std::string line;
    line.reserve(64 + message.size() + fields.size() * 32);
    const bool is_json = format == LogFormat::kJson;
    if (is_json) {
        line += "{\"time\":\"";
        append_time(line, unix_ms);
        line += "\",\"level\":\"";
        line += log_level_name(level);
        line += "\",\"message\":\"";
        append_escaped(line, message);
        line += '"';
    } else {
        append_time(line, unix_ms);
        line += ' ';
        line += level_text(level);
        line += ' ';
        append_escaped(line, message);
    }
    for (const LogField& field : fields) {
        line += is_json ? ",\"" : " ";
        line += field.name;
        line += is_json ? "\":" : "=";
        const bool needs_quotes = !field.is_bare && (is_json || !is_plain(field.value));
        if (needs_quotes) line += '"';
        append_escaped(line, field.value);
        if (needs_quotes) line += '"';
    }
    line += is_json ? "}\n" : "\n";
    return line;
}

/// What the sink and its writer thread share. The thread keeps it alive: when a reader never reads,
/// the sink's destructor gives up waiting and leaves the thread behind.
struct FileLogSink::Shared {
    explicit Shared(int fd_to_use) : fd(fd_to_use) {}

    void run() {
        std::unique_lock lock(mutex);
        while (true) {
            filled.wait(lock, [this] { return !pending.empty() || is_stopping; });
            if (pending.empty()) break;
            std::string batch = std::move(pending);
            pending.clear();
            lock.unlock();
            write_out(batch);
            lock.lock();
        }
        is_done = true;
        drained.notify_all();
    }

    void write_out(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t count = ::write(fd, bytes.data(), bytes.size());
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) return;  // nobody reads it any more
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
    }

    const int fd;
    std::mutex mutex;
    std::condition_variable filled;
    std::condition_variable drained;
    std::string pending;
    std::uint64_t dropped = 0;
    bool is_stopping = false;
    bool is_done = false;
};

FileLogSink::FileLogSink(int fd, LogFormat format, LogLevel least_level)
    : format_(format), least_level_(least_level), shared_(std::make_shared<Shared>(fd)) {
    // The thread inherits this mask: signals are for the loops.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread([shared = shared_] {
        ::pthread_setname_np(::pthread_self(), "dlog-log");
        shared->run();
    }).detach();
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

FileLogSink::~FileLogSink() {
    std::unique_lock lock(shared_->mutex);
    shared_->is_stopping = true;
    shared_->filled.notify_all();
    shared_->drained.wait_for(lock, std::chrono::seconds(1), [this] { return shared_->is_done; });
}

void FileLogSink::write(LogLevel level, std::string_view message,
                        std::span<const LogField> fields) {
    const std::int64_t now = unix_ms_now();
    const std::string line = format_log_line(format_, now, level, message, fields);
    const std::lock_guard lock(shared_->mutex);
    if (shared_->pending.size() + line.size() > kBufferBytesMax) {
        ++shared_->dropped;
        return;
    }
    if (shared_->dropped > 0) {
        const LogField lost("lines", shared_->dropped);
        shared_->pending +=
            format_log_line(format_, now, LogLevel::kWarn,
                            "log lines were dropped: their reader is too slow", {&lost, 1});
        shared_->dropped = 0;
    }
    shared_->pending += line;
    shared_->filled.notify_one();
}

}  // namespace dlog::server
