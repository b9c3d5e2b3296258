#include "reactor/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "reactor/files.h"
#include "reactor/sockets.h"

namespace dlog::reactor {

using port::FileRange;
using port::NetError;
using port::NetResult;
using port::OutPart;
using port::Task;

namespace {

/// Reads shorter than this read ahead, this much at most.
constexpr std::size_t kAheadBytes = 4096;
/// What one system call takes: bounds how long the loop or a pool thread is held.
constexpr std::size_t kBytesPerCall = 256 * 1024;
constexpr std::size_t kVectorsPerCall = 64;
/// So many bytes cost about as much as a call without any.
constexpr std::uint64_t kBytesPerStep = 16 * 1024;

std::uint64_t cost_of(std::uint64_t size_bytes) {
    return 1 + size_bytes / kBytesPerStep;
}

bool is_empty(const OutPart& part) {
    const auto* const buffer = std::get_if<Buffer>(&part);
    return buffer != nullptr ? buffer->empty() : std::get<FileRange>(part).length == 0;
}

}  // namespace

port::ConnectionPtr TcpConnection::adopt(Loop& loop, int fd, std::string peer) {
    auto connection = std::make_unique<TcpConnection>(fd, std::move(peer));
    if (!connection->join(loop)) {
        const int error = errno;
        connection.reset();
        errno = error;
        return nullptr;
    }
    return connection;
}

TcpConnection::TcpConnection(int fd, std::string peer) : fd_(fd), peer_(std::move(peer)) {
    DLOG_ASSERT(fd >= 0, fd);
}

void TcpConnection::leave() {
    DLOG_ASSERT(!is_reading_ && !is_writing_ && !is_pool_sending_);
    if (is_closed_) return;
    loop_->unwatch(*this, fd_);
    loop_ = nullptr;
}

bool TcpConnection::join(Loop& loop) {
    DLOG_ASSERT(loop_ == nullptr || is_closed_);
    if (is_closed_ || loop.is_stopping()) {
        errno = ECONNABORTED;
        return false;
    }
    // What the socket is ready for by now comes as its first event.
    if (!loop.watch(*this, fd_, EPOLLIN | EPOLLOUT | EPOLLRDHUP)) return false;
    loop_ = &loop;
    share_ = {};
    return true;
}

TcpConnection::~TcpConnection() {
    close();
    // A write that the pool still performs when the loop has finished ends before this is
    // destroyed.
    close_descriptor();
}

void TcpConnection::close() {
    if (std::exchange(is_closed_, true)) return;
    if (loop_ != nullptr) loop_->unwatch(*this, fd_);
    if (is_pool_sending_) {
        // The pool uses the descriptor: end what it does; the write closes it afterwards.
        ::shutdown(fd_, SHUT_RDWR);
    } else {
        close_descriptor();
    }
    if (reader_) loop_->make_ready(std::exchange(reader_, nullptr));
    if (writer_) loop_->make_ready(std::exchange(writer_, nullptr));
}

void TcpConnection::close_descriptor() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void TcpConnection::on_events(std::uint32_t events) {
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) is_hung_up_ = true;
    if (is_hung_up_ || (events & EPOLLIN) != 0) is_readable_ = true;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
        is_writable_ = true;
        has_seen_writable_ = true;
    }
    FairLine& line = loop_->line();
    if (reader_ && is_readable_) line.wait(share_, std::exchange(reader_, nullptr));
    if (writer_ && is_writable_) line.wait(share_, std::exchange(writer_, nullptr));
}

Task<NetResult<std::size_t>> TcpConnection::read(MutableBytes into) {
    DLOG_ASSERT(!into.empty() && !is_reading_, into.size());
    if (ahead_ != nullptr && !is_closed_) co_return take_ahead(into);
    is_reading_ = true;
    for (;;) {
        if (is_closed_) break;
        if (is_readable_ && share_.must_wait()) {
            co_await Turn{*this};
            continue;
        }
        if (is_readable_) {
            const std::int64_t count = receive(into.first(std::min(into.size(), kBytesPerCall)));
            loop_->use(share_,
                       cost_of(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0))));
            if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
                is_readable_ = errno == EINTR;
                continue;
            }
            is_reading_ = false;
            if (count < 0) co_return std::unexpected(net_error_of(errno));
            co_return static_cast<std::size_t>(count);
        }
        co_await Wait(reader_);
    }
    is_reading_ = false;
    co_return std::unexpected(NetError::kClosed);
}

