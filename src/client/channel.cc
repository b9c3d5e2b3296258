#include "client/channel.h"

#include <array>
#include <iterator>
#include <tuple>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "port/clock.h"
#include "port/spawn.h"

namespace dlog::client {

namespace {

constexpr std::size_t kLengthBytes = 4;

/// A connect that may be given up: it ends by itself later, and what it made is dropped then.
struct Connecting {
    bool is_done = false;
    port::NetResult<port::ConnectionPtr> result{unexpected(port::NetError::kTimedOut)};
    port::Notifier done;
};

port::Task<void> connect_into(const port::Ports* ports, port::Endpoint endpoint,
                              std::shared_ptr<Connecting> connecting) {
    connecting->result = co_await ports->net.connect(std::move(endpoint));
    connecting->is_done = true;
    connecting->done.notify_all();
}

}  // namespace

port::Task<Result<std::shared_ptr<Channel>>> Channel::open(const port::Ports* ports,
                                                           port::Endpoint endpoint,
                                                           Instant deadline) {
    const std::string peer = endpoint.text();
    auto connecting = std::make_shared<Connecting>();
    ports->spawn.spawn(connect_into(ports, std::move(endpoint), connecting));
    while (!connecting->is_done) {
        if (!co_await connecting->done.wait_until(ports->clock, deadline)) break;
    }
    auto connection = std::exchange(connecting->result, unexpected(port::NetError::kTimedOut));
    if (!connection) {
        co_return unexpected(Error{
            .kind = ErrorKind::kUnreachable,
            .detail = peer + " (" + std::string(port::net_error_name(connection.error())) + ")"});
    }
    auto channel = std::make_shared<Channel>(*ports, *std::move(connection), peer);
    ports->spawn.spawn(read_loop(channel));
    co_return channel;
}

Error Channel::error_of(port::NetError error) const {
    return {.kind = ErrorKind::kDisconnected,
            .detail = peer_ + " (" + std::string(port::net_error_name(error)) + ")"};
}

port::Task<Result<Buffer>> Channel::exchange(std::int32_t correlation_id,
                                             std::vector<port::OutPart> frame, Instant deadline) {
    const std::shared_ptr<Channel> self = shared_from_this();
    if (is_closed_) co_return unexpected(closed_by_);
    auto pending = std::make_shared<Pending>();
    pending->correlation_id = correlation_id;
    pending_.push_back(pending);
    enqueue(std::move(frame));
    while (!pending->is_done) {
        const bool in_time = co_await pending->done.wait_until(ports_.clock, deadline);
        if (!in_time && !pending->is_done) {
            close({.kind = ErrorKind::kTimedOut, .detail = peer_});
            DLOG_ASSERT(pending->is_done);
        }
    }
    co_return std::move(pending->result);
}

port::Task<Result<void>> Channel::send(std::vector<port::OutPart> frame) {
    const std::shared_ptr<Channel> self = shared_from_this();
    if (is_closed_) co_return unexpected(closed_by_);
    const std::uint64_t number = enqueued_frames_ + 1;
    enqueue(std::move(frame));
    while (sent_frames_ < number) {
        if (is_closed_) co_return unexpected(closed_by_);
        std::ignore = co_await sent_.wait();
    }
    co_return Result<void>();
}

void Channel::enqueue(std::vector<port::OutPart> frame) {
    ++enqueued_frames_;
    unsent_.insert(unsent_.end(), std::make_move_iterator(frame.begin()),
                   std::make_move_iterator(frame.end()));
    if (is_writing_) return;
    is_writing_ = true;
    ports_.spawn.spawn(write_loop(shared_from_this()));
}

/// Frames that are queued while a write is under way go out together in the next one.
port::Task<void> Channel::write_loop(std::shared_ptr<Channel> self) {
    while (!self->unsent_.empty() && !self->is_closed_) {
        const std::uint64_t covered = self->enqueued_frames_;
        auto parts = std::exchange(self->unsent_, {});
        const auto written = co_await self->connection_->write(std::move(parts));
        if (!written) {
            self->close(self->error_of(written.error()));
            break;
        }
        self->sent_frames_ = covered;
        self->sent_.notify_all();
    }
    self->is_writing_ = false;
}

port::Task<void> Channel::read_loop(std::shared_ptr<Channel> self) {
    while (!self->is_closed_) {
        auto frame = co_await self->read_frame();
        if (!frame) {
            self->close(std::move(frame).error());
        } else if (!self->deliver(*std::move(frame))) {
            self->close({.kind = ErrorKind::kBadResponse,
                         .detail = self->peer_ + " answered a request that was not sent"});
        }
    }
}

port::Task<Result<Buffer>> Channel::read_frame() {
    std::array<std::uint8_t, kLengthBytes> head;
    const auto is_there = co_await port::read_exactly(*connection_, head);
    if (!is_there) co_return unexpected(error_of(is_there.error()));
    if (!*is_there) co_return unexpected(error_of(port::NetError::kReset));
    const auto length = load_big_endian<std::int32_t>(head.data());
    if (length < 4 || static_cast<std::size_t>(length) > kFrameBytesMax) {
        co_return unexpected(Error{.kind = ErrorKind::kBadResponse,
                                   .detail = peer_ + " sent a frame of " + std::to_string(length) +
                                             " bytes; is it a Kafka port?"});
    }
    Buffer frame = Buffer::allocate(static_cast<std::size_t>(length));
    const auto is_whole = co_await port::read_exactly(*connection_, frame.mutable_view());
    if (!is_whole) co_return unexpected(error_of(is_whole.error()));
    if (!*is_whole) co_return unexpected(error_of(port::NetError::kReset));
    co_return frame;
}

/// Brokers answer in the order of the requests, so the answer belongs to the oldest one.
bool Channel::deliver(Buffer frame) {
    const auto correlation_id = load_big_endian<std::int32_t>(frame.data());
    if (pending_.empty() || pending_.front()->correlation_id != correlation_id) return false;
    const std::shared_ptr<Pending> pending = std::move(pending_.front());
    pending_.pop_front();
    pending->result = std::move(frame);
    pending->is_done = true;
    pending->done.notify_all();
    return true;
}

void Channel::close(Error why) {
    if (is_closed_) return;
    const std::shared_ptr<Channel> self = shared_from_this();
    is_closed_ = true;
    closed_by_ = std::move(why);
    connection_->close();
    const auto pending = std::exchange(pending_, {});
    for (const std::shared_ptr<Pending>& one : pending) {
        one->result = unexpected(closed_by_);
        one->is_done = true;
        one->done.notify_all();
    }
    sent_.notify_all();
}

}  // namespace dlog::client