std::int64_t TcpConnection::receive(MutableBytes into) {
    if (into.size() < kAheadBytes) return receive_ahead(into);
    const ssize_t count = ::recv(fd_, into.data(), into.size(), 0);
    // A short read has emptied the socket: what comes later is a new event (epoll(7)).
    if (count > 0 && static_cast<std::size_t>(count) < into.size()) is_readable_ = is_hung_up_;
    return count;
}

std::int64_t TcpConnection::receive_ahead(MutableBytes into) {
    std::unique_ptr<std::uint8_t[]> block = loop_->borrow_block();
    std::array<iovec, 2> vectors{iovec{into.data(), into.size()}, iovec{block.get(), kAheadBytes}};
    const ssize_t count = ::readv(fd_, vectors.data(), 2);
    const int error = errno;
    if (count > 0 && static_cast<std::size_t>(count) < into.size() + kAheadBytes) {
        is_readable_ = is_hung_up_;
    }
    if (count <= static_cast<ssize_t>(into.size())) {
        loop_->return_block(std::move(block));
        errno = error;
        return count;
    }
    ahead_ = std::move(block);
    ahead_begin_ = 0;
    ahead_end_ = static_cast<std::uint16_t>(static_cast<std::size_t>(count) - into.size());
    return static_cast<std::int64_t>(into.size());
}

std::size_t TcpConnection::take_ahead(MutableBytes into) {
    DLOG_ASSERT(ahead_begin_ < ahead_end_, ahead_begin_, ahead_end_);
    const std::size_t count =
        std::min(into.size(), static_cast<std::size_t>(ahead_end_ - ahead_begin_));
    std::memcpy(into.data(), ahead_.get() + ahead_begin_, count);
    ahead_begin_ = static_cast<std::uint16_t>(ahead_begin_ + count);
    if (ahead_begin_ == ahead_end_) loop_->return_block(std::move(ahead_));
    return count;
}

Task<NetResult<void>> TcpConnection::write(std::vector<OutPart> parts) {
    DLOG_ASSERT(!is_writing_);
    is_writing_ = true;
    // Nothing may follow MSG_MORE with nothing.
    std::erase_if(parts, is_empty);
    const auto range_count = std::count_if(parts.begin(), parts.end(), [](const OutPart& part) {
        return std::holds_alternative<FileRange>(part);
    });
    // Between several ranges the kernel would push a short segment after each.
    const bool is_corked = range_count > 1 && !is_closed_;
    if (is_corked) set_cork(true);
    Cursor cursor;
    Step step = Step::kMoved;
    while (cursor.part < parts.size() && !is_closed_) {
        if (is_writable_ && share_.must_wait()) {
            co_await Turn{*this};
            continue;
        }
        if (!is_writable_) {
            co_await Wait(writer_);
            continue;
        }
        if (const auto* const range = std::get_if<FileRange>(&parts[cursor.part])) {
            step = co_await send_range(range, &cursor);
        } else {
            step = send_buffers(parts, cursor);
        }
        if (step == Step::kFailed || step == Step::kFileFailed) break;
    }
    is_writing_ = false;
    if (is_closed_) co_return std::unexpected(NetError::kClosed);
    if (step == Step::kFileFailed) co_return std::unexpected(NetError::kFile);
    if (step == Step::kFailed) co_return std::unexpected(net_error_of(write_errno_));
    if (is_corked) set_cork(false);
    co_return NetResult<void>();
}

TcpConnection::Step TcpConnection::send_buffers(const std::vector<OutPart>& parts, Cursor& cursor) {
    std::array<iovec, kVectorsPerCall> vectors;
    std::size_t count = 0;
    std::size_t end = cursor.part;
    std::size_t wanted = 0;
    for (; end < parts.size() && count < vectors.size() && wanted < kBytesPerCall; ++end) {
        const auto* const buffer = std::get_if<Buffer>(&parts[end]);
        if (buffer == nullptr) break;
        const std::size_t skipped = end == cursor.part ? cursor.offset : 0;
        if (buffer->size() == skipped) continue;
        const std::size_t size = std::min(buffer->size() - skipped, kBytesPerCall - wanted);
        vectors[count++] = {const_cast<std::uint8_t*>(buffer->data()) + skipped, size};
        wanted += size;
    }
    std::size_t sent = 0;
    if (count > 0) {
        msghdr message{};
        message.msg_iov = vectors.data();
        message.msg_iovlen = count;
        // What follows shares a segment with these bytes.
        const int more = end < parts.size() ? MSG_MORE : 0;
        const ssize_t result = ::sendmsg(fd_, &message, MSG_NOSIGNAL | more);
        if (result < 0 && errno == EINTR) return Step::kMoved;
        if (result < 0 && errno == EAGAIN) {
            is_writable_ = false;
            return Step::kWouldBlock;
        }
        if (result < 0) {
            write_errno_ = errno;
            return Step::kFailed;
        }
        sent = static_cast<std::size_t>(result);
    }
    loop_->use(share_, cost_of(sent));
    while (cursor.part < end) {
        const std::size_t left = std::get<Buffer>(parts[cursor.part]).size() - cursor.offset;
        if (sent < left) break;
        sent -= left;
        cursor = {.part = cursor.part + 1, .offset = 0};
    }
    cursor.offset += sent;
    return Step::kMoved;
}

Task<TcpConnection::Step> TcpConnection::send_range(const FileRange* range, Cursor* cursor) {
    DLOG_ASSERT(range->file != nullptr && cursor->offset < range->length, cursor->offset);
    const std::uint64_t position = range->position + cursor->offset;
    const std::uint64_t wanted =
        std::min(range->length - cursor->offset, std::uint64_t{kBytesPerCall});
    FileStep result;
    if (is_resident(os_file(range->file), position, wanted)) {
        result = send_file(fd_, *range, cursor->offset, wanted);
        loop_->use(share_, cost_of(result.sent));
        if (result.step == Step::kWouldBlock) is_writable_ = false;
    } else {
        is_pool_sending_ = true;
        has_seen_writable_ = false;
        result = co_await BlockingCall(
            *loop_, nullptr, [&] { return send_file(fd_, *range, cursor->offset, wanted); });
        is_pool_sending_ = false;
        if (is_closed_) close_descriptor();
        // The socket may have drained between the pool's attempt and now: then its event has come
        // already.
        if (result.step == Step::kWouldBlock) is_writable_ = has_seen_writable_;
    }
    write_errno_ = result.error;
    cursor->offset += result.sent;
    if (cursor->offset == range->length) *cursor = {.part = cursor->part + 1, .offset = 0};
    co_return result.step;
}

TcpConnection::FileStep TcpConnection::send_file(int fd, const FileRange& range,
                                                 std::uint64_t offset, std::uint64_t wanted) {
    auto position = static_cast<off_t>(range.position + offset);
    const ssize_t result = ::sendfile(fd, os_file(range.file).fd(), &position, wanted);
    if (result > 0) return {.step = Step::kMoved, .sent = static_cast<std::uint64_t>(result)};
    if (result == 0) return {.step = Step::kFileFailed};  // the file ends before the range does
    switch (errno) {
        case EINTR:
            return {.step = Step::kMoved};
        case EAGAIN:
            return {.step = Step::kWouldBlock};
        case EIO:
        case EBADF:
        case EINVAL:
        case EOVERFLOW:
            return {.step = Step::kFileFailed};
        default:
            return {.step = Step::kFailed, .error = errno};
    }
}

void TcpConnection::set_cork(bool is_corked) const {
    const int value = is_corked ? 1 : 0;
    (void)::setsockopt(fd_, IPPROTO_TCP, TCP_CORK, &value, sizeof(value));
}

}  // namespace dlog::reactor
